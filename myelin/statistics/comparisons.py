"""Tests between groups, with animals as the units: `tests.csv`.

Welch's tests do not assume equal variances, and animals are too few to check whether they are equal
(Delacre et al., Int Rev Soc Psychol 2017 and 2019). So the choice of a test never depends on the
data: Welch's t-test for two groups, Welch's ANOVA with the test of Games and Howell for more.
"""

import itertools
import math
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
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

    if not (a and b):
        return {}
    row = {"difference": float(np.mean(a) - np.mean(b))}
    if min(len(a), len(b)) < 2 or (is_constant(a) and is_constant(b)):
        return row
    free = np.array([len(a) - 1, len(b) - 1])
    variances = np.array([np.var(a, ddof=1), np.var(b, ddof=1)])
    pooled_sd = math.sqrt(free @ variances / free.sum())
    row["hedges_g"] = float(row["difference"] / pooled_sd * (1 - 3 / (4 * free.sum() - 1)))
    errors = variances / (free + 1)
    standard_error = math.sqrt(errors.sum())
    t = row["difference"] / standard_error
    df = errors.sum() ** 2 / (errors**2 / free).sum()  # Welch 1947
    enough = min(len(a), len(b)) >= MIN_ANIMALS
    if enough and groups > 2:
        row["test"] = GAMES_HOWELL
        p = range_sf(math.sqrt(2) * abs(t), groups, df)
        half = range_quantile(groups, df) / math.sqrt(2) * standard_error
    else:
        row["test"] = WELCH if enough else NO_TEST
        p = 2 * stdtr(df, -abs(t))
        half = stdtrit(df, (1 + LEVEL) / 2) * standard_error
    row["ci_low"] = float(row["difference"] - half)
    row["ci_high"] = float(row["difference"] + half)
    if enough:
        row |= {"statistic": t, "df": float(df), "p": float(p)}
    return row


def is_constant(values: Sequence[float]) -> bool:
    """Return whether values differ by no more than rounding."""
    return np.ptp(values) <= 1e-12 * np.max(np.abs(values))


def range_sf(q: float, groups: int, df: float) -> float:
    """Return the probability that the studentized range is above q.

    The probability that the range of normal values is above q s (Tukey 1953) is averaged over the
    distribution of their standard deviation s. Both integrals are sums over equal steps, of z and
    of log s, with an error far below 1e-9. `scipy.stats.studentized_range` takes far longer.
    """
    from scipy.special import gammaln, ndtr

    z = np.linspace(-8, 8, 81)
    least = -28 / df - math.sqrt(28 / df) - math.log(max(q, 1))  # the rest is 1e-12 of it
    log_s = np.arange(least, 1.7, min(0.05, 0.5 / math.sqrt(df)))[:, None]
    within = ndtr(z) - ndtr(z - q * np.exp(log_s))
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    above = 1 - groups * (density * within ** (groups - 1)).sum(axis=1) * (z[1] - z[0])
    log_s = log_s[:, 0]
    exponent = df * (log_s - np.exp(2 * log_s) / 2) + df / 2 * math.log(df / 2) - gammaln(df / 2)
    return float(2 * (np.exp(exponent) * above).sum() * (log_s[1] - log_s[0]))


def range_quantile(groups: int, df: float) -> float:
    """Return the quantile of the studentized range at `LEVEL`, by the secant method."""
    from scipy.special import stdtrit

    tail = (1 - LEVEL) / (groups * (groups - 1))
    other = -math.sqrt(2) * stdtrit(df, tail)  # Bonferroni, a little too large
    excess = range_sf(other, groups, df) - (1 - LEVEL)
    q = 0.98 * other
    while abs(q - other) > 1e-9 * q:
        new = range_sf(q, groups, df) - (1 - LEVEL)
        other, q, excess = q, q - new * (q - other) / (new - excess), new
    return q


def welch_anova(groups: list[list[float]]) -> dict:
    """Return F, degrees of freedom and p of Welch's ANOVA (Biometrika 1951).

    All are empty if a group has no variance.
    """
    from scipy.special import fdtrc

    if any(is_constant(values) for values in groups):
        return {}
    count = len(groups)
    weights = np.array([len(values) / np.var(values, ddof=1) for values in groups])
    free = np.array([len(values) - 1 for values in groups])
    means = np.array([np.mean(values) for values in groups])
    spread = ((1 - weights / weights.sum()) ** 2 / free).sum()
    between = weights @ (means - weights @ means / weights.sum()) ** 2 / (count - 1)
    f = float(between / (1 + 2 * (count - 2) / (count**2 - 1) * spread))
    df2 = float((count**2 - 1) / (3 * spread))
    p = float(fdtrc(count - 1, df2, f))
    return {"anova_f": f, "anova_df1": count - 1, "anova_df2": df2, "anova_p": p}


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
