"""Measuring fibers, against drawn shapes whose right answer can be computed."""

import csv
import json
import math
import subprocess
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from tifffile import imread, imwrite

import morphometry
from myelin import fibers, groups, plots, regions
from myelin.images import write_image

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")


def ring(shape, x, y, inner, outer, squeeze=1.0, angle=0.0):
    """Return myelin and axon of a disc or a tilted ellipse (minor axis = squeeze x major axis)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    dx, dy = cols - x, rows - y
    along = dx * math.cos(angle) + dy * math.sin(angle)
    across = (dy * math.cos(angle) - dx * math.sin(angle)) / squeeze
    radius = np.hypot(along, across)
    return (radius < outer) & (radius >= inner), radius < inner


def rings(shape, centers, inner, outer):
    """Return the union of equal discs as one myelin mask, axons open even where discs overlap."""
    parts = [ring(shape, x, y, inner, outer) for x, y in centers]
    axons = np.any([axon for _, axon in parts], axis=0)
    return np.any([myelin for myelin, _ in parts], axis=0) & ~axons


def save(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, mask.astype(np.uint8) * 255)


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two masks of two whole fibers each in preds/."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        save(Path(f"preds/{name}_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 20, 32))
    return tmp_path


def fails(capsys, *argv):
    """Return what a run that must fail says on stderr."""
    with pytest.raises(SystemExit) as stop:
        morphometry.main(list(argv))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("diameter", [16, 17, 24, 40, 63, 90, 120])
@pytest.mark.parametrize("g_ratio", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("squeeze, angle", [(1, 0), (0.8, 0.3), (0.6, 1.1)])
def test_sizes_of_drawn_shapes(diameter, g_ratio, squeeze, angle):
    """Axons 16 to 120 px wide: diameters and g-ratio within 2 % of the geometry.

    Thickness is the difference of two diameters, each known to a tenth of a pixel or so.
    """
    inner = diameter / 2 / squeeze
    outer = inner / g_ratio
    side = int(2 * outer) + 12
    myelin, axon = ring((side, side), side / 2 + 0.3, side / 2 - 0.2, inner, outer, squeeze, angle)
    columns = morphometry.measure_fibers(myelin, 0.5).columns
    assert len(columns["fiber"]) == 1
    root = math.sqrt(squeeze)
    # A sheath of one pixel may have a corner open, which costs a pixel.
    open_um2 = 0.25 if outer - inner < 2 else 0
    assert 0 <= axon.sum() / 4 - columns["axon_area_um2"][0] <= open_um2
    assert columns["axon_diameter_um"][0] == pytest.approx(inner * root, rel=0.02)
    assert columns["fiber_diameter_um"][0] == pytest.approx(outer * root, rel=0.02)
    assert columns["g_ratio"][0] == pytest.approx(g_ratio, rel=0.02)
    thickness = (outer - inner) * root / 2  # µm, at 0.5 µm per pixel
    assert columns["myelin_thickness_um"][0] == pytest.approx(thickness, rel=0.02, abs=0.07)
    assert columns["axon_major_axis_um"][0] == pytest.approx(inner, rel=0.03)
    assert columns["axon_minor_axis_um"][0] == pytest.approx(inner * squeeze, rel=0.03)
    assert columns["x_px"][0] == pytest.approx(side / 2 + 0.3, abs=0.3)
    assert not columns["touches_border"][0]


def test_columns_agree_with_each_other_and_scikit_image():
    from skimage.measure import regionprops

    myelin = rings((300, 300), [(60, 60), (160, 70), (90, 200)], 21, 33)
    myelin |= ring((300, 300), 220, 200, 25, 45, 0.6, 0.7)[0]
    found = morphometry.measure_fibers(myelin, 0.2)
    columns = found.columns
    assert list(columns) == morphometry.COLUMNS
    for index, axon in enumerate(regionprops(found.axons)):
        assert columns["axon_perimeter_um"][index] == pytest.approx(axon.perimeter * 0.2)
        assert columns["axon_solidity"][index] == pytest.approx(axon.solidity)
        assert columns["axon_eccentricity"][index] == pytest.approx(axon.eccentricity)
        assert columns["axon_major_axis_um"][index] == pytest.approx(axon.axis_major_length * 0.2)
        assert columns["axon_minor_axis_um"][index] == pytest.approx(axon.axis_minor_length * 0.2)
        assert (columns["y_px"][index], columns["x_px"][index]) == pytest.approx(axon.centroid)
    for index, fiber in enumerate(regionprops(found.labels)):
        assert columns["fiber_perimeter_um"][index] == pytest.approx(fiber.perimeter * 0.2)
    assert columns["g_ratio"] == pytest.approx(
        columns["axon_diameter_um"] / columns["fiber_diameter_um"]
    )
    assert columns["myelin_area_um2"] == pytest.approx(
        columns["fiber_area_um2"] - columns["axon_area_um2"]
    )


def test_perimeter_and_hull_equal_scikit_image_on_noise():
    from skimage.measure import regionprops

    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(150, 170)), (0, 0), 2) > 0.05
    labels, boxes = regions.label_regions(noise, 4)
    props = regionprops(labels)
    lengths = regions.perimeters(labels, len(props))
    assert lengths == pytest.approx([region.perimeter for region in props])
    hulls = regions.hull_areas(labels, np.arange(len(boxes)) > 0)
    assert hulls == pytest.approx([region.area_convex for region in props])


def test_pixel_size_scales_and_turning_changes_nothing():
    myelin = rings((200, 260), [(60, 60), (131, 71), (180, 140)], 20, 36)
    one, ten = (morphometry.measure_fibers(myelin, size).columns for size in (0.1, 1.0))
    for name in morphometry.COLUMNS[3:]:
        power = 2 if name.endswith("um2") else 1 if name.endswith("_um") else 0
        assert ten[name] == pytest.approx(one[name] * 10**power)
    turned = morphometry.measure_fibers(np.rot90(myelin), 0.1).columns
    for name in ("axon_area_um2", "axon_perimeter_um", "axon_solidity"):
        assert sorted(turned[name]) == pytest.approx(sorted(one[name]))


# ---------------------------------------------------------------- what is an axon


def count(myelin, image=None):
    return int(fibers.find_axons(myelin, image).max())


def test_touching_sheaths_are_split_without_losing_a_pixel():
    centers = [(60, 60), (122, 60), (91, 112)]
    myelin = rings((180, 190), centers, 20, 32)
    found = morphometry.measure_fibers(myelin, 1.0)
    assert len(found) == 3, "three axons; the gap between the three sheaths is none"
    assert found.columns["fiber_diameter_um"] == pytest.approx([64] * 3, rel=0.02)
    assert ((found.labels > 0) == (myelin | (found.axons > 0))).all()


def test_a_thin_and_a_thick_sheath_that_touch():
    thick, thin = ring((200, 260), 90, 100, 30, 60), ring((200, 260), 190, 100, 32, 40)
    found = morphometry.measure_fibers(thick[0] | thin[0], 1.0)
    assert sorted(found.columns["fiber_diameter_um"]) == pytest.approx([80, 120], rel=0.03)


@pytest.mark.parametrize("count_across", [4, 6])
def test_gaps_in_a_packing_are_no_axons(count_across):
    centers = [
        (40 + 62 * (col + 0.5 * (row % 2)), 40 + 54 * row)
        for row in range(count_across)
        for col in range(count_across)
    ]
    side = 62 * count_across + 80
    assert count(rings((side, side), centers, 22, 32)) == count_across**2
    square = [(40 + 63 * col, 40 + 63 * row) for row in range(4) for col in range(4)]
    assert count(rings((330, 330), square, 22, 32)) == 16


def test_fibers_at_the_edge_are_measured_and_flagged():
    myelin = rings((200, 200), [(0, 100), (100, 100), (199, 199), (60, 10)], 22, 34)
    found = morphometry.measure_fibers(myelin, 1.0)
    assert len(found) == 4
    assert found.columns["touches_border"].sum() == 3
    half = found.columns["axon_area_um2"][found.columns["x_px"] < 15]
    assert half == pytest.approx(math.pi * 22**2 / 2, rel=0.05)


def test_background_at_the_edge_is_no_axon():
    # A row of sheaths along the top leaves gaps to the edge; a cut arc leaves the corner.
    assert count(rings((120, 300), [(50, 35), (113, 35), (176, 35)], 20, 32)) == 3
    assert count(ring((100, 100), 45, 45, 38, 44)[0]) == 1
    assert count(np.zeros((50, 60), bool)) == 0
    assert count(np.ones((50, 60), bool)) == 0
    band = np.zeros((80, 80), bool)
    band[30:40] = True
    assert count(band) == 0, "a fiber cut lengthwise encloses nothing"


@pytest.mark.parametrize("width", [1, 2])
def test_a_small_break_in_a_ring_is_closed(width):
    myelin, _ = ring((100, 100), 50, 50, 20, 32)
    myelin[50 : 50 + width, 50:] = False
    found = morphometry.measure_fibers(myelin, 1.0)
    assert len(found) == 1
    assert found.columns["axon_diameter_um"][0] == pytest.approx(40, rel=0.02)
    assert found.columns["fiber_diameter_um"][0] == pytest.approx(64, rel=0.02)


def test_a_wide_opening_is_no_axon():
    myelin, _ = ring((100, 100), 50, 50, 20, 32)
    myelin[35:65, 50:] = False
    found = morphometry.measure_fibers(myelin, 1.0)
    assert len(found) == 0 and found.collapsed == 1


def test_vacuoles_and_pinholes_belong_to_the_sheath():
    myelin, _ = ring((200, 200), 100, 100, 40, 80)
    whole = morphometry.measure_fibers(myelin, 1.0)
    myelin[100, 35] = False
    myelin &= ~ring((200, 200), 160, 100, 0, 7)[0]
    myelin[40:42, 90:110] = False  # a cleft
    found = morphometry.measure_fibers(myelin, 1.0)
    assert len(found) == 1
    assert (found.labels == whole.labels).all()


def swollen(shape, x, y, vacuoles, inner=10):
    """Return a swollen sheath of radius 40: round vacuoles of radius 3 around its axon."""
    myelin, _ = ring(shape, x, y, inner, 40)
    for angle in np.arange(vacuoles) * 2 * math.pi / max(vacuoles, 1):
        myelin &= ~ring(shape, x + 25 * math.cos(angle), y + 25 * math.sin(angle), 0, 3)[1]
    return myelin


@pytest.mark.parametrize("vacuoles", [1, 3, 6, 8])
def test_a_swollen_sheath_is_one_fiber(vacuoles):
    normal = rings((260, 300), [(180, 100), (200, 200), (60, 210)], 20, 32)
    alone = morphometry.measure_fibers(normal, 1.0).columns
    found = morphometry.measure_fibers(normal | swollen(normal.shape, 100, 100, vacuoles), 1.0)
    columns, place = found.columns, found.columns["x_px"].round() == 100
    assert len(found) == 4 and place.sum() == 1
    assert columns["fiber_area_um2"][place] == pytest.approx(math.pi * 40**2, rel=0.01)
    assert columns["g_ratio"][place] == pytest.approx(10 / 40, rel=0.02)
    for name in ("axon_area_um2", "fiber_area_um2", "g_ratio"):
        assert (columns[name][~place] == alone[name]).all(), "the others are untouched"


def test_thick_sheaths_stay():
    """A low g-ratio alone is no reason, nor beside a larger fiber: both outlines are round."""
    lone = morphometry.measure_fibers(swollen((120, 120), 60, 60, 0, inner=8), 1.0)
    assert lone.columns["g_ratio"] == pytest.approx([0.2], rel=0.02)
    large = ring((200, 240), 90, 100, 45, 60)[0]
    assert count(large | ring((200, 240), 170, 100, 5, 22)[0]) == 2


def test_an_infolding_does_not_hide_the_axon():
    myelin, _ = ring((200, 200), 100, 100, 50, 62)
    myelin[92:108, 100:160] = True
    myelin &= ring((200, 200), 100, 100, 0, 62)[0]
    assert count(myelin) == 1


def test_specks_and_noise_add_nothing():
    rng = np.random.default_rng(3)
    myelin = rings((260, 260), [(60, 60), (180, 70), (70, 180), (190, 190)], 24, 40)
    noise = rng.random(myelin.shape) < 0.002
    noisy = myelin ^ noise
    found = morphometry.measure_fibers(noisy, 1.0)
    assert len(found) == 4 and found.collapsed == 0
    assert found.columns["fiber_diameter_um"] == pytest.approx([80] * 4, rel=0.02)


def test_collapsed_sheaths_are_counted_apart():
    myelin = rings((200, 300), [(60, 60), (180, 60)], 20, 32)
    rows, cols = np.mgrid[:200, :300]
    myelin |= np.hypot(rows - 150, cols - 100) < 26  # as much myelin as a fiber
    myelin |= np.hypot(rows - 150, cols - 200) < 4  # a speck
    myelin |= np.hypot(rows - 199, cols - 260) < 26  # its axon may lie outside
    found = morphometry.measure_fibers(myelin, 1.0)
    assert (len(found), found.collapsed) == (2, 1)
    assert not found.labels[150, 100]


def test_the_image_helps_to_tell_gaps():
    """The image moves the score, if little; a image of one value moves nothing."""
    centers = [(40 + 62 * (c + 0.5 * (r % 2)), 40 + 54 * r) for r in range(5) for c in range(5)]
    myelin = rings((400, 400), centers, 22, 32)
    flat = np.full(myelin.shape, 90, np.uint8)
    assert (fibers.find_axons(myelin, flat) == fibers.find_axons(myelin)).all()
    axons = fibers.find_axons(myelin)
    sample = np.where(myelin, 250, np.where(axons > 0, 60, 180)).astype(np.uint8)
    assert count(myelin, sample) == 25


def test_a_drawn_axon_mask_is_used_as_it_is():
    myelin, axon = ring((120, 120), 60, 60, 30, 45)
    axon &= ring((120, 120), 60, 60, 0, 24)[0]  # drawn smaller than the hole
    axon[5:15, 5:15] = True  # an axon without myelin
    found = morphometry.measure_fibers(myelin, 1.0, axon)
    assert len(found) == 1
    assert found.columns["axon_diameter_um"][0] == pytest.approx(48, rel=0.02)


# ---------------------------------------------------------------- summary


def test_summary_by_hand():
    myelin = rings((200, 300), [(60, 60), (180, 60), (100, 150), (299, 150)], 20, 32)
    found = morphometry.measure_fibers(myelin, 0.5)
    row = morphometry.summarize(found, "x", "given")
    assert list(row) == morphometry.SUMMARY
    assert row["area_mm2"] == pytest.approx(200 * 300 * 0.25e-6)
    axon, sheath = (found.axons > 0).mean(), myelin.mean()
    assert row["axon_area_fraction"] == pytest.approx(axon)
    assert row["myelin_area_fraction"] == pytest.approx(sheath)
    assert row["aggregate_g_ratio"] == pytest.approx(math.sqrt(1 / (1 + sheath / axon)))
    assert (row["fiber_count"], row["measured_fibers"], row["border_fibers"]) == (4, 3, 1)
    assert row["axon_diameter_um_mean"] == pytest.approx(20, rel=0.01), "the cut one is left out"
    assert row["g_ratio_median"] == pytest.approx(20 / 32, rel=0.01)
    assert row["fiber_density_per_mm2"] == pytest.approx(4 / row["area_mm2"])


def test_density_is_unbiased():
    """Frames that tile a field count every fiber once, however they cut."""
    centers = [(37 + 53 * col, 41 + 53 * row) for row in range(6) for col in range(6)]
    field = rings((360, 360), centers, 15, 24)
    counted = 0
    for top in range(0, 360, 90):
        for left in range(0, 360, 90):
            frame = field[top : top + 90, left : left + 90]
            axons = np.zeros_like(frame)
            for x, y in centers:  # axons as drawn: what a frame shows of them may be a sliver
                axons |= ring((360, 360), x, y, 0, 15)[0][top : top + 90, left : left + 90]
            counted += morphometry.measure_fibers(frame, 1.0, axons).counted.sum()
    assert counted == pytest.approx(36, abs=1)


# ---------------------------------------------------------------- the script


def test_end_to_end(folder, capsys):
    morphometry.main(["--pixel-size", "0.1"])
    assert "0.1 µm per pixel, --pixel-size" in capsys.readouterr().out
    rows = read_table("morphometry/one_fibers.csv")
    assert list(rows[0]) == morphometry.COLUMNS
    assert [row["fiber"] for row in rows] == ["1", "2"]
    assert float(rows[0]["axon_diameter_um"]) == pytest.approx(4, rel=0.02)
    assert rows[0]["touches_border"] == "False"
    summary = read_table("morphometry/summary.csv")
    assert [row["image"] for row in summary] == ["one", "two"]
    assert summary[0]["pixel_size_source"] == "--pixel-size"
    labels, axons = (imread(f"morphometry/one_{part}.tif") for part in ("labels", "axons"))
    assert labels.dtype == np.uint16 and set(np.unique(labels)) == {0, 1, 2}
    assert (axons[axons > 0] == labels[axons > 0]).all()
    for name in ("one_overlay", "one_plots", "two_overlay", "plots"):
        assert cv2.imread(f"morphometry/{name}.png").shape[1] >= 800
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert facts["pixel_sizes_um"] == {"one": 0.1, "two": 0.1}
    assert not [path for path in Path("morphometry").iterdir() if path.name.startswith(".")]


def test_other_folders_axon_masks_and_no_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    myelin, axon = ring((120, 120), 60, 60, 30, 45)
    save(Path("mine/a.png"), myelin)
    save(Path("mine/a_axon.png"), axon & ring((120, 120), 60, 60, 0, 24)[0])
    morphometry.main(["--masks", "mine", "--out", "res", "--pixel-size", "1", "--no-pictures"])
    (row,) = read_table("res/a_fibers.csv")
    assert float(row["axon_diameter_um"]) == pytest.approx(48, rel=0.02)
    assert not list(Path("res").glob("*.png"))


def test_pixel_size_from_metadata(folder):
    write_image(Path("preds/one_mask.tif"), imread("preds/one_mask.tif"), pixel_size_um=0.25)
    Path("preds/two_mask.tif").unlink()
    morphometry.main(["--no-pictures"])
    (row,) = read_table("morphometry/summary.csv")
    assert float(row["pixel_size_um"]) == pytest.approx(0.25)
    assert row["pixel_size_source"] == "ImageJ tags of one_mask.tif"


def test_pixel_size_of_the_image(folder):
    ome = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    ome |= {"PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    Path("raw/test").mkdir(parents=True)
    for name in ("one", "two"):
        sample = np.full((120, 200), 99, np.uint8)
        imwrite(f"raw/test/{name}.tif", sample, ome=True, metadata=ome)
    morphometry.main(["--no-pictures"])
    row = read_table("morphometry/summary.csv")[0]
    assert row["pixel_size_source"] == "OME-XML of one.tif"
    assert float(row["axon_diameter_um_mean"]) == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("value", [0, 255])
def test_one_value_masks_give_empty_tables(folder, value):
    save(Path("preds/one_mask.tif"), np.full((120, 200), value > 0))
    morphometry.main(["--pixel-size", "0.1"])
    assert read_table("morphometry/one_fibers.csv") == []
    header = Path("morphometry/one_fibers.csv").read_text(encoding="utf-8").strip()
    assert header == ",".join(morphometry.COLUMNS)
    row = read_table("morphometry/summary.csv")[0]
    assert row["fiber_count"] == "0" and row["g_ratio_mean"] == ""
    assert row["aggregate_g_ratio"] == "" and row["fiber_density_per_mm2"] == "0"
    assert "nan" not in Path("morphometry/summary.csv").read_text(encoding="utf-8").lower()


def test_single_pixel_and_one_fiber():
    assert len(morphometry.measure_fibers(np.ones((1, 1), bool), 1.0)) == 0
    assert len(morphometry.measure_fibers(np.zeros((1, 7), bool), 1.0)) == 0
    row = morphometry.summarize(morphometry.measure_fibers(ring((90, 90), 45, 45, 20, 30)[0], 1.0))
    assert row["g_ratio_sd"] is None and row["g_ratio_mean"] == pytest.approx(2 / 3, rel=0.01)


@pytest.mark.parametrize("value", ["0", "-0.1", "text", "1000", "nan", "inf"])
def test_bad_pixel_sizes(folder, capsys, value):
    assert "--pixel-size" in fails(capsys, f"--pixel-size={value}")


def test_unknown_pixel_size(folder, capsys):
    said = fails(capsys)
    assert said.count("error:") == 2 and "one_mask.tif: pixel size unknown" in said
    assert "--pixel-size" in said and not Path("morphometry").exists()


def test_contradicting_pixel_sizes(folder, capsys):
    mask = imread("preds/one_mask.tif")
    write_image(Path("preds/one_mask.tif"), mask, pixel_size_um=0.25)
    write_image(Path("raw/test/one.tif"), mask, pixel_size_um=0.5)
    Path("preds/two_mask.tif").unlink()
    said = fails(capsys)
    assert "0.5 µm per pixel" in said and "says 0.25" in said


def test_no_masks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "preds: no such folder" in fails(capsys, "--pixel-size", "1")
    Path("preds").mkdir()
    assert "preds: no masks in it, run python find_myelin.py" in fails(capsys, "--pixel-size", "1")


def test_bad_input_is_named_at_once_before_anything_is_written(folder, capsys):
    write_image(Path("preds/two_mask.tif"), np.arange(24000, dtype=np.uint8).reshape(120, 200))
    save(Path("preds/one_axon.png"), np.zeros((60, 200), bool))
    Path("raw/test").mkdir(parents=True)
    Path("raw/test/one.png").write_bytes(b"no image")
    said = fails(capsys, "--no-pictures")
    for part in ("grey values in a mask", "one_axon.png: 60 x 200", "one.png: cannot be read"):
        assert part in said
    assert said.count("pixel size unknown") == 2 and not Path("morphometry").exists()


def test_an_infolding_makes_a_crescent_of_the_axon():
    rows, cols = np.mgrid[:100, :100]
    fold = np.hypot(rows - 50, cols - 62) < 19
    axon = (np.hypot(rows - 50, cols - 50) < 24) & ~fold
    myelin = (np.hypot(rows - 50, cols - 50) < 40) & ~axon
    columns = morphometry.measure_fibers(myelin, 1.0).columns
    assert columns["axon_area_um2"].tolist() == [axon.sum()]
    assert columns["axon_solidity"][0] < 0.6
    assert columns["fiber_area_um2"].tolist() == [(myelin | axon).sum()]


@pytest.mark.parametrize("shape", [(1, 1), (5000, 1), (3, 4000)])
def test_images_of_slender_masks(tmp_path, shape):
    mask = np.zeros(shape, bool)
    plots.draw_overlay(tmp_path / "x.png", morphometry.measure_fibers(mask, 0.1), mask)
    assert min(cv2.imread(str(tmp_path / "x.png")).shape[:2]) >= plots.MIN_INCHES * plots.DPI - 1


def test_a_mistyped_folder_of_images(folder, capsys):
    assert "raw/tset: no such folder" in fails(capsys, "--pixel-size", "1", "--images", "raw/tset")
    assert "--out preds" in fails(capsys, "--pixel-size", "1", "--out", "preds")


def test_only_the_masks_of_the_last_run(folder, capsys):
    run = {"model_sha256": "abc", "threshold": 0.5, "images": {"two": {}}}
    Path("preds/run.json").write_text(json.dumps(run), encoding="utf-8")
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert "skipped, not of the last run in preds: one\n" in capsys.readouterr().out
    assert [row["image"] for row in read_table("morphometry/summary.csv")] == ["two"]
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert facts["segmentation"] == run
    Path("preds/two_mask.tif").unlink()
    assert "no mask is of the run" in fails(capsys, "--pixel-size", "1")
    Path("preds/run.json").write_text("{", encoding="utf-8")
    assert "run.json: cannot be read" in fails(capsys, "--pixel-size", "1")


def test_an_interrupted_run_leaves_no_run_json(folder, monkeypatch):
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert json.loads(Path("morphometry/run.json").read_text())["segmentation"] is None

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(morphometry, "write_fibers", stopped)
    with pytest.raises(SystemExit):
        morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert not Path("morphometry/run.json").exists()


def test_another_size_than_the_image(folder, capsys):
    write_image(Path("raw/test/one.tif"), np.zeros((60, 200), np.uint8))
    said = fails(capsys, "--pixel-size", "1")
    assert "one.tif: 60 x 200 pixels, but one_mask.tif is 120 x 200" in said


def test_bins_must_rise(folder, capsys):
    assert "rising" in fails(capsys, "--pixel-size", "1", "--g-ratio-bins", "1", "1")
    assert "rising" in fails(capsys, "--pixel-size", "1", "--g-ratio-bins", "1")


def test_help_is_quick_and_shows_defaults():
    start = time.process_time()
    script = Path(morphometry.__file__)
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, check=True)
    assert b"default: preds" in done.stdout
    code = "import sys, morphometry; print([m for m in ('skimage.segmentation', 'matplotlib', "
    code += "'pandas', 'tensorflow') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=script.parent
    )
    assert done.stdout.strip() == b"[]", "slow imports before the arguments are parsed"
    assert time.process_time() - start < 5


@pytest.mark.parametrize("drawn", [6, 15, 24])
def test_a_shrunken_axon_keeps_its_fiber(drawn):
    myelin, _ = ring((100, 100), 50, 50, 25, 32)
    _, axon = ring((100, 100), 50, 50, drawn, drawn)
    found = morphometry.measure_fibers(myelin, 1, axon)
    assert found.columns["g_ratio"] == pytest.approx([drawn / 32], rel=0.02)


# ---------------------------------------------------------------- groups


def test_groups(folder):
    save(Path("preds/three_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 24, 32))
    Path("g.csv").write_text(
        "\ufeffimage;group;animal\none;wild;A\ntwo_mask.tif;wild;A\nthree;knockout;B\n",
        encoding="utf-8",
    )
    morphometry.main(
        ["--pixel-size", "0.1", "--groups", "g.csv", "--g-ratio-bins", "0", "4.5", "9"]
    )
    animals = read_table("morphometry/per_animal.csv")
    assert [(row["group"], row["animal"], row["images"]) for row in animals] == [
        ("wild", "A", "2"),
        ("knockout", "B", "1"),
    ]
    groups = read_table("morphometry/per_group.csv")
    assert float(groups[0]["g_ratio_mean"]) == pytest.approx(20 / 32, rel=0.01)
    assert groups[0]["g_ratio_sd_of_animals"] == "", "one animal has no spread"
    bins = read_table("morphometry/per_g_ratio_bin.csv")
    assert [row["fibers"] for row in bins] == ["4", "0", "0", "2"]
    assert cv2.imread("morphometry/per_group.png").shape[1] >= 900


@pytest.mark.parametrize(
    "text",
    [
        '"image","group","animal"\n"one","a","A"\n"two","b","B"\n',
        '\ufeff"animal" ; "image" ; group\r\nA ; one ; a\r\n\r\nB ; "two" ; b\r\n',
        "image\tgroup\tanimal\tnote\none\ta\tA\ntwo\tb\tB\tx, y\n",
        "Image,Group,Animal\none,a,A\ntwo,b,B\n",
    ],
)
def test_groups_as_programs_write_them(tmp_path, text):
    (tmp_path / "g.csv").write_bytes(text.encode())
    found = groups.read_groups(tmp_path / "g.csv", ["one", "two"])
    assert found == {("a", "A"): ["one"], ("b", "B"): ["two"]}


def test_images_without_group_are_named(folder, capsys):
    Path("g.csv").write_text("image,group,animal\none,a,A\n", encoding="utf-8")
    morphometry.main(["--pixel-size", "0.1", "--groups", "g.csv", "--no-pictures"])
    assert "not in the groups: two" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, message",
    [
        ("image,group,animal\nnobody,a,A\n", "line 2 names the image nobody"),
        ("image,group,animal\none,a,A\none,a,A\n", "line 3 repeats one"),
        ("image,group,animal\n\none,a,A\n\none,a,A\n", "line 5 repeats one"),
        ("image,group,animal\none,,A\n", "line 2 has an empty cell"),
        ("image,group,animal\none,a,A\ntwo,b,A\n", "line 3 puts A into a second group"),
        ("image,animal\none,A\n", "columns image, animal"),
        ("image,group,animal\n", "0 rows"),
        ("", "0 rows"),
        (f"image,group,animal\n{'x' * 200_000},a,A\n", "g.csv: no table (field larger"),
        (None, "g.csv: cannot be read"),
    ],
)
def test_bad_groups(folder, capsys, text, message):
    if text is not None:
        Path("g.csv").write_text(text, encoding="utf-8")
    said = fails(capsys, "--pixel-size", "0.1", "--groups", "g.csv")
    assert message in said and not Path("morphometry").exists()


def test_groups_without_whole_fibers_and_names_with_dollars(folder):
    save(Path("preds/one_mask.tif"), np.zeros((60, 60), bool))
    Path("preds/two_mask.tif").unlink()
    write_image(Path("preds/c$x^$_mask.tif"), np.zeros((60, 60), np.uint8))
    Path("groups.csv").write_text("image,group,animal\none,$a_$,A\nc$x^$,$^$,B\n", encoding="utf-8")
    kept = Path("groups.csv").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        morphometry.main(["--pixel-size", "0.1", "--groups", "groups.csv", "--out", "."])
    assert Path("per_group.png").exists() and Path("c$x^$_plots.png").exists()
    assert Path("groups.csv").read_bytes() == kept


def test_results_of_an_earlier_run_are_named(folder, capsys):
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    Path("preds/two_mask.tif").unlink()
    capsys.readouterr()
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    said = capsys.readouterr().out
    assert "morphometry/ also holds older files: two_axons.tif, two_fibers.csv" in said
    assert "one_" not in said and "run.json" not in said


@pytest.mark.parametrize("out", ["preds", "raw/test", "raw/train"])
def test_out_is_no_folder_of_the_input(folder, capsys, out):
    said = fails(capsys, "--pixel-size", "1", "--out", out).replace("\\", "/")
    assert f"--out {out}: is a folder of the input, name another" in said


@pytest.mark.parametrize("width_um", [500.0, 1392 / 2.784, 0.05, 3.0, 99.99, 1e4])
def test_scale_bars_are_round_and_about_a_fifth(width_um):
    length = plots.scale_bar(width_um)
    assert length <= width_um / 5 * (1 + 1e-9) < length * 2.5 * (1 + 1e-9)
    assert f"{length:.0e}"[0] in "125"


# ---------------------------------------------------------------- real masks


@needs_shared
def test_reference_table():
    """AxonDeepSeg's own table: 99 % of 298 fibers, medians within 0.5 %."""
    source = SHARED / "morphometry_reference"
    masks = [cv2.imread(str(source / f"demo_{part}.png"), 0) > 127 for part in ("myelin", "axon")]
    columns = morphometry.measure_fibers(masks[0], 0.07, masks[1]).columns
    table = read_table(source / "reference_morphometrics.csv")
    theirs = {name: np.array([float(row[name]) for row in table]) for name in table[0]}
    distance = np.hypot(
        theirs["x0 (px)"][:, None] - columns["x_px"], theirs["y0 (px)"][:, None] - columns["y_px"]
    )
    found = distance.min(axis=1) < 1
    assert found.mean() >= 0.99
    partner = distance.argmin(axis=1)[found]
    for ours, name in (
        ("axon_diameter_um", "axon_diam (um)"),
        ("axon_area_um2", "axon_area (um^2)"),
        ("fiber_area_um2", "axonmyelin_area (um^2)"),
        ("myelin_area_um2", "myelin_area (um^2)"),
        ("myelin_thickness_um", "myelin_thickness (um)"),
        ("g_ratio", "gratio"),
    ):
        error = np.abs(columns[ours][partner] / theirs[name][found] - 1)
        assert np.median(error) <= 0.005, ours


@needs_shared
def test_axons_of_hand_drawn_masks():
    """Precision and recall of at least 0.99, from myelin alone, on three of the nine masks."""
    matched = axons = found = 0
    for name in ("rat1_1", "rat4_12", "rat8_V915"):
        myelin = cv2.imread(str(SHARED / "sem" / f"{name}_mask.png"), 0) > 127
        truth = cv2.imread(str(SHARED / "sem_axons" / f"{name}_axon.png"), 0) > 127
        from myelin.agreement import match_fibers

        truth = regions.label_regions(truth, 8)[0]
        ours = fibers.find_axons(myelin)
        matched += len(match_fibers(truth, ours)[0])
        axons, found = axons + truth.max(), found + ours.max()
    assert matched / axons >= 0.99 and matched / found >= 0.99
