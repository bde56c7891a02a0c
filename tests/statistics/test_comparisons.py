"""Tests between groups: against SciPy and against values of R 4.2."""

import math

import numpy as np
import pytest
from scipy import stats

from myelin.statistics.comparisons import (
    GAMES_HOWELL,
    HEADER,
    NO_TEST,
    WELCH,
    compare_animals,
    holm,
)

VALUES = {
    "wild": [0.61, 0.64, 0.66, 0.63],
    "mild": [0.66, 0.71, 0.69, 0.75, 0.68],
    "severe": [0.78, 0.70, 0.81],
}
# t.test(wild, mild): t, df, p; oneway.test of all three: F, second df, p.
R_WELCH = (-3.4049908955864, 6.6582503556188, 0.0122691782369)
R_ANOVA = (9.4659192548009, 4.4081645757358, 0.0253857631934)


def animals(values, **others):
    """Return rows of animals with the measure `x`, and others by name."""
    return [
        {"group": group, "x": x} | {name: column[group][k] for name, column in others.items()}
        for group in values
        for k, x in enumerate(values[group])
    ]


def two(**values):
    """Return the only row of two groups."""
    (row,) = compare_animals(animals(values), ["x"])
    return row


def test_two_groups_are_those_of_scipy_and_r():
    a, b = VALUES["wild"], VALUES["mild"]
    row = two(wild=a, mild=b)
    assert list(row) == HEADER
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert row["test"] == WELCH and (row["animals_a"], row["animals_b"]) == (4, 5)
    for name, value in {
        "mean_a": np.mean(a),
        "sd_b": np.std(b, ddof=1),
        "difference": np.mean(a) - np.mean(b),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "statistic": expected.statistic,
        "df": expected.df,
        "p": expected.pvalue,
        "p_adjusted": expected.pvalue,
    }.items():
        assert row[name] == pytest.approx(value, rel=1e-9), name
    assert (row["statistic"], row["df"], row["p"]) == pytest.approx(R_WELCH, rel=1e-9)
    pooled = math.sqrt((3 * np.var(a, ddof=1) + 4 * np.var(b, ddof=1)) / 7)
    assert row["hedges_g"] == pytest.approx(row["difference"] / pooled * (1 - 3 / 27))
    assert row["note"] == ""


def test_three_groups_are_those_of_scipy_and_r():
    rows = compare_animals(animals(VALUES), ["x"])
    pairs = [("wild", "mild"), ("wild", "severe"), ("mild", "severe")]
    assert [(row["group_a"], row["group_b"]) for row in rows] == pairs
    expected = stats.tukey_hsd(*VALUES.values(), equal_var=False)
    interval = expected.confidence_interval(0.95)
    anova = stats.f_oneway(*VALUES.values(), equal_var=False)
    for row, (i, j) in zip(rows, [(0, 1), (0, 2), (1, 2)], strict=True):
        assert row["test"] == GAMES_HOWELL
        assert row["p"] == pytest.approx(expected.pvalue[i, j], rel=1e-6)
        assert row["ci_low"] == pytest.approx(interval.low[i, j], rel=1e-6)
        assert row["ci_high"] == pytest.approx(interval.high[i, j], rel=1e-6)
        assert (row["anova_f"], row["anova_p"]) == pytest.approx(tuple(anova), rel=1e-9)
        assert (row["anova_f"], row["anova_df2"], row["anova_p"]) == pytest.approx(
            R_ANOVA, rel=1e-9
        )
        assert row["anova_df1"] == 2 and row["holm_over"] == 1 and row["p_adjusted"] == row["p"]


def test_holm_is_that_of_r():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.001, 0.9]) == pytest.approx([1, 0.003, 1])
    assert holm([]) == []


def test_p_is_adjusted_over_the_measures_of_a_pair():
    twice = {name: [2 * x for x in reversed(values)] for name, values in VALUES.items()}
    other = {"wild": [1, 3, 2, 4.0], "mild": [5, 1, 2, 3, 4.5], "severe": [2, 3, 1.0]}
    rows = compare_animals(animals(VALUES, y=twice, z=other), ["x", "y", "z"])
    for pair in {(row["group_a"], row["group_b"]) for row in rows}:
        own = [row for row in rows if (row["group_a"], row["group_b"]) == pair]
        assert [row["p_adjusted"] for row in own] == holm([row["p"] for row in own])
        assert {row["holm_over"] for row in own} == {3}


def test_few_animals_get_effect_and_interval_but_no_p():
    row = two(wild=[0.61, 0.64, 0.66], one=[0.7, 0.72])
    interval = stats.ttest_ind([0.61, 0.64, 0.66], [0.7, 0.72], equal_var=False)
    assert row["ci_low"] == pytest.approx(interval.confidence_interval(0.95).low)
    assert row["hedges_g"] < 0 and row["test"] == NO_TEST
    assert row["p"] is row["p_adjusted"] is row["statistic"] is row["df"] is None
    assert row["note"] == "a p value needs 3 animals a group: one has 2"
    row = two(wild=[0.61, 0.64, 0.66], one=[0.7])
    assert row["difference"] == pytest.approx(0.6366667 - 0.7)
    assert row["ci_low"] is row["hedges_g"] is row["sd_b"] is None and "one has 1" in row["note"]
    row = two(wild=[0.61, 0.64, 0.66], none=[None, None])
    assert row["animals_b"] == 0 and row["difference"] is row["mean_b"] is None


def test_a_small_third_group_leaves_welchs_test_to_the_others():
    rows = compare_animals(animals(VALUES | {"severe": [0.78, 0.8]}), ["x"])
    assert [row["test"] for row in rows] == [WELCH, NO_TEST, NO_TEST]
    assert rows[0]["anova_f"] is None and rows[1]["ci_low"] is not None


def test_equal_values_have_no_p_and_no_warning(recwarn):
    row = two(wild=[0.1 + 0.2, 0.3, 0.3], mild=[0.3, 0.3, 0.3])
    assert row["p"] is None and row["note"].endswith("all animals have the same value")
    rows = compare_animals(animals({"a": [1.0] * 3, "b": [1.0, 2, 3], "c": [4.0, 5, 7]}), ["x"])
    assert all(row["test"] == GAMES_HOWELL and row["p"] > 0 for row in rows)
    assert rows[0]["anova_p"] is None and not recwarn.list
