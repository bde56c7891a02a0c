"""The folder is what was packed: changes are seen, and packed there and then."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from image_samples import refused, stored_files

import data
from myelin.folders import naming, packed, packing
from myelin.runtime.cli import UserError
from myelin.runtime.lock import holding


@pytest.fixture
def both(folder, write_pair, write_sample):
    """Two pairs and two test images, packed."""
    for stem in "ab":
        write_pair(stem)
        write_sample(f"raw/test/{stem}.png")
    data.main([])
    return folder


@pytest.mark.parametrize("change", ["gone", "new", "changed", "mask"])
def test_each_kind_of_change_is_noticed_and_named(both, write_sample, capsys, change):
    if change == "gone":
        Path("raw/train/a.tif").unlink()
        Path("raw/train/a_mask.tif").unlink()
    elif change == "new":
        write_sample("raw/train/c.png")
        write_sample("raw/train/c_mask.tif", np.full((20, 30), 255, np.uint8))
    else:
        ending = "_mask.tif" if change == "mask" else ".tif"
        write_sample(f"raw/train/b{ending}", np.full((20, 30), 255, np.uint8))
    capsys.readouterr()
    packing.repack_for_training()
    name = {"gone": "a", "new": "c"}.get(change, "b")
    assert f"{naming.RAW_TRAIN} has changed ({name}): packed again" in capsys.readouterr().out
    assert len(packed.load_train().ids) == {"gone": 1, "new": 3}.get(change, 2)
    if change == "mask":
        assert packed.load_train().masks[1].all()


def test_a_mistake_in_a_changed_folder_is_an_error_and_what_was_packed_stays(both, write_sample):
    before = stored_files()
    write_sample("raw/train/lone.png")
    with pytest.raises(UserError, match=r"lone\.png: an image without a mask"):
        packing.repack_if_changed("train")
    Path("raw/test/a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png: cannot be read as an image"):
        packing.repack_if_changed("test")
    assert stored_files() == before


@pytest.mark.parametrize("emptied", [True, False])
def test_arrays_alone_go_on_working(both, emptied):
    shutil.rmtree("raw")
    if emptied:
        Path("raw/test").mkdir(parents=True)
    before = stored_files()
    packing.repack_for_training()
    assert stored_files() == before


def test_arrays_of_an_older_version_are_packed_anew(both, capsys):
    for path in Path("npydata").glob("imgs_stamp_*"):
        path.unlink()
    packing.repack_for_training()
    assert capsys.readouterr().out.count("was packed by an older version, or not to the end") == 2
    packing.repack_for_training()
    assert capsys.readouterr().out == ""


def test_nothing_is_packed_anew_under_a_running_training(both, write_pair):
    write_pair("c")
    with (
        holding(naming.NPYDATA, "imgs_train.npy", shared=True),
        pytest.raises(UserError, match=r"imgs_train.npy: in use by"),
    ):
        packing.repack_if_changed("train")


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_file_in_the_place_of_a_folder_removes_nothing(both, capfd, name):
    before = stored_files()
    shutil.rmtree(f"raw/{name}")
    Path(f"raw/{name}").touch()
    (line,) = refused(capfd)
    assert line.startswith(f"error: {Path('raw', name)}: not a folder, make it")
    assert stored_files() == before


@pytest.mark.parametrize(("value", "word"), [(0, "no"), (255, "all")])
def test_a_mask_without_or_of_nothing_but_myelin_is_named(
    folder, write_sample, capsys, value, word
):
    write_sample("raw/train/a.png")
    write_sample("raw/train/a_mask.png", np.full((20, 30), value, np.uint8))
    data.main([])
    assert f"note: {naming.RAW_TRAIN / 'a_mask.png'}: {word} myelin\n" in capsys.readouterr().out


def test_results_among_the_images_are_named(folder, write_pair, write_sample, capfd):
    write_pair("a")
    write_sample("raw/test/b.tif")
    for path in ("train/a_overlay", "test/b_pred", "test/c_pred"):
        write_sample(f"raw/{path}.png")
    lines = [line.replace("\\", "/") for line in refused(capfd)]
    text = "looks like a result made from {}, not an image, move it out of the folder"
    assert lines == [
        f"error: raw/train/a_overlay.png: {text.format('a')}",
        f"error: raw/test/b_pred.png: {text.format('b')}",
    ]
