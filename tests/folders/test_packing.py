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


def test_an_unchanged_folder_is_not_packed_again(both, capsys):
    before = stored_files()
    capsys.readouterr()
    packing.keep_up_to_train()
    assert stored_files() == before and capsys.readouterr().out == ""


def test_each_kind_of_change_is_named(both, write_sample):
    Path("raw/test/a.png").unlink()
    assert packing.changes("test") == "has changed since it was packed (gone: a)"
    write_sample("raw/test/b.png", shape=(9, 9))
    for number in range(7):
        write_sample(f"raw/test/n{number}.png")
    more = "new: n0, n1, n2, n3, n4 and 2 more; changed: b; gone: a"
    assert packing.changes("test") == f"has changed since it was packed ({more})"
    assert packing.changes("train") is None


def test_a_changed_mask_counts(both, write_sample, capsys):
    mask = write_sample("raw/train/b_mask.tif", np.full((20, 30), 255, np.uint8))
    packing.keep_up_to_train()
    said = capsys.readouterr().out
    assert f"{naming.RAW_TRAIN} has changed since it was packed (changed: b): packed anew" in said
    assert np.array_equal(packed.load_train().masks[1], mask)


def test_only_the_folder_that_changed_is_packed(both, write_sample):
    before = stored_files()
    write_sample("raw/test/c.png")
    packing.keep_up("test")
    after = stored_files()
    assert packed.load_test().ids == ["a", "b", "c"]
    assert all(after[name] == before[name] for name in before if "train" in name)


def test_a_mistake_in_a_changed_folder_is_an_error_and_what_was_packed_stays(both, write_sample):
    before = stored_files()
    write_sample("raw/train/lone.png")
    with pytest.raises(UserError, match=r"lone\.png: an image without a mask"):
        packing.keep_up("train")
    Path("raw/test/a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png: cannot be read as an image"):
        packing.keep_up("test")
    assert stored_files() == before


@pytest.mark.parametrize("emptied", [True, False])
def test_arrays_alone_go_on_working(both, emptied):
    shutil.rmtree("raw")
    if emptied:
        Path("raw/test").mkdir(parents=True)
    before = stored_files()
    packing.keep_up_to_train()
    assert stored_files() == before


def test_arrays_of_an_older_version_are_packed_anew(both, capsys):
    for path in Path("npydata").glob("imgs_sha256_*"):
        path.unlink()
    packing.keep_up_to_train()
    assert capsys.readouterr().out.count("was packed by an older version, or not to the end") == 2
    assert packing.changes("train") is packing.changes("test") is None


def test_what_was_never_packed_is(both, capsys):
    shutil.rmtree("npydata")
    packing.keep_up("train")
    assert f"{naming.RAW_TRAIN} was not packed: packed anew" in capsys.readouterr().out


def test_nothing_is_packed_anew_under_a_running_training(both, write_pair):
    write_pair("c")
    with (
        holding(naming.NPYDATA, "imgs_train.npy", shared=True),
        pytest.raises(UserError, match=r"imgs_train.npy: in use by"),
    ):
        packing.keep_up("train")


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_file_in_the_place_of_a_folder_removes_nothing(both, capfd, name):
    before = stored_files()
    shutil.rmtree(f"raw/{name}")
    Path(f"raw/{name}").touch()
    (line,) = refused(capfd)
    assert line.startswith(f"error: {Path('raw', name)}: not a folder, remove it")
    assert stored_files() == before


def test_arrays_of_a_folder_that_was_emptied_are_used_and_it_is_said(both, capsys):
    for path in both.glob("raw/test/*"):
        path.unlink()
    capsys.readouterr()
    packing.keep_up_to_train()
    said = f"note: no images in {naming.RAW_TEST}, what was packed from it earlier is used\n"
    assert capsys.readouterr().out == said


def test_the_same_image_under_several_names_is_named(folder, write_pair, write_sample, capsys):
    image, _ = write_pair("a")
    for name in ("b", "b copy"):
        write_sample(f"raw/test/{name}.tif", image)
    write_sample("raw/test/c.tif", 255 - image)
    data.main([])
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]
    train, test = naming.RAW_TRAIN, naming.RAW_TEST
    assert notes == [
        f"note: the same image 2 times: {test / 'b'}, {test / 'b copy'}",
        f"note: {test / 'b'} is {train / 'a'} too: how well a model does on what it "
        "has learned from says little",
    ]


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
