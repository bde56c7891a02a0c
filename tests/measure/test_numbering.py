"""A fiber keeps its number when others go, come, split or merge."""

import json
from pathlib import Path

import numpy as np
from measuring import read_table, rings, save
from tifffile import imread

import morphometry
from myelin.measure.numbering import carry_over
from myelin.pixels.labels import LabelImage

PLACES = [(40, 40), (120, 40), (200, 40), (40, 120), (120, 120), (200, 120)]


def measure(places, *options):
    """Measure a mask of fibers at some places; return {place: number} of the table."""
    save(Path("preds/a_mask.tif"), rings((170, 250), places, 14, 24))
    morphometry.main(["--pixel-size", "1", "--no-pictures", *options])
    rows = read_table("morphometry/a_fibers.csv")
    labels, axons = (imread(f"morphometry/a_{part}.tif") for part in ("labels", "axons"))
    found = {}
    for row in rows:
        x, y = round(float(row["x_px"])), round(float(row["y_px"]))
        if not row["excluded"]:
            assert labels[y, x] == axons[y, x] == labels[y, x + 18] == int(row["fiber"])
        found[x, y] = int(row["fiber"])
    assert set(np.unique(labels)) <= {0, *found.values()}
    return found


def test_numbers_last(folder):
    first = measure(PLACES)
    assert sorted(first.values()) == [1, 2, 3, 4, 5, 6]
    without = measure(PLACES[:1] + PLACES[2:])
    assert without == {place: first[place] for place in without}, "the others keep theirs"
    fewer = measure(PLACES[2:5])
    assert fewer == {place: first[place] for place in fewer}
    more = measure([*PLACES[2:5], PLACES[5], PLACES[0]])
    assert {more[place] for place in (PLACES[5], PLACES[0])} == {7, 8}, "6 and 1 were used"
    assert json.loads(Path("morphometry/run.json").read_text())["highest_numbers"] == {"a": 8}
    assert measure(PLACES, "--renumber") == first


def test_numbers_last_through_a_run_without_the_image(folder):
    first = measure(PLACES)
    measure(PLACES[:5])
    Path("preds/a_mask.tif").rename(folder / "kept.tif")
    save(Path("preds/b_mask.tif"), rings((90, 90), [(45, 45)], 14, 24))
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert measure(PLACES)[PLACES[5]] == 7
    assert first[PLACES[5]] == 6


def test_fibers_left_out_keep_their_numbers(folder):
    first = measure(PLACES)
    Path("exclude.csv").write_text("image,fiber,reason\na,2,mine\n", encoding="utf-8")
    assert measure(PLACES, "--exclude", "exclude.csv") == first
    assert measure(PLACES) == first
    call = "--pixel-size 1 --no-pictures --exclude exclude.csv --decimal comma"
    morphometry.main(call.split())
    assert measure(PLACES) == first


def test_a_bent_fiber_that_is_left_out_takes_no_number_of_the_one_it_bends_around(folder):
    rows, cols = np.mgrid[:140, :140] - 70
    radius, angle = np.hypot(rows, cols), np.abs(np.arctan2(rows, cols))
    bent = (radius > 26) & (radius < 38) & (angle < 2.6)
    sheath = (radius > 21) & (radius < 43) & (angle < 2.8) & ~bent
    save(Path("preds/a_mask.tif"), sheath | (radius >= 8) & (radius < 13))
    save(Path("preds/a_axon.tif"), bent | (radius < 8))
    Path("exclude.csv").write_text("image,fiber,reason\na,1,mine\n", encoding="utf-8")
    for _ in range(3):
        call = "--pixel-size 1 --no-pictures --exclude exclude.csv"
        morphometry.main(call.split())
        table = read_table("morphometry/a_fibers.csv")
        assert [(row["fiber"], row["excluded"]) for row in table] == [("1", "mine"), ("2", "")]
        assert float(table[0]["axon_area_um2"]) == bent.sum()


def test_a_damaged_or_another_label_image_starts_anew(folder, capsys):
    first = measure(PLACES)
    Path("morphometry/a_labels.tif").write_bytes(b"no image")
    assert measure(PLACES) == first
    assert "new numbers" in capsys.readouterr().out
    save(Path("preds/a_mask.tif"), rings((100, 100), [(50, 50)], 14, 24))
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    assert [row["fiber"] for row in read_table("morphometry/a_fibers.csv")] == ["1"]


def test_of_split_and_merged_fibers_the_largest_overlap_keeps_the_number():
    earlier, labels = np.zeros((2, 10, 60), int)
    earlier[:, :20], labels[:, :6], labels[:, 6:20] = 9, 1, 2  # split into 6 and 14 columns
    earlier[:, 22:30], earlier[:, 30:42], labels[:, 22:42] = 4, 5, 3  # merged of 8 and 12
    earlier[:, 44:50], labels[:, 49:60] = 7, 4  # hardly the same
    assert carry_over(
        LabelImage.from_array(labels), LabelImage.from_array(earlier), 4
    ).tolist() == [0, 9, 5, 0]
