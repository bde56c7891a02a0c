"""Agreement of counts, against published and simple examples."""

import doctest

import numpy as np
import pytest
from scipy import stats

from myelin.statistics import manual


def test_the_published_icc():
    assert doctest.testmod(manual).failed == 0
    assert manual.intraclass_correlation(np.array([[3, 3], [5, 5], [9, 9]])) == 1
    assert manual.intraclass_correlation(np.full((3, 2), 4)) is None
    assert manual.intraclass_correlation(np.ones((1, 2))) is None


def test_agreement_of_counts_by_hand():
    person, other, own = np.array([[10, 20, 30, 40], [12, 21, np.nan, 44], [11, 19, 33, 41.0]])
    rows, panels = manual.compare_counts({"count": person, "ben": other, "counted_fibers": own})
    first, second, third, last = rows
    assert second["compared"] == "counted_fibers - count" and second["images"] == 4
    differences = own - person
    half = 1.96 * np.std(differences, ddof=1)
    assert second["bias"] == pytest.approx(1)
    assert (second["lower"], second["upper"]) == pytest.approx((1 - half, 1 + half))
    assert second["r_squared"] == pytest.approx(stats.linregress(person, own).rvalue ** 2)
    assert first["images"] == third["images"] == last["images"] == 3
    assert last["compared"] == "all persons" and last["icc"] == first["icc"]
    assert [panel.title.split()[-1] for panel in panels] == ["count", "ben"]
    alone, _ = manual.compare_counts({"count": np.array([4.0]), "counted_fibers": np.array([5.0])})
    assert alone[0]["bias"] == 1 and alone[0]["lower"] is alone[0]["r_squared"] is None
