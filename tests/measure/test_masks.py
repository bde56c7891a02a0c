"""Which masks are measured, with which image and pixel size, and what is wrong with them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import fails, read_table, save, save_probabilities
from tifffile import imread, imwrite

import evaluate
import morphometry
from myelin.folders import reader as reading
from myelin.images.image import write_image


def test_pixel_size_of_the_mask_or_of_the_image(two_masks):
    write_image(Path("preds/one_mask.tif"), imread("preds/one_mask.tif"), pixel_size_um=0.25)
    ome = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    ome |= {"PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    imwrite("raw/test/two.tif", np.full((120, 200), 99, np.uint8), ome=True, metadata=ome)
    morphometry.main(["--no-pictures"])
    one, two = read_table("morphometry/summary.csv")
    assert (one["pixel_size_um"], one["pixel_size_source"]) == (
        "0.25",
        "ImageJ tags of one_mask.tif",
    )
    assert (two["pixel_size_um"], two["pixel_size_source"]) == ("0.5", "OME-XML of two.tif")
    assert float(two["axon_diameter_um_mean"]) == pytest.approx(20, rel=0.02)


def test_unknown_pixel_size(two_masks, capsys):
    said = fails(morphometry.main, capsys)
    assert said.count("error:") == 1 and "one_mask.tif and 1 more: pixel size unknown" in said
    assert "--pixel-size" in said and not Path("morphometry").exists()


def test_contradicting_pixel_sizes(two_masks, capsys):
    mask = imread("preds/one_mask.tif")
    write_image(Path("preds/one_mask.tif"), mask, pixel_size_um=0.25)
    write_image(Path("raw/test/one.tif"), mask, pixel_size_um=0.5)
    Path("preds/two_mask.tif").unlink()
    said = fails(morphometry.main, capsys)
    assert "0.5 µm per pixel" in said and "0.25" in said


def test_no_masks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = fails(morphometry.main, capsys, "--pixel-size", "1")
    assert "preds: no such folder, run python find_myelin.py" in said
    Path("preds").mkdir()
    said = fails(morphometry.main, capsys, "--pixel-size", "1")
    assert "preds: no masks in it, run python find_myelin.py" in said


def test_bad_input_is_named_at_once_before_anything_is_written(two_masks, capsys):
    save_probabilities("one", "two")
    write_image(Path("preds/two_mask.tif"), np.arange(24000, dtype=np.uint8).reshape(120, 200))
    save(Path("preds/one_axon.png"), np.zeros((60, 200), bool))  # another size than the mask
    for damaged in ("raw/test/one.png", "preds/one_pred.png"):
        Path(damaged).write_bytes(b"no image")
    said = fails(morphometry.main, capsys, "--no-pictures")
    for part in ("two_mask.tif", "one_axon.png: 60 x 200", "one.png", "one_pred.png"):
        assert part in said
    assert (
        "one_mask.tif and 1 more: pixel size unknown" in said and not Path("morphometry").exists()
    )


def test_a_mistyped_folder_of_images(two_masks, capsys):
    said = fails(morphometry.main, capsys, "--pixel-size", "1", "--images", "raw/tset")
    assert "raw/tset: no such folder" in said


def test_only_the_masks_of_the_last_run(two_masks, capsys):
    run = {"model_sha256": "abc", "threshold": 0.5, "images": {"two": {}}}
    Path("preds/run.json").write_text(json.dumps(run), encoding="utf-8")
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    (note,) = [line for line in capsys.readouterr().out.splitlines() if "skipped" in line]
    assert note.startswith("note: preds: ") and note.endswith(": one")
    assert [row["image"] for row in read_table("morphometry/summary.csv")] == ["two"]
    facts = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert facts["segmentation"]["images"] == run["images"]
    Path("preds/two_mask.tif").unlink()
    assert "no mask is from the run" in fails(morphometry.main, capsys, "--pixel-size", "1")


@pytest.mark.parametrize("shape, kind", [((60, 200), np.uint8), ((120, 200), np.uint16)])
def test_a_probability_that_does_not_belong_to_its_mask(two_masks, capsys, shape, kind):
    save_probabilities("one", "two")
    cv2.imwrite("preds/one_pred.png", np.full(shape, 200, kind))
    morphometry.main(["--pixel-size", "1", "--no-pictures"])
    bits = 8 * np.dtype(kind).itemsize
    said = f"one_pred.png: {shape[0]} x 200 pixels of {bits} bits do not belong to one_mask.tif"
    assert said in capsys.readouterr().out
    assert {row["confidence"] for row in read_table("morphometry/one_fibers.csv")} == {""}
    assert {row["confidence"] for row in read_table("morphometry/two_fibers.csv")} == {"0.64"}


@pytest.mark.parametrize("out", ["preds", "raw/test", "raw/train"])
def test_out_is_no_folder_of_the_input(two_masks, capsys, out):
    said = fails(morphometry.main, capsys, "--pixel-size", "1", "--out", out).replace("\\", "/")
    assert f"--out {out}: is an input folder, choose another" in said


@pytest.fixture
def opened(two_masks, monkeypatch):
    """Collect the names of the files whose header is read, and of those that are decoded."""
    done = {"record": [], "decode": []}

    def count(kind, function):
        def counted(source, *take):
            done[kind].append(Path(getattr(source, "path", source)).name)
            return function(source, *take)

        return counted

    for name, kind in (
        ("read_record", "record"),
        ("read_kinds", "decode"),
        ("read_image", "decode"),
    ):
        monkeypatch.setattr(reading, name, count(kind, getattr(reading, name)))
    return done


def test_each_file_is_read_once(opened):
    for name in ("one", "two"):
        write_image(Path(f"raw/test/{name}.tif"), np.full((120, 200), 99, np.uint8), 0.5)
    save_probabilities("one", "two")
    files = [
        f"{name}{end}" for name in ("one", "two") for end in (".tif", "_mask.tif", "_pred.png")
    ]
    morphometry.main(["--no-pictures"])
    assert sorted(opened["record"]) == sorted(opened["decode"]) == files


def test_the_same_masks_on_both_sides_are_read_once(opened):
    evaluate.main(["--reference", "preds", "--no-pictures"])
    files = ["one_mask.tif", "two_mask.tif"]
    assert sorted(opened["record"]) == sorted(opened["decode"]) == files


def test_what_finds_no_room_is_decoded_again(opened):
    reader, files = reading.Reader(room=120 * 200), ["one_mask.tif", "two_mask.tif"]
    for name in (*files, *files):
        assert reader.mask(Path("preds") / name).any()
    assert opened["record"] == files
    assert opened["decode"] == [*files, "two_mask.tif"]


def test_pixels_that_are_not_square(two_masks, capsys):
    ome = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.6}
    imwrite("preds/one_mask.tif", imread("preds/one_mask.tif"), ome=True, metadata=ome)
    said = fails(morphometry.main, capsys, "--no-pictures")
    assert "one_mask.tif: pixels of 0.5 x 0.6 µm are not square" in said
    assert "two_mask.tif: pixel size unknown" in said
    morphometry.main(["--pixel-size", "0.5", "--no-pictures"])
