"""Synthetic nerves: truth against mask, polarity, files, bad input."""

import doctest

import cv2
import numpy as np
import pytest
import tifffile
from measuring import fails, read_table

import data
import synthetic
from myelin.images import image as images
from myelin.synthetic import nerve as synthetic_nerve
from myelin.synthetic.looks import LOOKS
from myelin.synthetic.nerve import SCENES, TRUE_COLUMNS, draw_nerve

PIXEL_SIZE_UM = 0.1


@pytest.fixture(scope="module", params=list(LOOKS))
def drawing(request):
    rng = np.random.default_rng(7)
    return draw_nerve(400, 480, PIXEL_SIZE_UM, rng, look=request.param, scenes=())


def regions(mask, neighbours=4):
    """Return labels and areas (px) of the connected regions of True; area 0 for the rest."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), None, None, None, neighbours, cv2.CV_32S
    )
    sizes = stats[:, cv2.CC_STAT_AREA].copy()
    sizes[0] = 0
    return labels, sizes


def enclosed(mask):
    """Return labels of the regions that myelin encloses, and their numbers."""
    labels, _ = regions(~mask)
    frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return labels, set(np.unique(labels)) - set(frame) - {0}


def at_poles(labels, fibers, chosen):
    """Return the label at the table's position of each chosen fiber."""
    columns, rows = (np.rint(fibers[name][chosen]).astype(int) for name in ("x_px", "y_px"))
    return labels[rows, columns]


def test_truth_agrees_with_the_mask(drawing):
    _, mask, fibers = drawing
    whole = ~fibers["touches_border"]
    axons, axon_px = regions(~mask)
    axon_area = axon_px[at_poles(axons, fibers, whole)] * PIXEL_SIZE_UM**2
    # The fiber: its axon, and the piece of myelin whose pixels lie next to that axon.
    sheaths, sheath_px = regions(mask, neighbours=8)  # 8: a leak between two sheaths would show
    sheath = []
    for number in at_poles(axons, fibers, whole):
        ring = cv2.dilate((axons == number).astype(np.uint8), np.ones((3, 3))) > 0
        # A tip of an infolding thinner than a pixel may come apart; another sheath is larger.
        touched = [piece for piece in np.unique(sheaths[ring & mask]) if sheath_px[piece] > 4]
        assert len(touched) == 1
        sheath.append(touched[0])
    assert len(set(sheath)) == len(sheath)  # no two axons share a piece of myelin: none merge
    fiber_area = axon_area + sheath_px[sheath] * PIXEL_SIZE_UM**2

    axon, fiber = 2 * np.sqrt([axon_area / np.pi, fiber_area / np.pi])
    truth = {name: values[whole] for name, values in fibers.items()}
    measured = {
        "axon_diameter_um": axon,
        "fiber_diameter_um": fiber,
        "myelin_thickness_um": (fiber - axon) / 2,
        "g_ratio": axon / fiber,
    }
    large = truth["axon_diameter_um"] > 16 * PIXEL_SIZE_UM  # below, whole pixels are too coarse
    assert large.sum() >= 10
    for name, values in measured.items():
        assert values.mean() == pytest.approx(truth[name].mean(), rel=0.01), name
        assert np.median(np.abs(values / truth[name] - 1)[large]) < 0.01, name


@pytest.mark.parametrize("pixel_size_um", [0.05, 0.13, 0.3])
@pytest.mark.parametrize("scenes", [(), tuple(SCENES)])
def test_enclosed_regions_are_the_axons(pixel_size_um, scenes):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        _, mask, fibers = draw_nerve(256, 256, pixel_size_um, rng, look="mixed", scenes=scenes)
        whole = ~fibers["touches_border"] & (fibers["kind"] != "collapsed")
        labels, inside = enclosed(mask)
        found = at_poles(labels, fibers, whole)
        assert len(set(found)) == whole.sum()
        assert set(found) <= inside
        # Others belong to fibers that are cut but whose axon is not: never gaps between sheaths.
        assert len(inside) <= len(fibers["fiber"])


def test_columns_of_the_table_agree(drawing):
    fibers = drawing[2]
    assert list(fibers) == TRUE_COLUMNS
    assert len({len(values) for values in fibers.values()}) == 1
    np.testing.assert_array_equal(fibers["fiber"], np.arange(1, len(fibers["fiber"]) + 1))
    np.testing.assert_allclose(
        fibers["g_ratio"], fibers["axon_diameter_um"] / fibers["fiber_diameter_um"]
    )
    np.testing.assert_allclose(
        fibers["myelin_area_um2"], fibers["fiber_area_um2"] - fibers["axon_area_um2"]
    )
    assert 0.5 < np.nanmean(fibers["g_ratio"]) < 0.85


def test_collapsed_fibers_have_no_axon():
    rng = np.random.default_rng(3)
    _, mask, fibers = draw_nerve(512, 512, 0.15, rng, scenes=("diseased",))
    assert {"healthy", "swollen", "collapsed"} <= set(fibers["kind"])
    collapsed = fibers["kind"] == "collapsed"
    assert np.isnan(fibers["g_ratio"]).tolist() == collapsed.tolist()
    assert at_poles(mask, fibers, collapsed & ~fibers["touches_border"]).all()


def test_the_grey_edge_lies_at_the_mask_edge():
    """Half-way between axon and myelin, the grey image agrees with the mask to 0.1 px."""
    image, mask, fibers = draw_nerve(400, 480, PIXEL_SIZE_UM, np.random.default_rng(3), scenes=())
    large = ~fibers["touches_border"] & (fibers["axon_diameter_um"] > 2.5)
    axons, _ = regions(~mask)
    square = np.ones((3, 3), np.uint8)
    offsets = []
    for number in at_poles(axons, fibers, large):
        axon = (axons == number).astype(np.uint8)
        outer, inner = (f(axon, square, iterations=3) for f in (cv2.dilate, cv2.erode))
        level = (np.median(image[inner > 0]) + np.median(image[outer - axon > 0])) / 2
        band = (outer - inner) > 0
        perimeter = axon.sum() - cv2.erode(axon, square).sum()
        offsets.append(((image[band] < level).sum() - axon[band].sum()) / perimeter)
    assert len(offsets) > 5
    assert abs(np.median(offsets)) < 0.1


@pytest.mark.parametrize("look", list(LOOKS))
def test_dark_myelin_is_the_image_inverted_with_the_same_mask(look):
    bright, dark = (
        draw_nerve(200, 200, 0.1, np.random.default_rng(4), myelin, look, ())
        for myelin in ("bright", "dark")
    )
    np.testing.assert_array_equal(bright[1], dark[1])
    for (image, mask, _), sign in ((bright, 1), (dark, -1)):
        assert sign * (np.median(image[mask]) - np.median(image[~mask])) > 20


def test_black_margin_holds_no_myelin():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        image, mask, _ = draw_nerve(200, 240, 0.1, rng, scenes=("margin",))
        labels, sizes = regions(image == 0)
        margin = labels == sizes.argmax()
        assert margin.mean() > 0.03
        assert not (mask & margin).any()


def test_images_masks_and_tables_are_written_and_can_be_packed(folder, capsys):
    options = "--size 96 128 --pixel-size 0.2 --seed 5 --myelin mixed"
    synthetic.main(f"--train 2 --test 1 {options}".split())
    assert "3 images" in capsys.readouterr().out
    train = {path.name for path in (folder / "raw/train").iterdir()}
    endings = (".tif", "_mask.tif", "_fibers.csv")
    assert train == {f"synthetic_0{n}{ending}" for n in (1, 2) for ending in endings}
    test = {path.name for path in (folder / "raw/test").iterdir()}
    assert test == {f"synthetic_test_01{ending}" for ending in endings}

    path = folder / "raw/train/synthetic_01.tif"
    assert images.read_record(path).pixel_size()[0] == pytest.approx(0.2)
    assert tifffile.imread(path).shape == (96, 128)
    assert images.read_mask(path.with_name("synthetic_01_mask.tif")).any()
    rows = read_table(path.with_name("synthetic_01_fibers.csv"))
    assert list(rows[0]) == TRUE_COLUMNS
    assert float(rows[0]["fiber_area_um2"]) > 0
    assert rows[0]["touches_border"] in ("True", "False")

    # Its own files may be replaced, and an image does not depend on how many are drawn.
    before = path.read_bytes()
    synthetic.main(f"--train 1 --test 0 {options}".split())
    assert path.read_bytes() == before
    data.main([])  # and the suite packs them


@pytest.mark.parametrize("name", ["synthetic_01.tif", "synthetic_01_mask.png", "synthetic_01.png"])
def test_files_of_others_are_not_overwritten(folder, capsys, name):
    path = folder / "raw/train" / name
    path.write_bytes(b"mine")
    command = ["--train", "1", "--test", "1", "--size", "64", "64"]
    message = fails(synthetic.main, capsys, *command)
    assert message.startswith("error: ") and name in message and "--force" in message
    assert path.read_bytes() == b"mine"
    assert not any((folder / "raw/test").iterdir())
    synthetic.main([*command, "--force"])
    assert (folder / "raw/train/synthetic_01.tif").stat().st_size > 4


@pytest.mark.parametrize(
    "command",
    [
        "--train -1",
        "--train 0 --test 0",
        "--size 10 512",
        "--size 512 99999",
        "--pixel-size nan",
        "--pixel-size 5",
        "--look x",
        "--scenes flood",
        "--scenes none fat",
    ],
)
def test_bad_options_are_one_error_and_write_nothing(folder, capsys, command):
    assert "error: " in fails(synthetic.main, capsys, *command.split())
    assert not list(folder.rglob("*.*"))


def test_the_example_in_the_docstring_runs():
    assert doctest.testmod(synthetic_nerve).failed == 0
