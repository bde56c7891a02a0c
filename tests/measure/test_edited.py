"""After any edits the fibers are those of measuring the whole image."""

import cv2
import numpy as np
import pytest

from myelin.measure.doubt import add_doubt
from myelin.measure.edited import EditedFibers
from myelin.measure.fibers import measure_fibers
from myelin.measure.frame import Frame
from myelin.pixels.labels import LabelImage, shared_pixels

SHAPE = (300, 420)


def drawn(random):
    """Return masks of crowded fibers, some of which touch, with loose myelin, and a probability."""
    centers = random.uniform((0, 0), (420, 300), (70, 2))
    axon = np.zeros(SHAPE, bool)
    myelin = np.zeros(SHAPE, bool)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for x, y in centers:
        outer = random.uniform(8, 26)
        inner = outer * random.uniform(0.4, 0.8)
        radius = np.hypot(cols - x, rows - y)
        if not axon[radius < outer].any():
            axon |= radius < inner
            myelin |= radius < outer
    myelin |= random.random(SHAPE) < 0.002
    return myelin & ~axon, axon, random.integers(0, 256, SHAPE, dtype=np.uint8)


def stroke(random, masks):
    """Paint myelin, axon or nothing along a short line; return the window and what it was."""
    start = random.integers((0, 0), (420, 300))
    end = start + random.integers(-40, 40, 2)
    line = np.zeros(SHAPE, np.uint8)
    cv2.line(line, start.tolist(), end.tolist(), 1, int(random.integers(1, 16)))
    x, y, width, height = cv2.boundingRect(line)
    window = slice(y, y + height), slice(x, x + width)
    before = tuple(mask[window].copy() for mask in masks)
    line = line.view(bool)[window]
    part = random.integers(3)
    for index, mask in enumerate(masks):
        mask[window][line] = index == part
    return window, before


@pytest.mark.parametrize("frame", ["image", "tissue", "nerve"])
@pytest.mark.parametrize("seed", range(2))
def test_edited_fibers_are_those_of_the_whole_image(frame, seed, monkeypatch):
    random = np.random.default_rng(seed)
    myelin, axon, probability = drawn(random)
    given = Frame(SHAPE)
    if frame == "tissue":
        given.tissue = np.hypot(*(np.mgrid[:300, :420] - np.array([[[150]], [[210]]]))) < 200
    if frame == "nerve":
        nerve = np.zeros(SHAPE, np.uint8)
        nerve[50:280, 40:200], nerve[50:200, 220:] = 1, 2
        given.nerve = LabelImage.from_array(nerve)
    earlier = LabelImage.from_array(cv2.connectedComponents((myelin | axon).view(np.uint8))[1])
    edited = EditedFibers(given, 0.1, None, probability, earlier)
    edited.measure_all(myelin, axon)
    monkeypatch.setattr(EditedFibers, "measure_all", lambda *_: pytest.fail("measured whole"))
    for _ in range(12):
        window, before = stroke(random, (myelin, axon))
        edited.measure_change(myelin, axon, window, before)
        found, shared = edited.fibers()
        expected = measure_fibers(myelin, 0.1, axon, None, probability, given)
        add_doubt(expected, probability)
        assert list(found.columns) == list(expected.columns)
        for name, values in expected.columns.items():
            assert np.array_equal(found.columns[name], values), name
        for name in ("labels", "axons"):
            assert np.array_equal(getattr(found, name)[:], getattr(expected, name)[:])
        assert np.array_equal(found.counted, expected.counted)
        assert (found.collapsed, found.myelin_px) == (expected.collapsed, expected.myelin_px)
        pairs = np.lexsort(shared[::-1])
        for column, values in zip(shared, shared_pixels(expected.labels, earlier), strict=True):
            assert np.array_equal(column[pairs], values)
