"""Outlines along the edges of pixels: there and back, and as geometry."""

import doctest

import numpy as np
import pytest

from myelin.exchange import drawing
from myelin.pixels import outlines
from myelin.pixels.outlines import fill, paint, signed_area, trace


def there_and_back(labels):
    back = np.zeros(labels.size, int)
    for number, polygons in trace(labels).items():
        back[fill([ring for polygon in polygons for ring in polygon], labels.shape)] = number
    return back.reshape(labels.shape)


@pytest.mark.parametrize("seed", range(30))
def test_any_label_image_comes_back_to_the_pixel(seed):
    """Random pixels: holes, islands in holes, and corners that touch, in every combination."""
    geometry = pytest.importorskip("shapely.geometry")
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, rng.integers(2, 5), rng.integers(1, 16, 2))
    assert (there_and_back(labels) == labels).all()
    for number, polygons in trace(labels).items():
        region = geometry.MultiPolygon([(polygon[0], polygon[1:]) for polygon in polygons])
        assert region.is_valid
        assert region.area == np.count_nonzero(labels == number)


def test_pixels_that_touch_at_a_corner_are_two_polygons():
    assert [len(polygon) for polygon in trace(np.eye(2, dtype=int))[1]] == [1, 1]


def test_a_hole_that_touches_the_outside_at_a_corner_is_a_hole():
    region = np.ones((3, 3), int)
    region[1, 1] = region[0, 0] = 0
    (polygon,) = trace(region)[1]
    assert sorted(map(signed_area, polygon)) == [-1, 8]
    assert all(len(np.unique(ring, axis=0)) == len(ring) for ring in polygon)


def test_an_outline_has_only_its_corners():
    labels = np.zeros((9, 9), int)
    labels[2:7, 1:8] = 4
    ((ring,),) = trace(labels)[4]
    assert {tuple(corner) for corner in ring.tolist()} == {(1, 2), (8, 2), (8, 7), (1, 7)}
    assert trace(np.zeros((3, 4), int)) == {}


def test_a_pixel_belongs_to_the_outline_that_holds_its_centre():
    triangle = [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)]
    inside = np.zeros(16, bool)
    inside[fill([triangle], (4, 4))] = True
    rows, cols = np.mgrid[:4, :4] + 0.5
    assert (inside.reshape(4, 4) == (rows + cols < 4)).all()


def test_what_leaves_the_image_is_cut_off():
    square = [(-5, -5), (2, -5), (2, 50), (-5, 50)]
    assert fill([square], (3, 4)).tolist() == [0, 1, 4, 5, 8, 9]
    assert fill([np.array(square) + 100], (3, 4)).tolist() == []


def test_overlapping_regions_share_no_pixel():
    labels, overlaps = paint([np.array([0, 1]), np.array([1, 2]), np.array([5])], (2, 3))
    assert labels.tolist() == [[1, 1, 2], [0, 0, 3]]
    assert overlaps == {(0, 1): 1}


def test_the_examples_in_the_documentation():
    assert doctest.testmod(outlines).failed == doctest.testmod(drawing).failed == 0
