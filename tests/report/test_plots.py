"""Overlays and plots of morphometry.py."""

import contextlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import rings, save, save_two

import morphometry
from myelin.measure.cases import Case
from myelin.measure.fibers import measure_fibers, write_fibers
from myelin.report import fiber_overlay
from myelin.report.axes import choose_bins, choose_colours
from myelin.report.fiber_overlay import MIN_PX, draw_overlay, place_numbers
from myelin.report.figures import Pictures


@pytest.mark.parametrize("shape", [(1, 1), (5000, 1), (3, 4000)])
def test_images_of_slender_masks(tmp_path, shape):
    mask = np.zeros(shape, bool)
    draw_overlay(tmp_path / "x.png", measure_fibers(mask, 0.1), mask)
    assert min(cv2.imread(str(tmp_path / "x.png")).shape[:2]) >= MIN_PX


def small_fibers():
    """Return 100 fibers 9 pixels wide, side by side."""
    centers = [(x, y) for x in range(20, 120, 10) for y in range(20, 120, 10)]
    mask = rings((140, 140), centers, 2, 4.6)
    fibers = measure_fibers(mask, 0.1)
    assert len(fibers) == 100
    return fibers, mask


def test_numbers_are_written_and_the_overlay_enlarged_for_them(tmp_path):
    fibers, mask = small_fibers()
    grey = np.full(mask.shape, 128, np.uint8)
    for name, numbers in (("plain", None), ("numbered", range(9001, 9101))):
        draw_overlay(tmp_path / f"{name}.png", fibers, mask, grey, numbers)
    plain, numbered = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("plain", "numbered"))
    assert numbered.shape[1] >= plain.shape[1]
    zoom = numbered.shape[1] / mask.shape[1]
    x, y = ((fibers.columns[name] + 0.5) * zoom for name in ("x_px", "y_px"))
    for x0, y0 in zip(x.astype(int), y.astype(int), strict=True):
        around = numbered[y0 - 8 : y0 + 9, x0 - 20 : x0 + 21].min(axis=2)
        assert np.count_nonzero(around == 255) > 30, "white digits"
        assert np.count_nonzero(around == 0) > 30, "with a black outline"


@pytest.mark.parametrize("grey", [0, 255])
def test_what_is_outside_is_striped(tmp_path, grey):
    mask = rings((100, 400), [(300, 50)], 20, 32)
    outside = np.zeros(mask.shape, bool)
    outside[:, :150] = True
    image = np.full(mask.shape, grey, np.uint8)
    draw_overlay(tmp_path / "x.png", measure_fibers(mask, 0.1), mask, image, outside=outside)
    drawn = cv2.imread(str(tmp_path / "x.png"))
    zoom = drawn.shape[1] // 400
    margin, tissue = drawn[: 100 * zoom, : 150 * zoom], drawn[: 100 * zoom, 150 * zoom : 200 * zoom]
    assert len(np.unique(margin)) == 2 and grey not in margin
    assert (tissue == grey).all()


def test_the_overlay_of_a_scan_is_painted_from_some_of_its_pixels():
    myelin = rings((120, 200), [(50, 60), (110, 60)], 20, 32)
    fibers, outside = measure_fibers(myelin, 0.1), np.zeros((120, 200), bool)
    outside[90:] = True
    whole = fiber_overlay.paint(fibers, myelin, choose_colours([]), outside)
    found = fiber_overlay.paint(fibers, myelin, choose_colours([]), outside, 4)
    assert found.shape == (30, 50, 3) and len(np.unique(found[23:])) == 2
    sheaths = cv2.erode(myelin.view(np.uint8), np.ones((9, 9)))[::4, ::4] > 0
    sheaths &= ~outside[::4, ::4] & whole[::4, ::4].any(axis=2)  # but for lines between fibers
    both = sheaths & found.any(axis=2)
    assert both.sum() > 30 and (found[both] == whole[::4, ::4][both]).all()


@pytest.mark.parametrize("largest", [0.037, 0.8, 3.3, 12.0, 999.0])
def test_bins_are_round_and_hold_all_values(largest):
    rng = np.random.default_rng(1)
    images = [largest * rng.random(300), largest * np.append(rng.random(200), 1)]
    bins = choose_bins(images)
    step = bins.edges[1]
    assert bins.edges[0] == 0 and f"{step:.0e}"[0] in "125"
    assert bins.edges == pytest.approx(np.arange(len(bins.edges)) * step)
    assert bins.end - step < largest <= bins.end * (1 + 1e-9)
    assert 10 <= len(bins.edges) <= 30
    counts = [np.histogram(values, bins.edges)[0] for values in images]
    assert bins.tallest == max(count.max() for count in counts)
    assert [count.sum() for count in counts] == [300, 201]
    far = np.append(np.linspace(1, 3, 999), 100)  # does not squeeze the others
    assert choose_bins([far]).end == pytest.approx(3, abs=0.5)


def test_colours_span_the_ratios_and_tell_what_is_beyond():
    colours = choose_colours([np.linspace(0.52, 0.68, 500), np.linspace(0.6, 0.78, 500)])
    assert (colours.low, colours.high) == (0.5, 0.8)
    assert not colours.below and not colours.above
    colours = choose_colours([np.append(np.full(998, 0.6), [0.2, 0.9])])
    assert colours.low <= 0.6 <= colours.high and colours.high - colours.low <= 0.1
    assert colours.below and colours.above
    assert choose_colours([np.empty(0)]).low == 0.3


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Folders of pictures of two different images in all formats, drawn twice."""
    folder = tmp_path_factory.mktemp("drawn")
    with contextlib.chdir(folder):
        save_two()
        centers = [(40, 60), (100, 60), (160, 60)]
        save(Path("preds/two_mask.tif"), rings((120, 200), centers, 12, 25))
        call = ["--pixel-size", "0.1", "--numbers", "--plot-format", "pdf", "svg", "--out"]
        for out in ("first", "second"):
            morphometry.main([*call, out])
    return folder / "first", folder / "second"


def texts(path):
    """Return the texts of an SVG file."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_vector_formats_hold_text_and_reruns_are_equal(drawn):
    for name in ("one_plots", "one_overlay", "plots"):
        for ending in ("png", "pdf", "svg"):
            file, again = (folder / f"{name}.{ending}" for folder in drawn)
            assert file.read_bytes() == again.read_bytes()
            assert not re.search(rb"CreationDate|dc:date", file.read_bytes())
        assert b"/Type /Font" in (drawn[0] / f"{name}.pdf").read_bytes()
    assert {"1", "2", "g-ratio", "2 µm"} <= set(texts(drawn[0] / "one_overlay.svg"))
    assert "one, 2 whole fibers" in texts(drawn[0] / "one_plots.svg")


@pytest.mark.slow
def test_images_of_a_run_share_axes_and_counts_are_whole(drawn):
    one, two = (texts(drawn[0] / f"{name}_plots.svg") for name in ("one", "two"))
    numbers = [[text for text in found if re.fullmatch(r"[\d.]+", text)] for found in (one, two)]
    assert numbers[0] == numbers[1] and len(numbers[0]) > 15
    # After the name of its axis, a histogram's counts.
    start = one.index("axon diameter (µm)", one.index("g-ratio"))
    counts = one[start + 1 : one.index("fibers")]
    assert counts[0] == "0" and {"1", "2", "3"} <= set(counts)
    assert all(count.isdigit() for count in counts)


def test_what_is_drawn_last_is_what_was_measured(tmp_path):
    fibers, _ = small_fibers()
    numbers = fibers.columns["fiber"] = np.arange(100)[::-1] * 7 + 5
    outside = np.zeros(fibers.labels.shape, bool)
    outside[:9, 3:] = True
    write_fibers(tmp_path, "x", fibers)
    pictures = Pictures(tmp_path)
    pictures.add(Case("x", [(None, None)]), fibers, outside=outside)
    read = pictures.with_pixels(pictures.pictures[0])
    assert (read.labels[:] == fibers.labels[:]).all() and (read.axons[:] == fibers.axons[:]).all()
    assert (pictures.pictures[0].outside.to_mask() == outside).all()
    assert (read.columns["fiber"] == numbers).all()


def test_numbers_stand_on_fibers_that_are_not_excluded():
    fibers, _ = small_fibers()
    fibers.columns["excluded"][:40] = "wrong"
    placed = place_numbers(fibers, range(1, 101), 4, 4)
    assert [int(number.text) for number in placed] == list(range(41, 101))
    on = fibers.labels[:][[int(n.y / 4) for n in placed], [int(n.x / 4) for n in placed]]
    assert on.tolist() == list(range(41, 101))
