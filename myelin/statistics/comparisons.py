"""Tests between groups, with animals as the units: `tests.csv`.

Welch's tests do not assume equal variances, and animals are too few to check whether they are equal
(Delacre et al., Int Rev Soc Psychol 2017 and 2019). So the choice of a test never depends on the
data: Welch's t-test for two groups, Welch's ANOVA with the test of Games and Howell for more.
"""

import itertools
import math
import warnings
from collections.abc import Sequence

import numpy as np

MIN_ANIMALS = 3  # in each of two groups, for a p value
LEVEL = 0.95  # of the confidence intervals
WELCH, GAMES_HOWELL, NO_TEST = "Welch's t-test", "Games-Howell after Welch's ANOVA", "none"
HEADER = """measure group_a group_b animals_a animals_b mean_a mean_b sd_a sd_b difference ci_low
    ci_high test statistic df p p_adjusted hedges_g anova_f anova_df1 anova_df2 anova_p holm_over
    note""".split()


def compare_animals(animals: Sequence[dict], measures: Sequence[str]) -> list[dict]:
    """Return a row of `tests.csv` for each measure and pair of groups.

    `animals` are rows of `per_animal.csv`, and `measures` columns of these, None where an animal
    has no value. p is adjusted by Holm's method (Scand J Stat 1979) over all measures of a pair of
    groups; the test of Games and Howell has adjusted it over the pairs of a measure already.
    """
    rows = [row for measure in measures for row in compare_measure(animals, measure)]
    pairs = {}
    for row in rows:
        if row["p"] is not None:
            pairs.setdefault((row["group_a"], row["group_b"]), []).append(row)
    for tested in pairs.values():
        for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row |= {"p_adjusted": p, "holm_over": len(tested)}
    return rows


def compare_measure(animals: Sequence[dict], measure: str) -> list[dict]:
    """Return a row for each pair of groups, without adjusted p."""
    groups = {row["group"]: [] for row in animals}
    for row in animals:
        if row.get(measure) is not None:
            groups[row["group"]].append(row[measure])
    tested = {name: values for name, values in groups.items() if len(values) >= MIN_ANIMALS}
    anova = welch_anova(list(tested.values())) if len(tested) > 2 else {}
    rows = []
    for pair in itertools.combinations(groups, 2):
        row = dict.fromkeys(HEADER) | {"measure": measure, "test": NO_TEST, "note": ""}
        for side, name in zip("ab", pair, strict=True):
            values = groups[name]
            row |= {f"group_{side}": name, f"animals_{side}": len(values)}
            row[f"mean_{side}"] = float(np.mean(values)) if values else None
            row[f"sd_{side}"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        row |= compare_pair(*(groups[name] for name in pair), len(tested))
        few = [f"{name} has {len(groups[name])}" for name in pair if name not in tested]
        if few:
            row["note"] = f"a p value needs {MIN_ANIMALS} animals a group: {', '.join(few)}"
        elif row["p"] is None:
            row["note"] = "in each group, all animals have the same value"
        elif anova:
            row |= anova
        rows.append(row)
    return rows


def compare_pair(a: list[float], b: list[float], groups: int) -> dict:
    """Return difference, interval, effect and test of two groups, as far as they can be calculated.

    The difference is a - b. `groups` is the number of groups with enough animals for a test: with
    more than two, p and interval are those of Games and Howell (J Educ Stat 1976). Hedges' g is the
    difference divided by the pooled SD, times 1 - 3 / (4 n - 9) (Lakens, Front Psychol 2013).
    """
    from scipy import stats  # takes a second to import

    if not (a and b):
        return {}
    row = {"difference": float(np.mean(a) - np.mean(b))}
    if min(len(a), len(b)) < 2 or (is_constant(a) and is_constant(b)):
        return row
    enough = min(len(a), len(b)) >= MIN_ANIMALS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss")  # one group may have equal values
        welch = stats.ttest_ind(a, b, equal_var=False)
    n = len(a) + len(b)
    squares = (len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)
    pooled_sd = math.sqrt(squares / (n - 2))
    row["hedges_g"] = float(row["difference"] / pooled_sd * (1 - 3 / (4 * n - 9)))
    if enough and groups > 2:
        row["test"] = GAMES_HOWELL
        p = stats.studentized_range.sf(math.sqrt(2) * abs(welch.statistic), groups, welch.df)
        standard_error = math.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
        half = range_quantile(groups, welch.df) / math.sqrt(2) * standard_error
        interval = row["difference"] - half, row["difference"] + half
    else:
        row["test"] = WELCH if enough else NO_TEST
        p, interval = welch.pvalue, welch.confidence_interval(LEVEL)
    row["ci_low"], row["ci_high"] = map(float, interval)
    if enough:
        row |= {"statistic": float(welch.statistic), "df": float(welch.df), "p": float(p)}
    return row


def is_constant(values: Sequence[float]) -> bool:
    """Return whether values differ by no more than rounding."""
    return np.ptp(values) <= 1e-12 * np.max(np.abs(values))


def range_quantile(groups: int, df: float) -> float:
    """Return the quantile of the studentized range at `LEVEL`; SciPy's `ppf` takes far longer."""
    from scipy import optimize, stats

    def above(q: float) -> float:
        return stats.studentized_range.sf(q, groups, df) - (1 - LEVEL)

    near = math.sqrt(2) * stats.t.isf((1 - LEVEL) / (groups * (groups - 1)), df)  # Bonferroni
    return optimize.newton(above, near, x1=0.98 * near, tol=1e-9)


def welch_anova(groups: list[list[float]]) -> dict:
    """Return F, degrees of freedom and p of Welch's ANOVA (Biometrika 1951).

    All are empty if a group has no variance.
    """
    from scipy import stats

    if any(is_constant(values) for values in groups):
        return {}
    count = len(groups)
    weights = np.array([len(values) / np.var(values, ddof=1) for values in groups])
    free = np.array([len(values) - 1 for values in groups])
    spread = ((1 - weights / weights.sum()) ** 2 / free).sum()
    found = stats.f_oneway(*groups, equal_var=False)
    return {
        "anova_f": float(found.statistic),
        "anova_df1": count - 1,
        "anova_df2": float((count**2 - 1) / (3 * spread)),
        "anova_p": float(found.pvalue),
    }


def holm(p: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's method.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p)[order]), 1)
    return adjusted.tolist()
