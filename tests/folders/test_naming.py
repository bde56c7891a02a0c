"""What lies in a folder: images, masks, references, files that are none of them."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_samples import refused
from measuring import fails

import data
import find_myelin
import morphometry
from myelin.folders import naming, packed
from myelin.folders.mask_set import find_masks
from myelin.runtime import cli, tables

ROOT = Path(data.__file__).parent


def test_system_files_and_other_kinds_are_skipped_silently(folder, write_sample, capsys):
    write_sample("raw/test/a.png")
    for name in ("desktop.ini", "Thumbs.db", ".DS_Store", "._a.tif", ".hidden.png", "notes.txt"):
        (folder / "raw/test" / name).write_bytes(b"no image")
    data.main([])
    assert packed.load_test().names == ["a"]
    out, err = capsys.readouterr()
    assert "note" not in out and err == ""


def test_folders_and_formats_that_are_not_read_are_named_once(
    folder, write_pair, write_sample, capsys
):
    write_sample("raw/test/a.png")
    write_pair("b")
    (folder / "raw/test/inner.tif").mkdir()
    (folder / "raw/train/.hidden").mkdir()
    for name in ("b.webp", "c.LSM", "d.oib", "e.zvi", "f.vsi", "protocol.pdf", "h.zip"):
        (folder / "raw/train" / name).touch()
    data.main([])
    train, test = [line for line in capsys.readouterr().out.splitlines() if "note" in line]
    assert train.startswith(f"note: {naming.RAW_TRAIN}: ")
    assert "b.webp, c.LSM, d.oib, e.zvi, f.vsi and 1 more" in train
    assert test.startswith(f"note: {naming.RAW_TEST}: ") and "inner.tif" in test


def test_a_study_in_raw_test_is_told_how_to_keep_its_folders(folder, write_sample, capfd):
    write_path = folder / "raw/test/control/animal1"
    write_path.mkdir(parents=True)
    write_sample(write_path / "a.png")
    said = "error: raw/test: images in inner folders are not read (control), run python"
    for command in (data.main, find_myelin.main):
        (line,) = fails(command, capfd).replace(os.sep, "/").splitlines()
        assert line.startswith(said) and "find_myelin.py --images raw/test" in line


def test_the_wrong_folder_is_named(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for command in (data.main, find_myelin.main, morphometry.main):
        line = fails(command, capfd).strip()
        assert line.endswith(f"; or is {tmp_path} the wrong folder? The suite is in {ROOT}")
    (tmp_path / "raw").mkdir()
    assert "wrong folder" not in refused(capfd)[0]


def test_a_folder_of_formats_that_are_not_read_is_an_error(folder, capfd):
    (folder / "raw/test/a.oib").touch()
    (folder / "raw/test/notes.txt").touch()
    (line,) = refused(capfd)
    assert line.startswith(f"error: {naming.RAW_TEST}: cannot read the format of a.oib")
    with pytest.raises(cli.UserError, match=r"cannot read the format of a\.oib"):
        find_masks("raw/test")


@pytest.mark.parametrize(
    "stem", ["x-mask", "x_Mask", "X_masks", "x mask", "mask_x", "Mask of x.tif"]
)
def test_misnamed_masks_are_named(folder, write_sample, capfd, stem):
    for place in ("train", "test"):
        write_sample(f"raw/{place}/x.tif")
        write_sample(f"raw/{place}/{stem}.tif", np.zeros((20, 30), np.uint8))
    lines = [line.replace(os.sep, "/") for line in refused(capfd)]
    assert [line.partition(": looks")[0] for line in lines] == [
        f"error: raw/{place}/{stem}.tif" for place in ("train", "test")
    ]
    assert all("x_mask.tif" in line for line in lines)


@pytest.mark.parametrize("ending", [".ome.tif", ".OME.TIFF"])
def test_ome_tif_is_one_ending(folder, write_sample, capfd, ending):
    image = write_sample("x.tif")
    for name in (f"train/a{ending}", f"train/b_mask{ending}", "train/b.tif", "train/a_mask.tif"):
        mask = np.where(image > 127, 255, 0).astype(np.uint8)
        tifffile.imwrite(f"raw/{name}", mask if "mask" in name else image)
    tifffile.imwrite(f"raw/test/c{ending}", image)
    tifffile.imwrite(f"raw/test/c_nerve{ending}", np.full(image.shape, 255, np.uint8))
    data.main([])
    assert packed.load_train().ids == ["a", "b"] and packed.load_test().names == ["c"]
    assert tables.image_ids(["c"])(f"c{ending}") == "c"
    tifffile.imwrite("raw/train/a.tif", image)
    assert "has the same name before the dot" in refused(capfd)[0]
    Path("raw/train/a.tif").unlink()
    Path("raw/train/a_mask.tif").rename("raw/train/a.ome_mask.tif")
    assert "a.ome_mask.tif: looks like a mask of a, rename it to a_mask.tif" in refused(capfd)[0]


def test_names_that_only_contain_such_words_are_images(folder, write_sample):
    stems = ["axon 2", "mask", "maskless 1", "masked_2", "unmasked", "y_mask_control"]
    for stem in stems:
        write_sample(f"raw/test/{stem}.png")
    assert list(naming.test_images(naming.RAW_TEST)) == sorted(stems)


def test_a_misnamed_correction_is_named(folder, write_sample, capsys):
    (folder / "preds").mkdir()
    for stem in ("x_mask", "x-mask", "x_pred"):
        write_sample(f"preds/{stem}.png")
    assert list(find_masks("preds")) == ["x"]
    said = capsys.readouterr().out
    assert said.startswith("note: ") and "x-mask.png: looks like a mask of x, but x_mask.p" in said


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_what_is_no_file_is_named_and_never_opened(folder, write_sample, capfd):
    write_sample("raw/test/a.png")
    os.mkfifo("raw/test/pipe.tif")
    os.symlink("nowhere.tif", "raw/test/link.tif")
    os.symlink("loop.tif", "raw/test/loop.tif")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("raw/test/socket.tif")
        lines = refused(capfd)
    for name in ("link", "loop", "pipe", "socket"):
        assert len([line for line in lines if f"{name}.tif" in line]) == 1


def test_references_beside_test_images_are_not_segmented(folder, write_sample):
    for stem in ("a", "a_mask", "a_axon", "lone_mask", "b_axon"):
        write_sample(f"raw/test/{stem}.png")
    # b_axon is an image of its own: there is no b that it could be a reference for.
    assert list(naming.test_images(naming.RAW_TEST)) == ["a", "b_axon"]


def test_a_missing_folder_is_refused(folder):
    with pytest.raises(cli.UserError, match="nowhere: no such folder, make it and put images"):
        naming.list_images("nowhere")
    Path("nowhere").touch()
    with pytest.raises(cli.UserError, match="nowhere: not a folder"):
        naming.list_images("nowhere")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["WT 12:3.tif", "a\\b.tif", "a?.tif", b"caf\xe9.tif"])
def test_names_that_not_every_system_allows_are_refused(folder, write_sample, capfd, name):
    write_sample("x.tif")
    try:
        os.rename(b"x.tif", b"raw/test/" + os.fsencode(name))
    except OSError:
        pytest.skip("nor does this file system")
    assert "has a character that not every system allows in a name, rename" in refused(capfd)[0]


def test_microscopes_formats_are_images_and_zarr_a_folder(folder):
    for name in ("a.czi", "b.LIF", "c.nd2", "d.svs"):
        (folder / "raw/test" / name).touch()
    (folder / "raw/test/e.ome.zarr").mkdir()
    (folder / "raw/test/f").mkdir()
    assert list(naming.list_images("raw/test")) == ["a", "b", "c", "d", "e"]
