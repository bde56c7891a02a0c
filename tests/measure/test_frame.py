"""Counting in a frame of any shape: without bias, and as ever where the frame is the image."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import read_table, ring, rings, save
from tifffile import imread

import morphometry
from myelin.images.image import write_image
from myelin.measure.fibers import measure_fibers
from myelin.measure.frame import Frame, forbidden_line
from myelin.pixels.labels import LabelImage

ROWS, COLS = np.mgrid[:400, :500]
SHAPES = {
    "all": ROWS >= 0,
    "rectangle": (abs(ROWS - 190) < 150) & (abs(COLS - 270) < 180),
    "aperture": np.hypot(ROWS - 200, COLS - 250) < 190,
    "two corners missing": ((ROWS > 90) | (COLS < 350)) & ((ROWS < 280) | (COLS > 120)),
    "triangle": (COLS > 0.7 * ROWS) & (COLS < 470) & (ROWS > 10),
    "turned": (abs(0.9 * COLS + 0.43 * ROWS - 310) < 170)
    & (abs(0.9 * ROWS - 0.43 * COLS - 75) < 130),
}


@pytest.mark.parametrize("name", SHAPES)
def test_counting_is_unbiased(name):
    """Over all places that a fiber can have, it is counted as often as the frame has pixels."""
    frame = np.pad(SHAPES[name], 40)
    line = np.pad(forbidden_line(SHAPES[name]), 40)
    counted = []
    for size in ((9, 9), (15, 5), (5, 15)):
        axon = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * size[0] + 1, 2 * size[1] + 1))
        seen, touching = (cv2.dilate(part.view(np.uint8), axon) > 0 for part in (frame, line))
        counted.append(np.count_nonzero(seen & ~touching))
    assert np.mean(counted) == pytest.approx(frame.sum(), rel=0.01)


def test_the_line_of_a_rectangle_is_its_top_and_left_edge():
    frame = SHAPES["rectangle"]
    line = forbidden_line(frame)
    rows, cols = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
    expected = np.zeros_like(frame)
    expected[rows[0]], expected[:, cols[0]] = True, True
    assert (line == (expected & frame)).all()
    assert (forbidden_line(SHAPES["all"]) == ((ROWS == 0) | (COLS == 0))).all()


def field():
    """Return a mask of fibers in rows, which the frames below cut here and there."""
    centres = [
        (31 + 61 * col + 20 * (row % 2), 25 + 58 * row) for row in range(7) for col in range(8)
    ]
    return rings((400, 500), centres, 14, 23)


@pytest.mark.parametrize("axons", [False, True])
def test_padding_changes_nothing(axons):
    """A padded image has the fibers of the image itself, in order, and the same sizes."""
    mask = field()[40:340, 30:430]
    axon = measure_fibers(mask, 0.1).axons[:] > 0 if axons else None
    tissue = np.zeros((420, 560), bool)
    tissue[70:370, 90:490] = True
    around = ((70, 50), (90, 70))
    plain = measure_fibers(mask, 0.1, axon)
    wide_axon = np.pad(axon, around) if axons else None
    frame = Frame(tissue.shape, tissue)
    padded = measure_fibers(np.pad(mask, around), 0.1, wide_axon, frame=frame)
    assert (padded.counted == plain.counted).all()
    assert padded.area_mm2 == pytest.approx(plain.area_mm2)
    assert (padded.myelin_px, padded.collapsed) == (plain.myelin_px, plain.collapsed)
    for name, values in plain.columns.items():
        shift = {"x_px": 90, "y_px": 70}.get(name, 0)
        if name == "touches_border":  # the outline of a margin is known to two pixels
            assert (padded.columns[name] >= values).all()
        elif values.dtype.kind in "fi":
            assert padded.columns[name] == pytest.approx(values + shift, nan_ok=True)


def test_background_along_the_tissue_is_no_axon():
    tissue = np.zeros((300, 400), bool)
    tissue[40:260, 60:340] = True
    myelin = ring(tissue.shape, 200, 150, 20, 30)[0]
    assert len(measure_fibers(myelin, 1.0, frame=Frame(tissue.shape, tissue))) == 1


def test_the_outline_of_the_tissue_is_a_border():
    mask = rings((200, 300), [(60, 60), (160, 60), (150, 150)], 20, 32)
    tissue = np.zeros_like(mask)
    tissue[:, 46:186] = True
    found = measure_fibers(mask, 1.0, frame=Frame(mask.shape, tissue))
    assert found.columns["touches_border"].tolist() == [True, True, False]
    assert found.counted.tolist() == [False, True, True]
    assert not found.labels[:][~tissue].any()


@pytest.mark.parametrize("margin", [0, 30])
def test_pixels_of_fascicles_are_counted(margin):
    nerve = np.zeros((600, 500), np.int32)
    myelin = np.random.default_rng(0).random(nerve.shape) > 0.5
    nerve[20:, :200], nerve[:, 300:], nerve[:20, :10] = 3, 7, 9
    tissue = np.ones(nerve.shape, bool)
    tissue[:margin] = False
    frame = Frame(nerve.shape, tissue if margin else None, LabelImage.from_array(nerve))
    parts = {n: (nerve == n) & tissue for n in (3, 7, 9) if n < 9 or not margin}
    assert frame.fascicle_px() == {number: part.sum() for number, part in parts.items()}
    in_myelin = {number: (part & myelin).sum() for number, part in parts.items()}
    assert frame.fascicle_px(myelin) == in_myelin


def test_density_of_an_image_with_margins(folder, capsys):
    """The command: area, fractions, border, overlay and run.json; --whole-frame as before."""
    mask = field()
    rng = np.random.default_rng(0)
    image = np.where(mask, 200, 70) + cv2.GaussianBlur(rng.normal(0, 60, mask.shape), (5, 5), 0)
    image = np.clip(image, 9, 246).astype(np.uint8)
    image[:, :200], mask[:, :200] = 0, False
    save(Path("preds/a_mask.tif"), mask)
    write_image(Path("raw/test/a.tif"), image)
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert "40.0 % margin" in capsys.readouterr().out
    (row,) = read_table("morphometry/summary.csv")
    assert float(row["margin_fraction"]) == pytest.approx(0.4, abs=0.003)
    assert float(row["area_mm2"]) == pytest.approx(400 * 300 * 1e-6, rel=0.005)
    assert row["tissue_area_mm2"] == row["area_mm2"]
    crop = measure_fibers(mask[:, 200:], 1.0, image=image[:, 200:])
    density = crop.counted.sum() / crop.area_mm2
    assert float(row["fiber_density_per_mm2"]) == pytest.approx(density, rel=0.02)
    assert float(row["myelin_area_fraction"]) == pytest.approx(mask[:, 200:].mean(), rel=0.01)
    assert int(row["border_fibers"]) >= (~crop.whole).sum()
    morphometry.main(["--pixel-size", "1", "--no-pictures", "--whole-frame", "--out", "whole"])
    (whole,) = read_table("whole/summary.csv")
    assert float(whole["area_mm2"]) == pytest.approx(0.2) and whole["margin_fraction"] == ""
    assert json.loads(Path("whole/run.json").read_text(encoding="utf-8"))["whole_frame"] is True


def test_without_the_image_margins_are_unknown(folder, capsys):
    save(Path("preds/a_mask.tif"), ring((120, 120), 60, 60, 30, 45)[0])
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert "note: a: image not found" in capsys.readouterr().out
    (row,) = read_table("morphometry/summary.csv")
    assert row["margin_fraction"] == row["tissue_area_mm2"] == ""
    assert float(row["area_mm2"]) == pytest.approx(120 * 120 * 1e-6)
    assert imread("morphometry/a_labels.tif").max() == 1
