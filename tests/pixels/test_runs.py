"""Regions as runs of pixels, against scikit-image's measures."""

import cv2
import numpy as np
import pytest

from myelin.pixels import regions
from myelin.pixels.hulls import hull_areas
from myelin.pixels.regions import label_regions
from myelin.pixels.runs import (
    Windows,
    ellipses,
    find_runs,
    label_runs,
    merge,
    paint_over,
    runs_of_pixels,
)


@pytest.fixture
def noise():
    """Return numbered regions of any shape, on the edge too."""
    grey = np.random.default_rng(0).normal(size=(150, 170))
    return label_regions(cv2.GaussianBlur(grey, (0, 0), 2) > 0.05, 4)[0]


def test_areas_ellipses_and_hulls_equal_scikit_image(noise):
    from skimage.measure import regionprops

    props, runs = regionprops(noise), find_runs(noise)
    areas = runs.areas(len(props))
    assert areas.tolist() == [region.area for region in props]
    assert hull_areas(runs).tolist() == [region.area_convex for region in props]
    found = ellipses(runs, areas)
    assert found.x == pytest.approx([region.centroid[1] for region in props])
    assert found.y == pytest.approx([region.centroid[0] for region in props])
    assert found.major**2 == pytest.approx([16 * r.inertia_tensor_eigvals[0] for r in props])
    minor = [16 * region.inertia_tensor_eigvals[1] for region in props]
    assert found.minor**2 == pytest.approx(minor, abs=1e-9)


def test_some_of_the_regions_and_other_numbers(noise):
    runs, count = find_runs(noise), noise.max()
    wanted = np.arange(count + 1) % 3 == 1
    numbers = np.cumsum(wanted) * wanted
    found = runs.renumbered(numbers)
    assert (found.areas(wanted.sum()) == runs.areas(count)[wanted[1:]]).all()
    assert (hull_areas(runs.of(wanted)) == hull_areas(runs)[wanted[1:]]).all()
    assert (hull_areas(found) == hull_areas(runs.of(wanted))).all()


def test_nothing_there():
    runs = find_runs(np.zeros((5, 6), np.int32))
    assert len(runs.number) == len(hull_areas(runs)) == len(runs.areas(0)) == 0


@pytest.fixture
def numbers():
    """Return an image of short runs, some of which end at its edges."""
    return np.random.default_rng(0).integers(0, 3, (40, 70)).astype(np.int32)


@pytest.mark.parametrize(
    "window",
    [
        np.s_[:],
        np.s_[3:11],
        np.s_[5:6, 10:30],
        np.s_[:, :1],
        np.s_[7:7],
        np.s_[1:-1, 69:90],
        np.s_[::2, ::2],
        np.s_[3::4, ::4],
        np.s_[2:31:8, 5:60:3],
    ],
    ids=str,
)
def test_windows_are_those_of_the_image(numbers, window):
    found = find_runs(numbers)[window]
    np.testing.assert_array_equal(found, numbers[window])
    assert found.dtype == np.int32


@pytest.mark.parametrize("rows", [2, 6, 40])
def test_windows_one_after_the_other(numbers, rows, monkeypatch):
    monkeypatch.setattr(regions, "BAND_PX", rows * 70)
    windows = Windows(find_runs(numbers))
    for top, bottom in ((0, 1), (0, 5), (1, 30), (4, 8), (5, 40), (9, 11), (38, 40), (0, 40)):
        view = slice(top, bottom), slice(top, 70 - bottom)
        np.testing.assert_array_equal(windows[view], numbers[view])


def test_runs_know_their_pixels(numbers):
    runs = find_runs(numbers)
    row, column = np.mgrid[:40, :70].reshape(2, -1)
    np.testing.assert_array_equal(runs.at(row, column), numbers.ravel())
    np.testing.assert_array_equal(np.stack(runs.pixels(2)), np.nonzero(numbers == 2))
    assert runs.of(np.zeros(3, bool)).at(row, column).tolist() == [0] * 2800


def test_runs_from_pixels(numbers):
    place, shape = np.random.default_rng(1).permutation(numbers.size), numbers.shape
    place = np.append(place[:300], place)  # of those that come twice, the later counts
    number = np.append(np.full(300, 5), numbers.ravel()[place[300:]] + 1)
    runs = runs_of_pixels(place, number, shape)
    np.testing.assert_array_equal(runs[:], numbers + 1)
    assert len(runs.number) == len(find_runs(numbers + 1).number)
    assert not runs_of_pixels(place[:0], number[:0], shape)[:].any()


def test_two_images_in_one(numbers):
    runs = find_runs(numbers)
    one, other = runs.renumbered(np.array([0, 1, 0])), runs.renumbered(np.array([0, 0, 2]))
    assert all((merge(one, other).places[i] == runs.places[i]).all() for i in range(3))
    np.testing.assert_array_equal(merge(one, other)[:], numbers)
    above = find_runs(np.roll(numbers, 5, axis=0) // 2)
    np.testing.assert_array_equal(paint_over(runs, above)[:], np.where(above[:], above[:], numbers))


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("density", [0.3, 0.5, 0.6, 0.75])
def test_regions_are_connected_over_bands(connectivity, density, monkeypatch):
    """In the order of OpenCV, with the same boxes; 0.6 is where regions become very large."""
    mask = np.random.default_rng(2).random((90, 61)) < density
    mask[40, 10:20] = mask[38:50, 30] = False
    labels, boxes = label_regions(mask, connectivity)
    monkeypatch.setattr(regions, "BAND_PX", 6 * 61)
    runs, found = label_runs(mask, connectivity)
    np.testing.assert_array_equal(runs[:], labels)
    np.testing.assert_array_equal(found[1:], boxes[1:])
    assert found[0, 4] == 0
