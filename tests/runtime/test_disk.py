"""Room on the disk: reckoned before a run, set aside for arrays, and named where it is short."""

import errno

import numpy as np
import pytest
from kills import Workplace, mounted

from myelin.folders.stack import Stack
from myelin.runtime import cli, disk, files


def test_the_needs_of_folders_on_one_disk_are_added_up(tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 3_000_000})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    folders = [tmp_path / "a/b/c", tmp_path / "d"]
    disk.check_room(dict.fromkeys(folders, 1_000_000))
    with pytest.raises(cli.UserError) as mistake:
        disk.check_room(dict.fromkeys(folders, 1_500_000), "buy another")
    assert str(mistake.value) == (
        f"{folders[0]} and {folders[1]}: 3.1 MB needed, 3.0 MB free on the disk of {tmp_path}, "
        "buy another"
    )


@pytest.mark.parametrize("in_zeros", [False, True])
def test_an_array_has_its_room_before_it_is_written(tmp_path, monkeypatch, in_zeros):
    if in_zeros:  # as on Windows and macOS
        monkeypatch.delattr(disk.os, "posix_fallocate", raising=False)
    path = tmp_path / "x.npy"
    stack = Stack(path, (3, 700, 900), np.float32)
    assert np.load(path).shape == (3, 700, 900) and not np.load(path).any()
    if hasattr(path.stat(), "st_blocks"):
        assert path.stat().st_blocks * 512 >= 3 * 700 * 900 * 4
    stack[-1] = np.full((600, 800), 2.5, np.float32)
    with pytest.raises(IndexError):
        stack[3] = np.zeros((1, 1), np.float32)
    assert np.load(path)[2].sum() == 600 * 800 * 2.5 and not np.load(path)[:2].any()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("41986 requested and 12288 written"),
        OSError("Not enough free space to write 24 bytes after offset 128"),
        OSError("Can't write\n(errno = 28, error message = 'No space left on device')"),
        RuntimeError("Unable to close (errno = 28, error message = 'No space left on device')"),
    ],
)
def test_a_full_disk_is_one_line_that_names_file_and_disk(tmp_path, capsys, error):
    @cli.script
    def main(argv=None):
        with files.replacing(tmp_path / "x.h5") as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(SystemExit, match="2"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'x.h5'}: No space left on device (")
    assert line.endswith(f"free on the disk of {tmp_path}), make room and start again")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 20 MB; skipped where the system does not allow that."""
    with mounted(tmp_path / "disk", "20m") as folder:
        if folder is None:
            pytest.skip("needs the right to mount a file system")
        yield folder


@pytest.mark.slow
def test_a_disk_that_is_almost_full_is_one_line_at_any_level(small_disk):
    """`benchmarks/faults.py disks` tries all commands."""
    place = Workplace(small_disk)
    codes = {}
    for free in (0, 60_000, 130_000, 160_000, 400_000):
        codes[free], wrong = place.try_full("data.py", free)
        assert wrong == []
    assert codes[0] == 2 and codes[400_000] == 0
