"""Label images stored as run lengths, against arrays; measures of regions, against scikit-image."""

import doctest

import cv2
import numpy as np
import pytest
from skimage.measure import regionprops

from myelin.pixels import labels as label_images
from myelin.pixels.components import label_regions
from myelin.pixels.hulls import Hulls
from myelin.pixels.labels import LabelImage
from myelin.pixels.regions import ellipses, perimeters, round_holes


@pytest.fixture
def noise():
    """Return numbered regions of any shape, on the edge too."""
    grey = np.random.default_rng(0).normal(size=(150, 170))
    return label_regions(cv2.GaussianBlur(grey, (0, 0), 2) > 0.05, 4)[0]


@pytest.fixture
def numbers():
    """Return an array of short runs, some of which end at its edges."""
    return np.random.default_rng(0).integers(0, 3, (40, 70)).astype(np.int32)


def test_measures_of_regions_equal_scikit_image(noise):
    props, areas = regionprops(noise.to_array()), noise.areas()
    assert areas.tolist() == [region.area for region in props]
    assert Hulls(noise).areas().tolist() == [region.area_convex for region in props]
    assert perimeters(noise, len(props)) == pytest.approx([region.perimeter for region in props])
    boxes = noise.boxes()[1:]
    corners = np.concatenate([boxes[:, 1::-1], boxes[:, 1::-1] + boxes[:, 3:1:-1]], axis=1)
    assert corners.tolist() == [list(region.bbox) for region in props]
    x, y, minor, major = ellipses(noise, areas)
    assert np.stack([y, x], axis=1) == pytest.approx(
        np.array([region.centroid for region in props])
    )
    axes = np.array([region.inertia_tensor_eigvals for region in props]).T
    assert 16 * axes == pytest.approx(np.stack([major, minor]) ** 2, abs=1e-9)


def test_smallest_diameters_equal_those_at_all_angles(noise):
    turns = np.linspace(0, np.pi, 1000)
    steps = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]]) / 2  # to the edges of a pixel
    widths = []
    for region in regionprops(noise.to_array()):
        edges = (region.coords[:, None] + steps).reshape(-1, 2)
        widths.append(np.ptp(edges @ [np.sin(turns), np.cos(turns)], axis=0).min())
    shortfall = widths - Hulls(noise).min_feret()
    assert (shortfall >= -1e-9).all() and (shortfall < 0.2).all()


def test_chosen_regions_keep_their_measures_under_new_numbers(noise):
    wanted = np.arange(noise.count + 1) % 3 == 1
    found = noise.renumbered(np.cumsum(wanted) * wanted)
    assert (found.areas(wanted.sum()) == noise.areas()[wanted[1:]]).all()
    assert (Hulls(noise.keep(wanted)).areas() == Hulls(noise).areas()[wanted[1:]]).all()
    assert (Hulls(found).areas() == Hulls(noise).areas()[wanted[1:]]).all()


def test_regions_that_get_the_same_number_become_one(numbers):
    joined = LabelImage.from_array(numbers).renumbered(np.array([0, 5, 5]))
    expected = LabelImage.from_array(5 * (numbers > 0))
    assert all((one == other).all() for one, other in zip(joined.runs, expected.runs, strict=True))


def test_an_image_without_regions():
    empty = LabelImage.from_array(np.zeros((5, 6), np.int32))
    assert empty.count == len(Hulls(empty).areas()) == len(empty.areas()) == 0
    assert empty.at(np.array([2]), np.array([3])).tolist() == [0] and not empty[:].any()


@pytest.mark.parametrize("band_rows", [2, 6, 40])
def test_windows_are_those_of_the_array(numbers, band_rows, monkeypatch):
    monkeypatch.setattr(label_images, "BAND_PX", band_rows * 70)
    labels = LabelImage.from_array(numbers)
    narrow = ((0, 1), (0, 5), (1, 30), (4, 8), (5, 40), (9, 11), (38, 40), (0, 40))
    windows = [(slice(top, bottom), slice(top, 70 - bottom)) for top, bottom in narrow]
    windows += [np.s_[:], np.s_[3:11], np.s_[:, :1], np.s_[7:7], np.s_[1:-1, 69:90]]
    windows += [np.s_[::2, ::2], np.s_[3::4, ::4], np.s_[2:31:8, 5:60:3]]
    for window in windows:
        np.testing.assert_array_equal(labels[window], numbers[window], str(window))
    assert labels[:4].dtype == np.int32


def test_pixels_are_found_by_place_and_by_mask(numbers):
    labels = LabelImage.from_array(numbers)
    row, column = np.mgrid[:40, :70].reshape(2, -1)
    np.testing.assert_array_equal(labels.at(row, column), numbers.ravel())
    np.testing.assert_array_equal(labels.numbers_on(numbers > 1), numbers[numbers > 1])
    weights = np.random.default_rng(1).integers(0, 255, numbers.shape, np.uint8)
    assert labels.sums(weights, 2).tolist() == [weights[numbers == i].sum() for i in (1, 2)]


def test_pixels_are_added(numbers):
    places = [np.flatnonzero(numbers == number) for number in (0, 1, 2)]
    labels = LabelImage.from_array(numbers * (numbers == 1))
    twice = places[2][:50]  # of a pixel that occurs twice, the later number counts
    found = labels.with_pixels([twice, places[0], places[2]], np.array([9, 7, 2]))
    np.testing.assert_array_equal(found[:], np.choose(numbers, [7, 1, 2]))
    assert found.number.shape == LabelImage.from_array(numbers + 1).number.shape


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("density", [0.3, 0.5, 0.6, 0.75])
def test_regions_are_connected_over_bands(connectivity, density, monkeypatch):
    """In the order of OpenCV, with the same boxes; 0.6 is where regions become very large."""
    mask = np.random.default_rng(2).random((90, 61)) < density
    mask[40, 10:20] = mask[38:50, 30] = False
    labels, boxes = label_regions(mask, connectivity)
    monkeypatch.setattr(label_images, "BAND_PX", 6 * 61)
    found, found_boxes = label_regions(mask, connectivity)
    np.testing.assert_array_equal(found[:], labels[:])
    np.testing.assert_array_equal(found_boxes[1:], boxes[1:])
    assert found_boxes[0, 4] == boxes[0, 4] == 0


def test_round_empty_holes_are_found():
    mask = np.zeros((100, 240), np.uint8)
    for x, filled in ((40, 0), (120, 12), (200, 0)):
        cv2.circle(mask, (x, 50), 30, 1, -1)
        cv2.circle(mask, (x, 50), 20, 0, -1)
        cv2.circle(mask, (x, 50), filled, int(filled > 0), -1)
    mask[48:52, 180:240] = 0  # opens the third ring
    assert round_holes(mask > 0, 4).tolist() == [pytest.approx(1300, rel=0.02)]


def test_the_example_in_the_docstring():
    assert doctest.testmod(label_images).failed == 0
