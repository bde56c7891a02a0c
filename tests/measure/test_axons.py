"""Which regions of a mask are axons, in drawn shapes and hand-drawn masks."""

import numpy as np
import pytest
from measuring import ring, rings

from myelin.measure.fibers import find_fibers, measure_fibers


def count(myelin, image=None):
    return find_fibers(myelin, image=image).axons.count


@pytest.mark.parametrize("count_across", [4, 6])
def test_gaps_in_a_packing_are_no_axons(count_across):
    centers = [
        (40 + 62 * (col + 0.5 * (row % 2)), 40 + 54 * row)
        for row in range(count_across)
        for col in range(count_across)
    ]
    side = 62 * count_across + 80
    assert count(rings((side, side), centers, 22, 32)) == count_across**2
    square = [(40 + 63 * col, 40 + 63 * row) for row in range(4) for col in range(4)]
    assert count(rings((330, 330), square, 22, 32)) == 16


def test_background_at_the_edge_is_no_axon():
    # A row of sheaths along the top leaves gaps to the edge; a cut arc leaves the corner.
    assert count(rings((120, 300), [(50, 35), (113, 35), (176, 35)], 20, 32)) == 3
    assert count(ring((100, 100), 45, 45, 38, 44)[0]) == 1
    assert count(np.zeros((50, 60), bool)) == 0
    assert count(np.ones((50, 60), bool)) == 0
    band = np.zeros((80, 80), bool)
    band[30:40] = True
    assert count(band) == 0, "a fiber cut lengthwise encloses nothing"


@pytest.mark.parametrize("width, axons", [(1, 1), (2, 1), (30, 0)])
def test_a_small_break_in_a_ring_is_closed_but_no_wide_one(width, axons):
    myelin, _ = ring((100, 100), 50, 50, 20, 32)
    myelin[50 - width // 2 : 50 - width // 2 + width, 50:] = False
    found = measure_fibers(myelin, 1.0)
    assert found.columns["axon_diameter_um"] == pytest.approx([40] * axons, rel=0.02)
    assert found.columns["fiber_diameter_um"] == pytest.approx([64] * axons, rel=0.02)
    assert found.collapsed == 1 - axons


def test_an_infolding_makes_a_crescent_of_the_axon():
    rows, cols = np.mgrid[:100, :100]
    fold = np.hypot(rows - 50, cols - 62) < 19
    axon = (np.hypot(rows - 50, cols - 50) < 24) & ~fold
    myelin = (np.hypot(rows - 50, cols - 50) < 40) & ~axon
    columns = measure_fibers(myelin, 1.0).columns
    assert columns["axon_area_um2"].tolist() == [axon.sum()]
    assert columns["axon_solidity"][0] < 0.6
    assert columns["fiber_area_um2"].tolist() == [(myelin | axon).sum()]


def test_specks_and_noise_add_nothing():
    rng = np.random.default_rng(3)
    myelin = rings((260, 260), [(60, 60), (180, 70), (70, 180), (190, 190)], 24, 40)
    noise = rng.random(myelin.shape) < 0.002
    noisy = myelin ^ noise
    found = measure_fibers(noisy, 1.0)
    assert len(found) == 4 and found.collapsed == 0
    assert found.columns["fiber_diameter_um"] == pytest.approx([80] * 4, rel=0.02)


def test_the_image_helps_to_tell_gaps():
    """The image moves the score, if little; an image of one value moves nothing."""
    centers = [(40 + 62 * (c + 0.5 * (r % 2)), 40 + 54 * r) for r in range(5) for c in range(5)]
    myelin = rings((400, 400), centers, 22, 32)
    flat = np.full(myelin.shape, 90, np.uint8)
    axons = find_fibers(myelin).axons[:]
    assert (find_fibers(myelin, image=flat).axons[:] == axons).all()
    sample = np.where(myelin, 250, np.where(axons > 0, 60, 180)).astype(np.uint8)
    assert count(myelin, sample) == 25


def test_axons_that_touch_at_a_corner_are_two():
    axon = np.zeros((80, 80), bool)
    axon[20:40, 20:40] = axon[40:60, 40:60] = True
    axon[60, 60] = True  # a speck at a corner stays with its axon
    for drawn in (axon, axon[:, ::-1]):
        myelin = np.zeros_like(axon)
        myelin[10:70, 10:70] = ~drawn[10:70, 10:70]
        assert find_fibers(myelin, drawn).axon_px.tolist() == [399, 401]
