"""Outlines of nerves: whose fibers are measured, in which area, fascicle by fascicle."""

import json
from pathlib import Path

import numpy as np
import pytest
from measuring import fails, read_table, rings, save
from tifffile import imread

import data
import evaluate
import morphometry
from myelin.images.image import write_image

CENTRES = [(40, 40), (120, 40), (200, 40), (40, 120), (120, 120), (200, 120), (280, 120)]
SHAPE = (160, 320)


def outline():
    """Return two fascicles, of 4 fibers and of 1 that reaches out; two more lie outside."""
    nerve = np.zeros(SHAPE, np.uint8)
    nerve[:, :170] = 3
    nerve[20:90, 185:230] = 7
    return nerve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("preds/a_mask.tif"), rings(SHAPE, CENTRES, 14, 24))
    return tmp_path


def measure(*options):
    morphometry.main(["--pixel-size", "1", "--no-pictures", *options])
    return read_table("morphometry/summary.csv")[0], read_table("morphometry/a_fibers.csv")


@pytest.mark.parametrize("place", ["preds/a_nerve.tif", "raw/test/a_nerve.png"])
def test_only_the_nerve_is_counted(folder, place):
    nerve = outline()
    Path("raw/test").mkdir(parents=True)
    save(Path(place), nerve > 0)
    row, fibers = measure()
    assert row["fiber_count"] == row["counted_fibers"] == "5"
    assert float(row["area_mm2"]) == pytest.approx((nerve > 0).sum() * 1e-6)
    assert {fiber["fascicle"] for fiber in fibers} == {"1"}
    mask, labels = (imread(f"{name}.tif") > 0 for name in ("preds/a_mask", "morphometry/a_labels"))
    share = (mask & (nerve > 0)).sum() / (nerve > 0).sum()
    assert float(row["myelin_area_fraction"]) == pytest.approx(share, rel=1e-4)
    assert labels[40, 200] and labels[40, 222], "a fiber on the outline is measured whole"
    assert not labels[120, 200] and not labels[120, 280]
    assert row["border_fibers"] == "0"
    run = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert run["nerve_outlines"] == {"a": str(Path(place))}


def test_each_fascicle_has_a_row(folder):
    nerve = outline()
    nerve[140:, 300:] = 9
    write_image(Path("preds/a_nerve.tif"), nerve)
    row, fibers = measure()
    assert [fiber["fascicle"] for fiber in fibers].count("3") == 4
    first, second, empty = read_table("morphometry/fascicles.csv")
    assert (empty["fascicle"], empty["fiber_count"], empty["g_ratio_mean"]) == ("9", "0", "")
    assert (first["image"], first["fascicle"], second["fascicle"]) == ("a", "3", "7")
    assert (first["fiber_count"], second["fiber_count"], row["fiber_count"]) == ("4", "1", "5")
    for number, part in ((3, first), (7, second)):
        area = (nerve == number).sum() * 1e-6
        assert float(part["area_mm2"]) == pytest.approx(area)
        density = int(part["counted_fibers"]) / area
        assert float(part["fiber_density_per_mm2"]) == pytest.approx(density, rel=1e-5)
    for column in ("axon_area_fraction", "myelin_area_fraction"):
        parts = [float(part[column]) * float(part["area_mm2"]) for part in (first, second, empty)]
        assert sum(parts) == pytest.approx(float(row[column]) * float(row["area_mm2"]), rel=1e-4)


def test_fibers_left_out_are_out_of_their_fascicle(folder):
    write_image(Path("preds/a_nerve.tif"), outline())
    before, _ = measure()
    alone = read_table("morphometry/fascicles.csv")
    Path("exclude.csv").write_text("image,fiber\na,1\n", encoding="utf-8")
    row, _ = measure("--exclude", "exclude.csv")
    first, second = read_table("morphometry/fascicles.csv")
    assert (first["fiber_count"], first["excluded_fibers"], second) == ("3", "1", alone[1])
    lost = float(before["myelin_area_fraction"]) - float(row["myelin_area_fraction"])
    lost_there = float(alone[0]["myelin_area_fraction"]) - float(first["myelin_area_fraction"])
    area = float(row["area_mm2"]) / float(first["area_mm2"])
    assert lost_there == pytest.approx(lost * area, rel=1e-3)


def test_what_was_drawn_as_axon_too_is_myelin_of_no_fascicle(folder):
    save(Path("preds/a_axon.tif"), rings(SHAPE, CENTRES, 0, 18))
    save(Path("preds/a_nerve.tif"), outline() > 0)
    Path("exclude.csv").write_text("image,fiber\na,1\n", encoding="utf-8")
    for options in ((), ("--exclude", "exclude.csv")):
        row, _ = measure(*options)
        (part,) = read_table("morphometry/fascicles.csv")
        for column in ("myelin_area_fraction", "aggregate_g_ratio"):
            assert part[column] == row[column]


def test_outlines_are_no_images(folder):
    image = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    for folder_name in ("raw/test", "raw/train"):
        write_image(Path(folder_name, "a.tif"), image)
        write_image(Path(folder_name, "a_nerve.tif"), outline())
    save(Path("raw/train/a_mask.tif"), image > 127)
    data.main([])
    for kind in ("test", "train"):
        assert np.load(f"npydata/imgs_id_{kind}.npy").tolist() == ["a"]


def test_agreement_is_of_the_nerve(folder):
    save(Path("raw/test/a_mask.tif"), rings(SHAPE, CENTRES[:-1], 14, 24))
    save(Path("raw/test/a_nerve.tif"), outline() > 0)
    evaluate.main(["--pixel-size", "1", "--no-pictures"])
    row = read_table("evaluation/evaluation.csv")[0]
    assert (row["fibers_reference"], row["fibers_predicted"], row["f1"]) == ("5", "5", "1")
    density = 5 / ((outline() > 0).sum() * 1e-6)
    assert float(row["fiber_density_per_mm2_reference"]) == pytest.approx(density, rel=1e-4)


@pytest.mark.parametrize(
    "nerve, text",
    [
        (np.zeros(SHAPE, np.uint8), "no nerve in it"),
        (np.full((20, 20), 255, np.uint8), "20 x 20 pixels"),
        (np.arange(160 * 320, dtype=np.uint16).reshape(SHAPE), "grey values in the outline"),
    ],
)
def test_outlines_that_cannot_be_used(folder, capsys, nerve, text):
    write_image(Path("preds/a_nerve.tif"), nerve)
    said = fails(morphometry.main, capsys, "--pixel-size", "1")
    assert "a_nerve.tif" in said and text in said and not Path("morphometry/summary.csv").exists()
