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


SPACES = ("vacuole_area_um2", "cleft_area_um2", "periaxonal_area_um2")


@pytest.mark.parametrize("drawn", [False, True])
def test_vacuoles_and_clefts_belong_to_the_sheath(drawn):
    """g with them refers to the outline of the fiber, g without them to pixels of myelin."""
    myelin, lumen = ring((200, 200), 100, 100, 40, 80)
    whole = measure_fibers(myelin, 0.5)
    vacuole, cleft = ring((200, 200), 160, 100, 0, 7)[0], np.zeros((200, 200), bool)
    cleft[40:42, 90:110] = vacuole[100, 35] = True
    myelin &= ~(vacuole | cleft)
    axon = ring((200, 200), 103, 100, 0, 30)[0] if drawn else lumen
    found = measure_fibers(myelin, 0.5, axon if drawn else None)
    columns = found.columns
    assert len(found) == 1 and (found.labels[:] == whole.labels[:]).all()
    space = (lumen & ~axon).sum() / 4 if drawn else math.nan
    areas = [columns[name][0] for name in SPACES]
    assert areas == pytest.approx([vacuole.sum() / 4, 10, space], nan_ok=True)
    outline = ring((200, 200), 100, 100, 0, 80)[0].sum()
    with_spaces, without = columns["g_ratio_with_spaces"], columns["g_ratio_without_spaces"]
    assert with_spaces == pytest.approx(math.sqrt(axon.sum() / outline))
    assert without == pytest.approx(math.sqrt(axon.sum() / (axon | myelin).sum()))
    assert with_spaces == pytest.approx(columns["g_ratio"])


def test_a_large_vacuole_counts_although_it_is_not_in_the_area_of_the_fiber():
    myelin, axon = ring((300, 300), 150, 150, 40, 140)
    vacuole = ring((300, 300), 220, 150, 0, 25)[0]
    columns = measure_fibers(myelin & ~vacuole, 1.0, axon).columns
    assert columns["vacuole_area_um2"] == vacuole.sum()
    assert columns["fiber_area_um2"] == (myelin | axon).sum() - vacuole.sum()
    assert columns["g_ratio_with_spaces"] == pytest.approx([40 / 140], rel=0.001)
    assert columns["g_ratio_without_spaces"] == pytest.approx(columns["g_ratio"])


def test_regions_beside_a_drawn_axon_are_not_vacuoles_and_holes_in_an_axon_are_none():
    myelin, axon = ring((200, 200), 100, 100, 40, 80)
    beside, hole = ring((200, 200), 140, 100, 0, 6)[0], ring((200, 200), 90, 100, 0, 5)[0]
    columns = measure_fibers(myelin & ~beside, 1.0, axon & ~hole).columns
    assert [columns[name][0] for name in SPACES] == [0, 0, (beside & myelin).sum()]


def test_a_hole_that_holds_an_axon_is_not_filled():
    """An axon in an open ring, as `close_breaks` finds it, lies in a hole of another fiber."""
    fibers = np.ones((20, 20), np.int32)
    fibers[5:15, 5:15] = 0
    fibers[8:12, 8:12] = 2
    holes, boxes = label_regions(fibers != 1, 4)
    filled, _ = fill_vacuoles(holes, boxes, np.array([1000, 16]), LabelImage.from_array(fibers))
    assert filled.areas().tolist() == [300, 16]
    filled, _ = fill_vacuoles(holes, boxes, np.array([1000]), LabelImage.from_array(fibers % 2))
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
    area = vacuoles * ring(normal.shape, 100, 100, 0, 3)[0].sum()
    assert columns["vacuole_area_um2"][place] == pytest.approx(area, rel=0.15)
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
    place = found.columns["fiber_diameter_um"].argmax()
    columns = {name: values[place] for name, values in found.columns.items()}
    assert columns["fiber_diameter_um"] == pytest.approx(100, rel=0.01)
    # The space between the rings was taken for the axon.
    assert columns["periaxonal_area_um2"] == pytest.approx(math.pi * (44**2 - 20**2), rel=0.01)
    assert columns["g_ratio_with_spaces"] == pytest.approx(14 / 50, rel=0.01)
    rings_only = 14 / math.sqrt(50**2 - 44**2 + 20**2)
    assert columns["g_ratio_without_spaces"] == pytest.approx(rings_only, rel=0.02)
    assert np.isnan(np.delete(found.columns["periaxonal_area_um2"], place)).all()


def test_collapsed_sheaths_are_counted_apart():
    myelin = rings((200, 300), [(60, 60), (180, 60)], 20, 32)
    rows, cols = np.mgrid[:200, :300]
    myelin |= np.hypot(rows - 150, cols - 100) < 26  # as much myelin as a fiber
    myelin |= np.hypot(rows - 150, cols - 200) < 4  # a speck
    myelin |= np.hypot(rows - 199, cols - 260) < 26  # its axon may lie outside
    found = measure_fibers(myelin, 1.0)
    assert (len(found), found.collapsed) == (2, 1)
    assert not found.labels[:][150, 100]
