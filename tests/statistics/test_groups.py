"""Comparing groups of animals."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import fails, read_table, rings, save

import morphometry
from myelin.images.image import write_image


def test_groups(two_masks, capsys):
    save(Path("preds/three_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 24, 32))
    Path("g.csv").write_text(
        "\ufeffimage;group;animal\none;wild;A\ntwo_mask.tif;wild;A\nthree;knockout;B\n",
        encoding="utf-8",
    )
    morphometry.main(
        ["--pixel-size", "0.1", "--groups", "g.csv", "--g-ratio-bins", "0", "4.5", "9"]
    )
    animals = read_table("morphometry/per_animal.csv")
    assert [(row["group"], row["animal"], row["images"]) for row in animals] == [
        ("wild", "A", "2"),
        ("knockout", "B", "1"),
    ]
    groups = read_table("morphometry/per_group.csv")
    assert float(groups[0]["g_ratio_mean"]) == pytest.approx(20 / 32, rel=0.01)
    assert groups[0]["g_ratio_sd_of_animals"] == "", "one animal has no spread"
    bins = read_table("morphometry/per_g_ratio_bin.csv")
    assert [row["fibers"] for row in bins] == ["4", "0", "0", "0", "2", "0"]
    assert [row["axon_diameter_um_to"] for row in bins[:3]] == ["4.5", "9", ""], "the last is open"
    said = capsys.readouterr().out
    assert (
        "standard deviation needs 2 animals, a p value 3" in said and "wild 1, knockout 1" in said
    )
    assert cv2.imread("morphometry/per_group.png").shape[1] >= 900


def test_large_fibers_are_in_the_last_bin_and_small_ones_named(two_masks, capsys):
    Path("g.csv").write_text("image,group,animal\none,a,A\ntwo,a,B\n", encoding="utf-8")
    for edges, counted in (("1 2", ["0", "2"]), ("5 9", ["0", "0"])):  # axons of 4 µm
        bins = ["--g-ratio-bins", *edges.split()]
        morphometry.main(["--pixel-size", "0.1", "--no-pictures", "--groups", "g.csv", *bins])
        rows = read_table("morphometry/per_g_ratio_bin.csv")
        assert [row["fibers"] for row in rows] == counted * 2
        said = capsys.readouterr().out
        assert ("4 fibers in no bin, with an axon below 5 µm" in said) == (edges == "5 9")


def test_results_about_groups_go_when_they_would_be_outdated(two_masks, capsys):
    Path("g.csv").write_text("image,group,animal\none,a,A\ntwo,b,B\n", encoding="utf-8")
    Path("morphometry").mkdir()
    Path("morphometry/per_group.csv").write_text("mine")
    call = ["--pixel-size", "0.1", "--no-pictures"]
    morphometry.main(call)
    assert Path("morphometry/per_group.csv").exists(), "no earlier run wrote it"
    morphometry.main([*call, "--groups", "g.csv"])
    Path("morphometry/notes.csv").write_text("mine")
    capsys.readouterr()
    morphometry.main(call)
    removed = "removed, of an earlier run: per_animal.csv, per_g_ratio_bin.csv, per_group.csv, "
    assert removed in capsys.readouterr().out
    left = {path.name for path in Path("morphometry").rglob("*.csv")}
    assert {"notes.csv", "summary.csv"} <= left
    assert not left & {"per_animal.csv", "per_group.csv", "tests.csv", "g_ratio.csv"}
    assert not list(Path("morphometry/prism").iterdir())


def test_images_without_group_are_named(two_masks, capsys):
    Path("g.csv").write_text("image,group,animal\none,a,A\n", encoding="utf-8")
    morphometry.main(["--pixel-size", "0.1", "--groups", "g.csv", "--no-pictures"])
    (note,) = [line for line in capsys.readouterr().out.splitlines() if "without" in line]
    assert note.startswith("note: ") and note.endswith(": two")


@pytest.mark.parametrize(
    "text, message",
    [
        ("image,group,animal\nnobody,a,A\n", "line 2 names the image nobody"),
        ("image,group,animal\none,a,A\none,a,A\n", "line 3 repeats one"),
        ("image,group,animal\n\none,a,A\n\none,a,A\n", "line 5 repeats one"),
        ("image,group,animal\none,,A\n", "line 2 has an empty cell"),
        ("image,group,animal\none,a,A\ntwo,b,A\n", "line 3 puts A into a second group"),
        ("image,animal\none,A\n", "columns image, animal"),
        ("image,group,animal\n", "0 rows"),
        ("", "0 rows"),
        (f"image,group,animal\n{'x' * 200_000},a,A\n", "g.csv: cannot be read (field larger"),
        (None, "g.csv: no such file, check the name"),
    ],
)
def test_bad_groups(two_masks, capsys, text, message):
    if text is not None:
        Path("g.csv").write_text(text, encoding="utf-8")
    said = fails(morphometry.main, capsys, "--pixel-size", "0.1", "--groups", "g.csv")
    assert message in said and not Path("morphometry").exists()


@pytest.mark.slow
def test_groups_without_whole_fibers_and_names_with_dollars(two_masks):
    save(Path("preds/one_mask.tif"), np.zeros((60, 60), bool))
    Path("preds/two_mask.tif").unlink()
    write_image(Path("preds/c$x^$_mask.tif"), np.zeros((60, 60), np.uint8))
    Path("groups.csv").write_text("image,group,animal\none,$a_$,A\nc$x^$,$^$,B\n", encoding="utf-8")
    kept = Path("groups.csv").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        morphometry.main(["--pixel-size", "0.1", "--groups", "groups.csv", "--out", "."])
    assert Path("per_group.png").exists() and Path("c$x^$_plots.png").exists()
    assert Path("groups.csv").read_bytes() == kept
