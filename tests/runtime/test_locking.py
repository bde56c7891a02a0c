"""One run at a time: who is kept out, who is let in, and that nothing stays locked."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from measuring import fails

import train
from myelin.runtime import lock as locking
from myelin.runtime.cli import UserError, running
from myelin.runtime.lock import holding

ROOT = Path(locking.__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from myelin.runtime.cli import running
from myelin.runtime.lock import holding
running["command"] = "python find_myelin.py --threshold 0.3"
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(locking, "PATIENCE_S", 0)


def test_a_second_run_is_refused_and_told_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setitem(running, "command", "python find_myelin.py --threshold 0.3")
    with holding(tmp_path):
        for shared in (False, True):
            with pytest.raises(UserError) as error, holding(tmp_path, shared=shared):
                pass
            (text,) = error.value.args
            assert text.startswith(f"{tmp_path}: in use by python find_myelin.py --threshold 0.3 (")
            assert f"process {os.getpid()} on " in text and text.endswith("wait until it has ended")
    with holding(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_who_may_write_removes_what_killed_runs_left(tmp_path):
    half = [".a.tmp-0.tif", "in/.b.tmp-0.tif", "held/.c.tmp-0.tif", ".x.tmp-0.npy"]
    for name in half:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    with holding(tmp_path, "x.npy", shared=True):
        pass
    with holding(tmp_path, "x.npy"):
        assert [name for name in half if (tmp_path / name).exists()] == half[:3]
    with holding(tmp_path / "held", "y.npy", shared=True), holding(tmp_path):
        assert [name for name in half if (tmp_path / name).exists()] == half[2:3]


def test_readers_share_and_keep_writers_out_until_the_last_has_ended(tmp_path):
    with holding(tmp_path, "x.npy", shared=True):
        with holding(tmp_path, "x.npy", shared=True), pytest.raises(UserError):  # noqa: SIM117
            with holding(tmp_path, "x.npy"):
                pass
        with pytest.raises(UserError, match=r"x.npy: in use by"), holding(tmp_path, "x.npy"):
            pass
        with holding(tmp_path, "y.npy"), holding(tmp_path):  # others are no concern of it
            pass
    with holding(tmp_path, "x.npy"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="x: is a file, name a folder"), holding(tmp_path / "x"):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"process {process.pid} on"), holding(tmp_path):
        pass
    process.kill()
    process.communicate()
    assert (tmp_path / ".lock").exists()
    with holding(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_to_be_written_and_goes_when_nothing_was(tmp_path):
    folder = tmp_path / "preds"
    with holding(folder, shared=True):
        assert not folder.exists()
    with holding(folder):
        assert folder.exists()
    assert not folder.exists()
    with pytest.raises(ValueError), holding(folder):
        raise ValueError
    assert not folder.exists()
    with holding(folder):
        (folder / "x").touch()
    assert [path.name for path in folder.iterdir()] == ["x"]


@pytest.mark.skipif(locking.fcntl is None, reason="Windows has other locks")
def test_a_drive_without_locks_is_named(tmp_path, monkeypatch, capsys):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locking.fcntl, "flock", unknown)
    with holding(tmp_path):
        pass
    assert str(tmp_path / ".lock") in capsys.readouterr().out


def test_two_trainings_of_one_model_file(folder, capsys):
    for name in ("train", "mask_train"):
        Path("npydata").mkdir(exist_ok=True)
        np.save(f"npydata/imgs_{name}.npy", np.zeros((2, 16, 16), np.uint8))
    with holding(Path("models"), "m.h5"):
        assert f"{Path('models/m.h5')}: in use by" in fails(train.main, capsys, "m.h5", "1")
        assert "run python data.py" in fails(train.main, capsys, "other.h5", "1")
