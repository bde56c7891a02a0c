"""Outlines of nerves: whose fibers are measured, in which area, and outlines that are found."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import NERVE_COLUMNS, SUMMARY_COLUMNS, fails, read_table, rings, save
from tifffile import imread, imwrite

import data
import evaluate
import morphometry
from myelin.images.image import write_image
from myelin.measure.fibers import measure_fibers
from myelin.measure.frame import Frame
from myelin.measure.nerve import find_nerve
from myelin.pixels.labels import LabelImage
from myelin.report.axes import NERVE_RGB

CENTRES = [(40, 40), (120, 40), (200, 40), (40, 120), (120, 120), (200, 120), (280, 120)]
SHAPE = (160, 320)
DISC = rings(SHAPE, [(80, 80)], 0, 70) * np.uint8(99)


def outline():
    """Return two fascicles, of 4 fibers and of 1 that reaches out; two more lie outside."""
    nerve = np.zeros(SHAPE, np.uint8)
    nerve[:, :170] = 3
    nerve[20:90, 185:230] = 7
    return nerve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("preds/a_mask.tif"), rings(SHAPE, CENTRES, 14, 24))
    return tmp_path


def measure(*options):
    morphometry.main(["--pixel-size", "1", "--no-pictures", *options])
    return read_table("morphometry/summary.csv")[0], read_table("morphometry/a_fibers.csv")


@pytest.mark.parametrize("place", ["preds/a_nerve.tif", "raw/test/a_nerve.png"])
def test_only_the_nerve_is_counted(folder, place):
    nerve = outline()
    Path("raw/test").mkdir(parents=True)
    save(Path(place), nerve > 0)
    row, fibers = measure()
    assert row["fiber_count"] == row["counted_fibers"] == "5"
    assert float(row["area_mm2"]) == pytest.approx((nerve > 0).sum() * 1e-6)
    assert {fiber["fascicle"] for fiber in fibers} == {"1"}
    mask, labels = (imread(f"{name}.tif") > 0 for name in ("preds/a_mask", "morphometry/a_labels"))
    share = (mask & (nerve > 0)).sum() / (nerve > 0).sum()
    assert float(row["myelin_area_fraction"]) == pytest.approx(share, rel=1e-4)
    assert labels[40, 200] and labels[40, 222], "a fiber on the outline is measured whole"
    assert not labels[120, 200] and not labels[120, 280]
    assert row["border_fibers"] == "0"
    run = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert run["nerve_outlines"] == {"a": str(Path(place))}


def test_an_outline_as_imagej_makes_it_of_a_selection(folder):
    lut = {"photometric": "miniswhite", "description": "ImageJ=1.54f\n", "metadata": None}
    imwrite("preds/a_nerve.tif", (outline() > 0) * np.uint8(255), **lut)
    row, _ = measure()
    assert row["fiber_count"] == "5"
    assert float(row["area_mm2"]) == pytest.approx((outline() > 0).sum() * 1e-6)


def test_each_fascicle_has_a_row(folder):
    nerve = outline()
    nerve[140:, 300:] = 9
    write_image(Path("preds/a_nerve.tif"), nerve)
    row, fibers = measure()
    assert [fiber["fascicle"] for fiber in fibers].count("3") == 4
    first, second, empty = read_table("morphometry/fascicles.csv")
    assert (empty["fascicle"], empty["fiber_count"], empty["g_ratio_mean"]) == ("9", "0", "")
    assert (first["image"], first["fascicle"], second["fascicle"]) == ("a", "3", "7")
    assert (first["fiber_count"], second["fiber_count"], row["fiber_count"]) == ("4", "1", "5")
    for number, part in ((3, first), (7, second)):
        area = (nerve == number).sum() * 1e-6
        assert float(part["area_mm2"]) == pytest.approx(area)
        density = int(part["counted_fibers"]) / area
        assert float(part["fiber_density_per_mm2"]) == pytest.approx(density, rel=1e-5)
    for column in ("axon_area_fraction", "myelin_area_fraction"):
        parts = [float(part[column]) * float(part["area_mm2"]) for part in (first, second, empty)]
        assert sum(parts) == pytest.approx(float(row[column]) * float(row["area_mm2"]), rel=1e-4)


def test_fibers_left_out_are_out_of_their_fascicle(folder):
    write_image(Path("preds/a_nerve.tif"), outline())
    before, _ = measure()
    alone = read_table("morphometry/fascicles.csv")
    Path("exclude.csv").write_text("image,fiber\na,1\n", encoding="utf-8")
    row, _ = measure("--exclude", "exclude.csv")
    first, second = read_table("morphometry/fascicles.csv")
    assert (first["fiber_count"], first["excluded_fibers"], second) == ("3", "1", alone[1])
    lost = float(before["myelin_area_fraction"]) - float(row["myelin_area_fraction"])
    lost_there = float(alone[0]["myelin_area_fraction"]) - float(first["myelin_area_fraction"])
    area = float(row["area_mm2"]) / float(first["area_mm2"])
    assert lost_there == pytest.approx(lost * area, rel=1e-3)


def test_what_was_drawn_as_axon_too_is_myelin_of_no_fascicle(folder):
    save(Path("preds/a_axon.tif"), rings(SHAPE, CENTRES, 0, 18))
    save(Path("preds/a_nerve.tif"), outline() > 0)
    Path("exclude.csv").write_text("image,fiber\na,1\n", encoding="utf-8")
    for options in ((), ("--exclude", "exclude.csv")):
        row, _ = measure(*options)
        (part,) = read_table("morphometry/fascicles.csv")
        for column in ("myelin_area_fraction", "aggregate_g_ratio"):
            assert part[column] == row[column]


def test_outlines_are_no_images(folder):
    image = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    for folder_name in ("raw/test", "raw/train"):
        write_image(Path(folder_name, "a.tif"), image)
        write_image(Path(folder_name, "a_nerve.tif"), outline())
    save(Path("raw/train/a_mask.tif"), image > 127)
    data.main([])
    for kind in ("test", "train"):
        assert np.load(f"npydata/imgs_id_{kind}.npy").tolist() == ["a"]


def test_agreement_is_of_the_nerve(folder):
    save(Path("raw/test/a_mask.tif"), rings(SHAPE, CENTRES[:-1], 14, 24))
    save(Path("raw/test/a_nerve.tif"), outline() > 0)
    evaluate.main(["--pixel-size", "1", "--no-pictures"])
    row = read_table("evaluation/evaluation.csv")[0]
    assert (row["fibers_reference"], row["fibers_predicted"], row["f1"]) == ("5", "5", "1")
    density = 5 / ((outline() > 0).sum() * 1e-6)
    assert float(row["fiber_density_per_mm2_reference"]) == pytest.approx(density, rel=1e-4)


@pytest.mark.parametrize(
    "nerve, text",
    [
        (np.zeros(SHAPE, np.uint8), "no nerve in it"),
        (np.full((20, 20), 255, np.uint8), "20 x 20 pixels"),
        (255 - 255 * rings(SHAPE, CENTRES, 0, 30).astype(np.uint8), "0.0% of the myelin is inside"),
        (rings(SHAPE, [(160, 80)], 76, 79) * np.uint8(255), "the nerve is drawn as a line"),
        (
            cv2.GaussianBlur(rings(SHAPE, [(80, 80)], 0, 70) * np.uint8(99), (5, 5), 1),
            "grey values in the outline",
        ),
        (np.arange(160 * 320, dtype=np.uint16).reshape(SHAPE), "grey values in the outline"),
    ],
)
def test_outlines_that_cannot_be_used(folder, capsys, nerve, text):
    write_image(Path("preds/a_nerve.tif"), nerve)
    said = fails(morphometry.main, capsys, "--pixel-size", "1")
    assert "a_nerve.tif" in said and text in said and not Path("morphometry/summary.csv").exists()


# ---------------------------------------------------------------- found outlines

SPACING = 20  # px between the centres of fibers of radius 8, in rows


def discs(shape, *fascicles):
    """Return which pixels lie in discs, given by centre and radius, bool (rows, cols)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return np.any([np.hypot(cols - x, rows - y) < radius for x, y, radius in fascicles], axis=0)


def packed(nerve):
    """Return the centres of fibers in rows that fill a mask."""
    rows, cols = nerve.shape
    places = [
        (x + SPACING // 2 * (row % 2), y)
        for row, y in enumerate(range(SPACING // 2, rows, SPACING))
        for x in range(SPACING // 2, cols - SPACING // 2, SPACING)
    ]
    # A fiber lies whole in the mask; its axon is 4 px wide.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17))
    inner = cv2.erode(nerve.view(np.uint8), disc, borderValue=1)
    return [(x, y) for x, y in places if inner[y, x]]


def found_nerve(shape, centres, image=None):
    """Return the fibers of drawn centres, and their found outline."""
    myelin = np.zeros(shape, np.uint8)
    for centre in centres:
        cv2.circle(myelin, centre, 6, 1, 5)
    fibers = measure_fibers(myelin > 0, 1.0)
    assert len(fibers) == len(centres)
    return fibers, find_nerve(fibers, Frame(shape), image)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("scale", [1, 3])
def test_the_outline_of_a_nerve_is_found(scale):
    nerve = discs((400, 600), (250, 200, 150))
    shape = tuple(scale * length for length in nerve.shape)
    fibers, _ = found_nerve(nerve.shape, packed(nerve))
    labels = LabelImage.from_array(np.kron(fibers.labels.to_array(), np.ones((scale, scale), int)))
    columns = {name: scale * fibers.columns[name] for name in ("x_px", "y_px", "fiber_diameter_um")}
    fibers = replace(fibers, columns=fibers.columns | columns, labels=labels)
    found = find_nerve(fibers, Frame(shape)).to_mask()
    assert overlap(found[::scale, ::scale], nerve) > 0.9


def test_areas_that_lost_fibers_stay_inside():
    nerve = discs((400, 600), (250, 200, 170))
    sector, hole = discs(nerve.shape, (380, 200, 90)), discs(nerve.shape, (160, 200, 45))
    lost = [centre for centre in packed(nerve) if sector[centre[::-1]]][::2]
    left = [c for c in packed(nerve) if c not in lost and not hole[c[::-1]]]
    _, found = found_nerve(nerve.shape, left)
    assert overlap(found.to_mask(), nerve) > 0.9 and (found.to_mask() >= hole).all()


@pytest.mark.parametrize("sheath", [120, 0])
def test_a_gap_up_to_the_perineurium_is_inside_if_the_image_shows_it(sheath):
    """The perineurium is as wide as a fiber; without it, the outline is that of the fibers."""
    fibers_in, nerve = discs((400, 600), (250, 200, 130)), discs((400, 600), (250, 200, 165))
    image = np.random.default_rng(0).normal(60, 3, nerve.shape)
    image[discs(nerve.shape, (250, 200, 178)) & ~nerve] += sheath
    _, found = found_nerve(nerve.shape, packed(fibers_in), image.astype(np.uint8))
    _, plain = found_nerve(nerve.shape, packed(fibers_in))
    assert overlap(plain.to_mask(), nerve) < 0.7
    expected = nerve if sheath else plain.to_mask()
    assert overlap(found.to_mask(), expected) > (0.9 if sheath else 0.999)
    regions, _ = cv2.connectedComponents(1 - found.to_mask().view(np.uint8))
    assert regions == 2, "no seam between fibers and gap"


def test_fascicles_are_apart_and_clipped_at_the_frame():
    nerve = discs((400, 640), (150, 200, 140), (480, 200, 140), (640, 0, 90))
    _, found = found_nerve(nerve.shape, [*packed(nerve), (20, 20)])
    assert found.count == 3 and overlap(found.to_mask(), nerve) > 0.9
    numbers = found.at(np.array([200, 200, 40, 20]), np.array([150, 480, 600, 20])).tolist()
    assert sorted(numbers[:3]) == [1, 2, 3], numbers
    assert numbers[3] == 0, "a fiber in the epineurium is no fascicle"


@pytest.mark.parametrize("count", [3, 60, 200])
def test_tissue_of_sparse_fibers_is_whole(count):
    rng = np.random.default_rng(count)
    centres = []
    while len(centres) < count:
        x, y = rng.integers(12, (588, 388)).tolist()
        if all(np.hypot(x - a, y - b) > 20 for a, b in centres):
            centres.append((x, y))
    _, found = found_nerve((400, 600), centres)
    assert (found.to_array() == 1).all()


def test_tissue_without_fibers_has_no_outline(folder):
    save(Path("preds/a_mask.tif"), np.zeros(SHAPE, bool))
    row, _ = measure()
    assert [row[name] for name in NERVE_COLUMNS] == ["", "", "", "none"]
    assert not Path("morphometry/a_nerve.tif").exists()


@pytest.fixture
def drawn(folder):
    """Write the mask of a nerve of 90 fibers with another outside, and return its centres."""
    centres = [*packed(discs((400, 600), (250, 200, 120))), (580, 20)]
    myelin = np.zeros((400, 600), np.uint8)
    for centre in centres:
        cv2.circle(myelin, centre, 6, 1, 5)
    save(Path("preds/a_mask.tif"), myelin > 0)
    return centres


def test_several_found_fascicles_have_a_row_each(folder):
    """One nerve alone, as in `drawn`, has none, because its row is that of the image."""
    nerve = discs((400, 640), (150, 200, 140), (480, 200, 140))
    myelin = np.zeros(nerve.shape, np.uint8)
    for centre in packed(nerve):
        cv2.circle(myelin, centre, 6, 1, 5)
    save(Path("preds/a_mask.tif"), myelin > 0)
    row, _ = measure()
    rows = read_table("morphometry/fascicles.csv")
    assert [part["fascicle"] for part in rows] == ["1", "2"]
    for name, whole in (("fiber_count", "fibers_in_nerve"), ("area_mm2", "nerve_area_mm2")):
        assert sum(float(part[name]) for part in rows) == pytest.approx(float(row[whole]), rel=1e-5)


def test_a_found_outline_only_adds_columns(drawn, capsys):
    plain, alone = measure("--nerve", "none")
    assert plain["nerve_outline"] == "none" and not Path("morphometry/a_nerve.tif").exists()
    row, fibers = measure()
    said = capsys.readouterr().out
    inside = len(drawn) - 1
    assert f"whole nerve: {inside} fibers" in said
    assert "warning: a: " in said and "per mm² of the nerve" in said
    assert row["nerve_outline"] == "found" and row["fibers_in_nerve"] == str(inside)
    assert list(row)[-6:-2] == NERVE_COLUMNS
    assert all(row[name] == plain[name] for name in SUMMARY_COLUMNS)
    area = (imread("morphometry/a_nerve.tif") > 0).sum() * 1e-6
    assert float(row["nerve_area_mm2"]) == pytest.approx(area)
    assert float(row["fiber_density_nerve_per_mm2"]) == pytest.approx(inside / area, rel=1e-5)
    assert [fiber.pop("fascicle") for fiber in fibers].count("0") == 1 and fibers == alone
    methods = Path("morphometry/methods.txt").read_text(encoding="utf-8")
    assert f"nerves wholly in view: a {inside}." in methods
    assert not Path("morphometry/fascicles.csv").exists()


def test_an_edited_outline_is_kept_and_given(drawn, capsys):
    measure()
    path = Path("morphometry/a_nerve.tif")
    edited = imread(path)
    measure()
    assert (imread(path) == edited).all() and "edited" not in capsys.readouterr().out
    edited[:, :250] = 0
    write_image(path, edited)
    before = path.read_bytes()
    row, fibers = measure()
    assert path.read_bytes() == before and row["nerve_outline"] == "given"
    assert "nerves outlined by hand, used as given: a" in capsys.readouterr().out
    assert float(row["nerve_area_mm2"]) == pytest.approx((edited > 0).sum() * 1e-6)
    assert row["fibers_in_nerve"] == row["fiber_count"] == str(len(fibers))
    assert row["fiber_density_nerve_per_mm2"] == row["fiber_density_per_mm2"]
    save(Path("preds/a_nerve.tif"), discs((400, 600), (250, 200, 60)))
    given, _ = measure()
    assert float(given["nerve_area_mm2"]) < float(row["nerve_area_mm2"])
    assert path.read_bytes() == before, "nor is it replaced where another outline is given"


def test_the_outline_is_drawn(drawn):
    morphometry.main(["--pixel-size", "1"])
    overlay = cv2.imread("morphometry/a_overlay.png")
    assert (overlay == NERVE_RGB[::-1]).all(axis=2).sum() > 1000
