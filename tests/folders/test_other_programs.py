"""Files of other programs, by their names: AxonDeepSeg, Cellpose, outlines of nerves."""

from pathlib import Path

import numpy as np
import pytest
from image_samples import refused
from measuring import read_table, rings, save

import data
import evaluate
import morphometry
from myelin.folders import naming
from myelin.folders.mask_set import find_masks, find_nerves
from myelin.images.image import write_image
from myelin.runtime.cli import UserError

CENTERS = [(40, 40), (120, 40), (200, 40)]
MASK, AXONS = rings((80, 240), CENTERS, 14, 24), rings((80, 240), CENTERS, 0, 14)
NOISE = np.random.default_rng(0).integers(0, 255, (80, 240), dtype=np.uint8)


def axondeepseg(folder, parts=("axonmyelin", "axon", "myelin")):
    """Write an image and its masks as AxonDeepSeg does."""
    write_image(Path(folder, "x.png"), NOISE)
    shown = {
        "axonmyelin": MASK * np.uint8(127) + AXONS * np.uint8(255),
        "axon": AXONS * np.uint8(255),
        "myelin": MASK * np.uint8(255),
    }
    for part in parts:
        write_image(Path(folder, f"x_seg-{part}.png"), shown[part])


@pytest.mark.parametrize("parts", [("axonmyelin",), ("axon", "myelin"), ("axonmyelin", "axon")])
def test_axondeepseg_is_measured_compared_and_learned(folder, parts):
    axondeepseg("ads", parts)
    Path("ads/pixel_size_in_micrometer.txt").write_text("0.25\n", encoding="utf-8")
    morphometry.main(["--masks", "ads", "--images", "ads", "--no-pictures"])
    (row,) = read_table("morphometry/summary.csv")
    assert (row["image"], row["fiber_count"], row["pixel_size_um"]) == ("x", "3", "0.25")
    assert row["pixel_size_source"] == "pixel_size_in_micrometer.txt of x.png"
    assert float(row["g_ratio_mean"]) == pytest.approx(14 / 24, abs=0.01)
    assert "Axons were taken from given axon masks" in Path("morphometry/methods.txt").read_text(
        encoding="utf-8"
    )
    axondeepseg("raw/test", parts)
    assert list(naming.test_images(naming.RAW_TEST)) == ["x"]
    save(Path("preds/x_mask.tif"), MASK)
    evaluate.main(["--pixel-size", "1", "--no-pictures"])
    row = read_table("evaluation/evaluation.csv")[0]
    assert (row["myelin_dice"], row["axon_dice"], row["f1"]) == ("1", "1", "1")
    axondeepseg("raw/train", parts)
    data.main([])
    assert np.array_equal(np.load("npydata/imgs_mask_train.npy")[0] > 0, MASK)


def test_a_mask_of_ours_comes_first_and_without_axons_of_others(folder, capsys):
    axondeepseg("preds")
    save(Path("preds/x_mask.tif"), MASK)
    assert find_masks("preds") == {"x": (Path("preds/x_mask.tif"), None)}
    said = capsys.readouterr().out.replace("\\", "/")
    assert said.startswith("note: preds/x_mask.tif: used instead of x_seg-axonmyelin.png")


def test_a_myelin_mask_with_its_axons_and_other_results(folder, capsys):
    save(Path("masks/x_myelin.png"), MASK)
    find_masks("masks")
    assert "x_myelin.png: no axon mask beside it, so axons are" in capsys.readouterr().out
    save(Path("masks/x_axon.png"), AXONS)
    assert find_masks("masks") == {"x": (Path("masks/x_myelin.png"), Path("masks/x_axon.png"))}
    write_image(Path("raw/test/x.png"), NOISE)
    for ending in ("_myelin", "_seg-uaxon", "_axonmyelin_index", "_cp_masks", "_Nerve", "_outline"):
        save(Path(f"raw/test/x{ending}.png"), MASK)
    assert list(naming.test_images(naming.RAW_TEST)) == ["x"]


def test_masks_without_their_image_are_named(folder, capsys):
    write_image(Path("raw/test/y.png"), NOISE)
    write_image(Path("raw/test/rat_nerve.png"), NOISE)  # an image, by its pixels
    for stem in ("x_mask", "x_nerve", "x_seg-axon"):
        save(Path(f"raw/test/{stem}.png"), MASK)
    save(Path("raw/test/z.png"), MASK)
    data.main([])
    assert np.load("npydata/imgs_id_test.npy").tolist() == ["rat_nerve", "y", "z"]
    lines = capsys.readouterr().out.replace("\\", "/").splitlines()
    for stem in ("x_mask", "x_nerve", "x_seg-axon"):
        assert f"note: raw/test/{stem}.png: shows a part of x, but there is no" in " ".join(lines)
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert "raw/test/z.png: has 2 grey values, as a mask does" in warning


def test_outlines_of_any_case_are_used_and_misnamed_ones_named(folder, capsys):
    save(Path("masks/x_mask.png"), MASK)
    save(Path("raw/test/x_Outline.png"), AXONS)
    assert find_nerves(["x"], Path("raw/test")) == {"x": Path("raw/test/x_Outline.png")}
    save(Path("raw/test/x_Nerve.png"), AXONS)
    with pytest.raises(UserError, match=r"x_Outline\.png is an outline of the same nerve"):
        find_nerves(["x"], Path("raw/test"))
    Path("raw/test/x_Nerve.png").rename("raw/test/x-nerve.png")
    write_image(Path("raw/test/x.png"), NOISE)
    assert "x-nerve.png: looks like a mask of x, rename it to x_nerve.png" in refused(capsys)[0]
