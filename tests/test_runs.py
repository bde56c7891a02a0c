"""Regions as runs of pixels, against scikit-image's measures."""

import cv2
import numpy as np
import pytest

from myelin.regions import label_regions
from myelin.runs import ellipses, find_runs, hull_areas


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


def test_runs_know_their_pixels():
    labels = np.random.default_rng(0).integers(0, 3, (40, 70)).astype(np.int32)
    runs = find_runs(labels)
    np.testing.assert_array_equal(runs.paint(labels.shape), labels)
    row, column = np.nonzero(labels)
    np.testing.assert_array_equal(runs.at(row, column), labels[row, column])
