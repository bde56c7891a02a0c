"""Doubt about fibers: its measures on drawn shapes, its order and reasons, `doubtful.csv`."""

from pathlib import Path

import numpy as np
import pytest
from measuring import TABLE_COLUMNS, read_table, ring, rings, save, save_probabilities

import morphometry
from myelin.images.image import write_image
from myelin.measure.doubt import add_doubt, doubt_measures
from myelin.measure.fibers import measure_fibers
from myelin.pixels import labels

CALL = ["--pixel-size", "0.1", "--no-pictures"]
CENTERS = [(50 + 90 * col, 50 + 90 * row) for row in range(3) for col in range(4)]
SHAPE = (280, 370)


def nerve():
    """Return the mask of twelve equal rings and its probability x 255: 0.96 and 0.04."""
    myelin = rings(SHAPE, CENTERS, 20, 34)
    return myelin, np.where(myelin, 245, 10).astype(np.uint8)


def measured(myelin, probability=None):
    return measure_fibers(myelin, 1, probability=probability)


def test_measures_of_drawn_shapes():
    """A shifted axon, a sheath with a faint half, and a grey fiber of half the size."""
    myelin, probability = nerve()
    (x, y), (half_x, half_y) = CENTERS[0], CENTERS[1]
    outer, _ = ring(SHAPE, x, y, 0, 34)
    myelin = (myelin & ~outer) | (outer & ~ring(SHAPE, x + 7, y, 20, 34)[1])
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = np.hypot(rows - half_y, cols - half_x) < 40
    probability = np.where(myelin, 255, 0).astype(np.uint8)
    probability[near & myelin & (cols < half_x)] = 153  # p 0.6 on the left half, 1 on the right
    x, y = CENTERS[11]
    myelin &= np.hypot(rows - y, cols - x) > 40
    myelin |= ring(SHAPE, x, y, 10, 17)[0]
    probability[(np.hypot(rows - y, cols - x) < 40)] = 51
    found = doubt_measures(measured(myelin, probability), probability)
    assert found["thinnest"][0] == pytest.approx(0.5, abs=0.06)  # 14 - 7 px of 14
    assert found["thinnest"][2:11] == pytest.approx(0, abs=0.12)
    assert found["uneven"][1] == pytest.approx(0.2, abs=0.02)
    assert found["faint"][[1, 2, 11]] == pytest.approx([0.2, 0, 0.8], abs=0.01)
    assert found["filled"][[1, 11]] == pytest.approx([0, 0.2], abs=0.01)
    assert found["small"][[1, 11]] == pytest.approx([0, np.log(2)], abs=0.02)
    assert found["irregular"][2:11] == pytest.approx(0, abs=0.12)


def wrong_fibers():
    """Return a nerve whose first three fibers are wrong, with the reason for each.

    The first has a faint sheath, the second a grey axon, the third a sheath faint on one side;
    their axons or sheaths are not quite clear either.
    """
    myelin, probability = nerve()
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = [np.hypot(rows - y, cols - x) < 40 for x, y in CENTERS]
    for place, on_sheath, on_axon in ((0, 100, 50), (1, 190, 150), (2, 245, 50)):
        probability[near[place] & myelin] = on_sheath
        probability[near[place] & ~myelin] = on_axon
    probability[near[2] & myelin & (cols < CENTERS[2][0])] = 140
    reasons = ["faint sheath", "axon hard to tell from myelin", "sheath faint on one side"]
    return myelin, probability, reasons


def test_wrong_fibers_are_doubted_for_the_right_reason():
    myelin, probability, reasons = wrong_fibers()
    fibers = measured(myelin, probability)
    add_doubt(fibers, probability)
    doubt = fibers.columns["doubt"]
    assert doubt[:3].min() > 0.2 and doubt[3:].max() < 0.05
    assert fibers.columns["doubt_reason"].tolist() == reasons + [""] * 9


def test_without_probability_the_shape_is_rated():
    myelin, _ = nerve()
    outer, _ = ring(SHAPE, *CENTERS[4], 0, 34)
    opened = (myelin & ~outer) | (
        outer & ~ring(SHAPE, CENTERS[4][0] + 13, CENTERS[4][1], 20, 34)[1]
    )
    fibers = measured(opened)
    add_doubt(fibers, None)
    assert np.argmax(fibers.columns["doubt"]) == 4
    assert fibers.columns["doubt_reason"][4] == "thin or open ring"
    assert fibers.columns["doubt"].max() > 3 * np.delete(fibers.columns["doubt"], 4).max()


def test_bands_of_rows_change_nothing(monkeypatch):
    myelin, probability, _ = wrong_fibers()
    whole = doubt_measures(measured(myelin, probability), probability)
    monkeypatch.setattr(labels, "BAND_PX", 40 * SHAPE[1])
    monkeypatch.setattr("myelin.measure.doubt.REACH_PX", 20)
    bands = doubt_measures(measured(myelin, probability), probability)
    for name, values in whole.items():
        assert bands[name] == pytest.approx(values), name


def test_no_fibers_and_fibers_at_the_edge():
    for myelin in (np.zeros((40, 50), bool), ring((60, 60), 0, 30, 10, 20)[0]):
        for probability in (None, np.full(myelin.shape, 128, np.uint8)):
            fibers = measured(myelin, probability)
            add_doubt(fibers, probability)
            assert np.isfinite(fibers.columns["doubt"]).all()


def test_doubtful_fibers_have_a_table_worst_first(two_masks):
    save_probabilities("one", "two")
    myelin, probability, reasons = wrong_fibers()
    save(Path("preds/one_mask.tif"), myelin)
    write_image(Path("preds/one_pred.png"), probability)
    morphometry.main(CALL)
    rows = [row for row in read_table("morphometry/doubtful.csv") if row["image"] == "one"]
    doubts = [float(row["doubt"]) for row in rows]
    assert doubts == sorted(doubts, reverse=True) and {row["fiber"] for row in rows} == set("123")
    assert {row["doubt_reason"] for row in rows} == set(reasons)
    fibers = read_table("morphometry/one_fibers.csv")
    assert list(fibers[0])[: len(TABLE_COLUMNS)] == TABLE_COLUMNS
    assert fibers[0]["doubt_reason"] == reasons[0]
    morphometry.main([*CALL, "--max-doubt", "0.2", "--out", "ruled"])
    assert not Path("ruled/doubtful.csv").exists()
    marks = [row["excluded"] for row in read_table("ruled/one_fibers.csv")]
    assert marks == ["doubt > 0.2"] * 3 + [""] * 9
