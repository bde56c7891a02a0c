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


def test_single_pixel_and_one_fiber():
    assert len(measure_fibers(np.ones((1, 1), bool), 1.0)) == 0
    assert len(measure_fibers(np.zeros((1, 7), bool), 1.0)) == 0
    row = summarize(measure_fibers(ring((90, 90), 45, 45, 20, 30)[0], 1.0))
    assert row["g_ratio_sd"] is None and row["g_ratio_mean"] == pytest.approx(2 / 3, rel=0.01)
