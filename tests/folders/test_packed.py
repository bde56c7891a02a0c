"""The packed arrays: stacks of frames, and what is refused on loading."""

from pathlib import Path

import numpy as np
import pytest
from image_samples import refused

from myelin.folders import packed
from myelin.folders.stack import Stack
from myelin.runtime import cli, disk


def test_a_full_disk_is_said_before_writing(folder, write_pair, monkeypatch, capfd):
    write_pair("a")
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    said = refused(capfd)
    assert "npydata: 0.1 MB needed, 0.0 MB free on the disk of " in said[0] and len(said) == 1
    assert said[0].endswith("make room on it or pack fewer images")
    assert not list(folder.rglob("*.npy"))


def test_stack_reads_and_writes_frames_and_keeps_no_mapping(tmp_path):
    path = tmp_path / "frames.npy"
    stack = Stack(path, (3, 40, 50), np.uint8)
    stack[1] = np.full((40, 50), 7, np.uint8)
    assert np.load(path)[:, 0, 0].tolist() == [0, 7, 0]
    frame = stack[1]
    assert len(stack) == 3 and stack.shape == (3, 40, 50) and stack.dtype == np.uint8
    assert type(frame) is np.ndarray and frame.flags.owndata and (frame == 7).all()
    assert isinstance(stack.mapped(1), np.memmap)
    if Path("/proc/self/maps").exists():
        assert path.name not in Path("/proc/self/maps").read_text()


def save_arrays(**arrays):
    Path("npydata").mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(f"npydata/{name}.npy", array)


FRAMES = np.zeros((2, 4, 5), np.uint8)


SHAPES = np.array([[4, 5], [3, 2]])
IDS = np.array(["a", "b"])


@pytest.mark.parametrize("array", [FRAMES[0], FRAMES.astype(np.uint16), np.float32(1)])
def test_packed_frames_of_another_kind_are_refused(folder, array):
    save_arrays(imgs_train=array)
    with pytest.raises(cli.UserError, match="expected frames of uint8 as"):
        packed.load_train()


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00\x06\x00{bad}\n", "pickle"])
def test_a_file_that_is_no_packed_array_is_refused(folder, content):
    (folder / "npydata").mkdir()
    if content == "pickle":
        np.save("npydata/imgs_test.npy", np.array([{}], object), allow_pickle=True)
    else:
        (folder / "npydata/imgs_test.npy").write_bytes(content)
    with pytest.raises(cli.UserError, match=r"imgs_test\.npy: not a packed array"):
        packed.load_test()


def test_pixel_sizes_are_numbers_or_none(folder):
    save_arrays(imgs_test=FRAMES, imgs_id_test=IDS, imgs_shape_test=SHAPES)
    save_arrays(imgs_pixel_size_test=np.array([0.1, np.nan]))
    test = packed.load_test()
    assert [image.pixel_size_um for image in test.images] == [0.1, None]
    assert test.names == ["a", "b"] and [image.shape for image in test.images] == [(4, 5), (3, 2)]


@pytest.mark.parametrize(
    ("name", "array"),
    [("id", ["a", "b", "c"]), ("shape", SHAPES + 1), ("pixel_size", [0.1]), ("limits", [1, 2])],
)
def test_what_does_not_fit_the_frames_is_refused(folder, name, array):
    facts = {"id": IDS, "shape": SHAPES, "pixel_size": np.full(2, np.nan)} | {name: array}
    save_arrays(imgs_test=FRAMES, **{f"imgs_{key}_test": value for key, value in facts.items()})
    with pytest.raises(cli.UserError, match=rf"imgs_{name}_test\.npy: does not fit"):
        packed.load_test()


def test_images_and_masks_of_different_counts_are_refused(folder):
    save_arrays(imgs_train=FRAMES, imgs_mask_train=FRAMES[:1])
    with pytest.raises(cli.UserError, match=r"imgs_train\.npy: .*, but imgs_mask_train"):
        packed.load_train()
