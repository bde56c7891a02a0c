"""Packing: pairs, sizes and pixel sizes; every mistake named, and never half a set of arrays."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_samples import BAD_IMAGES, ome_image, ramp, refused, stored_files

import data
from myelin.folders import naming, packed
from myelin.images import image as images
from myelin.runtime import cli
from myelin.train import pairs

ROOT = Path(data.__file__).parent


@pytest.mark.parametrize("mask_suffix", [".tif", ".png", ".bmp"])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp"])
def test_pairs_are_packed_by_stem_across_formats(folder, write_pair, suffix, mask_suffix):
    # In sorted order, masks and images interleave otherwise: "a_mask" is also before "a10".
    written = {stem: write_pair(stem, suffix=suffix, mask_suffix=mask_suffix) for stem in "ab"}
    written["a10"] = write_pair("a10", (18, 30), suffix, mask_suffix)
    data.main([])
    train = packed.load_train()
    assert train.ids == ["a", "a10", "b"]
    assert train.images.shape == train.masks.shape == (3, 20, 30)
    assert train.images.dtype == train.masks.dtype == np.uint8
    for index, stem in enumerate(["a", "a10", "b"]):
        rows, cols = train.shapes[index]
        assert np.array_equal(train.images[index][:rows, :cols], written[stem][0])
        assert np.array_equal(train.masks[index][:rows, :cols], written[stem][1])


def test_smaller_images_are_zero_padded_and_their_sizes_kept(folder, write_sample):
    small = write_sample("raw/test/a.png", shape=(10, 40))
    tall = write_sample("raw/test/b.tif", shape=(25, 8))
    data.main([])
    test = packed.load_test()
    assert test.names == ["a", "b"]
    assert [image.shape for image in test.images] == [(10, 40), (25, 8)]
    assert test.packed_shape == (2, 25, 40)
    for index, sample in enumerate((small, tall)):
        assert np.array_equal(test[index], sample)
        padded = np.zeros((25, 40), np.uint8)
        padded[: sample.shape[0], : sample.shape[1]] = sample
        assert np.array_equal(np.load("npydata/imgs_test.npy")[index], padded)


def test_ids_are_unicode_stems_without_pickle(folder, write_sample):
    stems = ["007", "Präparat é 1", "神経.v2"]
    for stem in stems:
        write_sample(f"raw/test/{stem}.png")
    data.main([])
    ids = np.load("npydata/imgs_id_test.npy", allow_pickle=False)
    assert ids.dtype.kind == "U" and ids.tolist() == stems
    assert packed.load_test().names == stems


def test_the_summary_says_what_was_packed(folder, write_pair, write_sample, capsys):
    write_pair("a")
    write_pair("b", (24, 16))
    write_sample("raw/test/t.png", ramp(np.uint16) * np.uint16(100))
    tifffile.imwrite("raw/test/u.tif", ramp(np.float32))
    write_sample("raw/test/v.jpg", np.full((20, 30), 90, np.uint8))
    data.main([])
    lines = capsys.readouterr().out.splitlines()
    padded = "frames of 24 x 30 (2 sizes, zero-padded)"
    assert lines[0] == f"2 training images: {padded}"
    assert lines[1] == f"2 training masks: {padded}, myelin on 49% to 49% of the area"
    assert lines[2] == "3 test images: frames of 20 x 30, 2 scaled to 8 bits by their own limits"
    assert lines[3:] == ["packed into npydata/"]


BLACK = np.zeros((9, 9), np.uint8)
SPOILS = {  # {name of a mistake: (files written, error messages)}; None is a random image
    "an image alone": (
        {"train/p.png": None},
        ["train/p.png: an image without a mask, add p_mask.tif or remove it"],
    ),
    "a mask alone": (
        {"train/q_mask.png": BLACK},
        ["train/q_mask.png: a mask without an image, add q.tif or remove it"],
    ),
    "size": (
        {"train/r.png": BLACK, "train/r_mask.tif": BLACK[:, 1:]},
        ["train/r_mask.tif: 9 x 8 pixels, but r.png is 9 x 9, draw the mask on"],
    ),
    "mask values": (
        {"train/s.png": None, "train/s_mask.png": None},
        ["train/s_mask.png: 227 grey values in a mask, which has two (0 and 255)"],
    ),
    "stem": (
        {"test/t.png": None, "test/t.tif": None},
        ["test/t.tif: t.png has the same name before the dot, rename or remove"],
    ),
    "case": (
        dict.fromkeys(
            ["train/U.png", "train/u.bmp", "train/U_mask.tif", "train/u_mask.tif"], BLACK
        ),
        [
            "train/u.bmp: U.png has the same name before the dot",
            "train/u_mask.tif: U_mask.tif has the same name before the dot",
        ],
    ),
    "both": (
        {"train/v.tif": b"no image", "train/v_mask.png": None},
        [
            "train/v.tif: cannot be read as an image",
            "train/v_mask.png: 227 grey values in a mask",
        ],
    ),
}


def spoil(name, write_sample):
    """Write the files of a mistake; return its error messages."""
    written, messages = SPOILS[name]
    for path, content in written.items():
        if isinstance(content, bytes):
            Path("raw", path).write_bytes(content)
        else:
            write_sample(f"raw/{path}", content)
    return messages


def test_all_mistakes_of_a_batch_are_listed_in_one_run(folder, write_sample):
    messages = [text for name in SPOILS for text in spoil(name, write_sample)]
    for name, (write, _) in BAD_IMAGES.items():
        write(folder / "raw/test" / f"{Path(name).suffix[1:]}_{name}")  # stems must differ
    # As users run it: what libraries report to stderr must not come between the lines.
    run = subprocess.run([sys.executable, ROOT / "data.py"], capture_output=True, text=True)
    text = run.stderr.replace(os.sep, "/")
    lines = text.splitlines()
    assert run.returncode == 2 and all(line.startswith("error: raw/") for line in lines)
    assert len(lines) == len(messages) + len(BAD_IMAGES)
    assert all(reason in text for reason in [*messages, *(why for _, why in BAD_IMAGES.values())])


def test_a_failed_run_leaves_the_previous_arrays_as_they_were(folder, write_pair, write_sample):
    write_pair("a")
    write_sample("raw/test/t.png")
    data.main([])
    Path("npydata/imgs_mask_test.npy").write_bytes(b"results")
    before = stored_files()
    assert len(before) == 13
    write_pair("b")
    write_sample("raw/test/u.png")
    write_sample("raw/train/b_mask.tif")  # not a mask
    with pytest.raises(SystemExit):
        data.main([])
    assert stored_files() == before


def test_a_renaming_cut_off_halfway_leaves_no_mixture(folder, write_pair, monkeypatch, capfd):
    write_pair("a")
    data.main([])
    for path in Path("raw/train").iterdir():
        path.unlink()
    write_pair("b")
    rename = os.replace

    def locked(source, target):
        if Path(target).name == "imgs_train.npy":
            raise PermissionError(13, "in use", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", locked)
    assert "imgs_train.npy: in use" in refused(capfd)[0]
    with pytest.raises(cli.UserError, match=r"imgs_id_train.npy: no such file, run python data"):
        pairs.Pairs(as_bright=False)


@pytest.mark.parametrize("emptied", ["removed", "empty"])
def test_arrays_of_a_folder_without_images_do_not_stay_behind(
    folder, write_pair, write_sample, capsys, emptied
):
    write_pair("a")
    write_sample("raw/test/t.png")
    data.main([])
    for path in folder.glob("raw/train/*"):
        path.unlink()
    if emptied == "removed":
        (folder / "raw/train").rmdir()
    capsys.readouterr()
    data.main([])
    kinds = ("", "id_", "limits_", "shape_", "stamp_", "pixel_size_")
    assert set(stored_files()) == {f"imgs_{kind}test.npy" for kind in kinds}
    assert f"{naming.RAW_TRAIN}: no images" in capsys.readouterr().out


@pytest.mark.parametrize("changed", [True, False])
def test_results_do_not_outlive_the_images_they_belong_to(folder, write_sample, capsys, changed):
    write_sample("raw/test/a.png")
    data.main([])
    Path("npydata/imgs_mask_test.npy").write_bytes(b"results")
    if changed:
        write_sample("raw/test/a.png", shape=(9, 9))
    data.main([])
    assert "imgs_mask_test.npy" not in stored_files()
    assert "removed imgs_mask_test.npy" in capsys.readouterr().out


def test_pixel_sizes_are_packed(folder, write_sample, capsys):
    images.write_image("raw/test/a.tif", ramp(), 0.2)
    write_sample("raw/test/b.png")
    ome_image(Path("raw/test/c.tif"), 'PhysicalSizeX="0.25" PhysicalSizeY="0.25"')
    ome_image(Path("raw/test/d.tif"), 'PhysicalSizeX="0.25" PhysicalSizeY="0.5"')
    data.main([])
    stored = np.load("npydata/imgs_pixel_size_test.npy")
    assert stored.dtype == np.float64 and stored.shape == (4,)
    sizes = [image.pixel_size_um for image in packed.load_test().images]
    assert sizes == [pytest.approx(0.2), None, 0.25, None]
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    path = Path("raw/test/d.tif")
    assert len(notes) == 1
    assert notes[0].startswith(f"note: {path}: pixels of 0.25 x 0.5 µm are not square")
