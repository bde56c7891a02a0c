"""Proposed classes of fibers, on synthetic tables and masks with fibers of known kinds."""

from pathlib import Path

import numpy as np
from measuring import read_table, ring, save

import morphometry
from myelin.statistics.proposals import Candidates, propose_classes


def candidates(kinds, seed=1, decided=()):
    """Return fibers on a line of g on diameter, 20 µm apart, with some of other kinds.

    `kinds` is {row: (deviation of g, axis ratio, x in µm)}.
    """
    rng, count = np.random.default_rng(seed), 200
    axon = rng.uniform(2, 8, count)
    g = 0.5 + 0.02 * axon + np.clip(rng.normal(0, 0.03, count), -0.06, 0.06)
    minor, x = np.full(count, 0.9), np.arange(count) * 20.0
    for row, (deviation, ratio, place) in kinds.items():
        axon[row] = 2.0 if place is not None else 5.0
        g[row] = 0.5 + 0.02 * axon[row] + deviation
        minor[row], x[row] = ratio, x[row] if place is None else place
    columns = {"fiber": np.arange(count) + 1, "x_px": x / 0.1, "y_px": np.zeros(count)}
    columns |= {"axon_diameter_um": axon, "fiber_diameter_um": axon / g, "g_ratio": g}
    columns |= {"axon_minor_axis_um": axon * minor, "axon_major_axis_um": axon}
    marked = np.isin(np.arange(count), decided)
    return Candidates("x", "abc", 0.1, columns, marked)


KINDS = {7: (0.25, 0.9, None), 20: (-0.25, 0.9, None), 30: (-0.2, 0.3, None)}
SPACED = dict(zip((51, 52, 53), (5000.0, 5003.8, 5007.6), strict=True))  # 3.4 µm wide
PAIR = dict(zip((71, 72), (6000.0, 6003.8), strict=True))
CLUSTERED = {row: (0.05, 0.9, place) for row, place in (SPACED | PAIR).items()}


def classes(*images):
    return {(row["image"], row["fiber"] - 1): row["class"] for row in propose_classes(images)}


def test_each_rule_finds_its_fibers_and_no_others():
    found = classes(candidates(KINDS | CLUSTERED))
    expected = {7: "thin", 20: "swollen", 30: "collapsed", 51: "cluster", 52: "cluster"}
    assert found == {("x", row): word for row, word in (expected | {53: "cluster"}).items()}


def test_the_most_deviant_come_first_and_decided_ones_are_left_out():
    rows = propose_classes([candidates(KINDS, decided=[20])])
    assert [row["fiber"] for row in rows] == [8, 31]
    assert abs(rows[0]["g_ratio_deviation_sd"]) > abs(rows[1]["g_ratio_deviation_sd"]) > 2.5


def test_equal_or_few_fibers_get_no_proposals():
    few = candidates(KINDS)
    few.columns = {name: values[:29] for name, values in few.columns.items()}
    few.decided = few.decided[:29]
    same = candidates(dict.fromkeys(range(200), (0.0, 0.9, None)))
    assert propose_classes([few]) == propose_classes([same]) == []


def test_proposals_can_be_given_as_classes(folder):
    mask, rng = np.zeros((700, 900), bool), np.random.default_rng(2)
    for k in range(48):
        place, outer = (60 + 110 * (k % 8), 60 + 110 * (k // 8)), rng.uniform(20, 40)
        inner = outer * (0.3 if k == 9 else 0.6 + rng.uniform(-0.02, 0.02))
        mask |= ring(mask.shape, *place, inner, outer)[0]
    save(Path("preds/one_mask.tif"), mask)
    call = ["--pixel-size", "0.1", "--no-pictures"]
    morphometry.main(call)
    (row,) = read_table("morphometry/proposed_classes.csv")
    assert row["class"] == "swollen" and abs(float(row["x_px"]) - 170) < 1
    morphometry.main([*call, "--classes", "morphometry/proposed_classes.csv"])
    counts = {r["class"]: r["count"] for r in read_table("morphometry/per_class.csv")}
    assert counts == {"swollen": "1", "": "47"}
    assert not Path("morphometry/proposed_classes.csv").exists()
