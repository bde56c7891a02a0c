"""An image's row of summary.csv."""

import math

import numpy as np
import pytest
from measuring import SUMMARY_COLUMNS, ring, rings

from myelin.measure.fibers import measure_fibers
from myelin.measure.summary import summarize


def test_summary_by_hand():
    myelin = rings((200, 300), [(60, 60), (180, 60), (100, 150), (299, 150)], 20, 32)
    found = measure_fibers(myelin, 0.5)
    row = summarize(found, "x", "given")
    assert list(row) == SUMMARY_COLUMNS
    assert row["area_mm2"] == pytest.approx(200 * 300 * 0.25e-6)
    axon, sheath = (found.axons[:] > 0).mean(), myelin.mean()
    assert row["axon_area_fraction"] == pytest.approx(axon)
    assert row["myelin_area_fraction"] == pytest.approx(sheath)
    assert row["aggregate_g_ratio"] == pytest.approx(math.sqrt(1 / (1 + sheath / axon)))
    assert (row["fiber_count"], row["measured_fibers"], row["border_fibers"]) == (4, 3, 1)
    assert row["axon_diameter_um_mean"] == pytest.approx(20, rel=0.01), "the cut one is left out"
    assert row["g_ratio_median"] == pytest.approx(20 / 32, rel=0.01)
    assert row["fiber_density_per_mm2"] == pytest.approx(4 / row["area_mm2"])


@pytest.mark.slow
def test_density_is_unbiased():
    """Frames that tile a field count every fiber once, however they cut."""
    centers = [(37 + 53 * col, 41 + 53 * row) for row in range(6) for col in range(6)]
    field = rings((360, 360), centers, 15, 24)
    counted = 0
    for top in range(0, 360, 90):
        for left in range(0, 360, 90):
            frame = field[top : top + 90, left : left + 90]
            axons = np.zeros_like(frame)
            for x, y in centers:  # axons as drawn: what a frame shows of them may be a sliver
                axons |= ring((360, 360), x, y, 0, 15)[0][top : top + 90, left : left + 90]
            counted += measure_fibers(frame, 1.0, axons).counted.sum()
    assert counted == pytest.approx(36, abs=1)


def test_single_pixel_and_one_fiber():
    assert len(measure_fibers(np.ones((1, 1), bool), 1.0)) == 0
    assert len(measure_fibers(np.zeros((1, 7), bool), 1.0)) == 0
    row = summarize(measure_fibers(ring((90, 90), 45, 45, 20, 30)[0], 1.0))
    assert row["g_ratio_sd"] is None and row["g_ratio_mean"] == pytest.approx(2 / 3, rel=0.01)
