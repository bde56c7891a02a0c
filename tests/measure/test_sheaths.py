"""Whose is which myelin, in drawn shapes."""

import math

import numpy as np
import pytest
from measuring import ring, rings

from myelin.measure.fibers import find_fibers, measure_fibers
from myelin.measure.sheaths import fill_vacuoles, neighbours
from myelin.pixels.components import label_regions
from myelin.pixels.labels import LabelImage


def test_touching_sheaths_are_split_without_losing_a_pixel():
    centers = [(60, 60), (122, 60), (91, 112)]
    myelin = rings((180, 190), centers, 20, 32)
    found = measure_fibers(myelin, 1.0)
    assert len(found) == 3, "three axons; the gap between the three sheaths is none"
    assert found.columns["fiber_diameter_um"] == pytest.approx([64] * 3, rel=0.02)
    assert ((found.labels[:] > 0) == (myelin | (found.axons[:] > 0))).all()
    thick, thin = ring((200, 260), 90, 100, 30, 60), ring((200, 260), 190, 100, 32, 40)
    found = measure_fibers(thick[0] | thin[0], 1.0)
    assert sorted(found.columns["fiber_diameter_um"]) == pytest.approx([80, 120], rel=0.03)


def test_fibers_with_high_numbers_are_neighbours_too():
    """As in scans: pairs of numbers above 46,340 have no place in 32 bits."""
    fibers = LabelImage.from_array(np.array([[0, 60_000, 70_000, 5]]))
    pairs, _ = neighbours(fibers, 70_000)
    expected = [[5, 70_000], [60_000, 70_000], [70_000, 5], [70_000, 60_000]]
    assert pairs.tolist() == expected


def test_vacuoles_and_pinholes_belong_to_the_sheath():
    myelin, _ = ring((200, 200), 100, 100, 40, 80)
    whole = measure_fibers(myelin, 1.0)
    myelin[100, 35] = False
    myelin &= ~ring((200, 200), 160, 100, 0, 7)[0]
    myelin[40:42, 90:110] = False  # a cleft
    found = measure_fibers(myelin, 1.0)
    assert len(found) == 1
    assert (found.labels[:] == whole.labels[:]).all()


def test_a_hole_that_holds_an_axon_is_not_filled():
    """An axon in an open ring, as `close_breaks` finds it, lies in a hole of another fiber."""
    fibers = np.ones((20, 20), np.int32)
    fibers[5:15, 5:15] = 0
    fibers[8:12, 8:12] = 2
    holes, boxes = label_regions(fibers != 1, 4)
    filled = fill_vacuoles(holes, boxes, np.array([1000, 16]), LabelImage.from_array(fibers))
    assert filled.areas().tolist() == [300, 16]
    filled = fill_vacuoles(holes, boxes, np.array([1000]), LabelImage.from_array(fibers % 2))
    assert filled.areas().tolist() == [400]


def swollen(shape, x, y, vacuoles, inner=10):
    """Return a swollen sheath of radius 40: round vacuoles of radius 3 around its axon."""
    myelin, _ = ring(shape, x, y, inner, 40)
    for angle in np.arange(vacuoles) * 2 * math.pi / max(vacuoles, 1):
        myelin &= ~ring(shape, x + 25 * math.cos(angle), y + 25 * math.sin(angle), 0, 3)[0]
    return myelin


@pytest.mark.parametrize("vacuoles", [1, 3, 6, 8])
def test_a_swollen_sheath_is_one_fiber(vacuoles):
    normal = rings((260, 300), [(180, 100), (200, 200), (60, 210)], 20, 32)
    alone = measure_fibers(normal, 1.0).columns
    found = measure_fibers(normal | swollen(normal.shape, 100, 100, vacuoles), 1.0)
    columns, place = found.columns, found.columns["x_px"].round() == 100
    assert len(found) == 4 and place.sum() == 1
    assert columns["fiber_area_um2"][place] == pytest.approx(math.pi * 40**2, rel=0.01)
    assert columns["g_ratio"][place] == pytest.approx(10 / 40, rel=0.02)
    for name in ("axon_area_um2", "fiber_area_um2", "g_ratio"):
        assert (columns[name][~place] == alone[name]).all(), "the others are untouched"


def test_thick_sheaths_stay():
    """A low g-ratio alone is no reason, nor beside a larger fiber: both outlines are round."""
    lone = measure_fibers(swollen((120, 120), 60, 60, 0, inner=8), 1.0)
    assert lone.columns["g_ratio"] == pytest.approx([0.2], rel=0.02)
    cut = ring((200, 200), 100, -22, 30, 80)[0]
    assert len(measure_fibers(cut, 1.0)) == 1, "a cut fiber has its axon at the side"
    large = ring((200, 240), 90, 100, 45, 60)[0]
    assert len(measure_fibers(large | ring((200, 240), 170, 100, 5, 22)[0], 1.0)) == 2


@pytest.mark.parametrize("holes", [[(85, 60)], [(86, 63), (82, 42)]])
def test_holes_make_no_fiber_of_a_sheath_without_axon(holes):
    myelin = rings((200, 300), [(180, 60), (240, 130), (60, 140)], 20, 32) | swollen(
        (200, 300), 60, 60, 0, inner=0
    )
    for x, y in holes:
        myelin &= ~ring(myelin.shape, x, y, 0, 5)[0]
    found = measure_fibers(myelin, 1.0)
    assert len(found) == 3 and found.collapsed == 1
    axons = find_fibers(myelin).axons
    assert axons.count == 3 and not axons[:90, :90].any()


def test_a_ring_within_a_ring_is_one_fiber():
    """A degenerating axon that shrank within its sheath, and has a rim of its own."""
    myelin = rings((300, 400), [(220, 60), (60, 230), (180, 230), (300, 230), (320, 80)], 20, 32)
    for inner, outer in ((44, 50), (14, 20)):
        myelin |= ring(myelin.shape, 70, 70, inner, outer)[0]
    found = measure_fibers(myelin, 1.0)
    assert len(found) == 6
    assert found.columns["fiber_diameter_um"].max() == pytest.approx(100, rel=0.01)


def test_collapsed_sheaths_are_counted_apart():
    myelin = rings((200, 300), [(60, 60), (180, 60)], 20, 32)
    rows, cols = np.mgrid[:200, :300]
    myelin |= np.hypot(rows - 150, cols - 100) < 26  # as much myelin as a fiber
    myelin |= np.hypot(rows - 150, cols - 200) < 4  # a speck
    myelin |= np.hypot(rows - 199, cols - 260) < 26  # its axon may lie outside
    found = measure_fibers(myelin, 1.0)
    assert (len(found), found.collapsed) == (2, 1)
    assert not found.labels[:][150, 100]
