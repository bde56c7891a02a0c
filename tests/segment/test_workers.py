"""Several processes give the files of one, and end with it."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from kills import ROOT
from stand_ins import rings

import find_myelin
from myelin.images.image import write_image
from myelin.network.engine import WORKERS
from myelin.network.model_file import read_model_file
from myelin.runtime.cli import UserError, progress
from myelin.segment import workers
from myelin.segment.pipeline import as_done
from myelin.segment.segmenter import Segmenter, Setup

MODEL = ROOT / "models/bestmyelin.h5"
CALL = (str(MODEL), "--myelin", "bright", "--scale", "1", "--precision", "float32")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder tree with four small images."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        image = cv2.GaussianBlur(rings(100 + 10 * number, 110), (7, 7), 2)
        write_image(Path(f"study/a{number % 2}/x{number}.tif"), image, 0.2)
    return tmp_path


def contents(folder):
    """Return {path: hash} of what a run has written, and what run.json says of images."""
    paths = (path for path in Path(folder).rglob("*_*.*") if path.name[0] != ".")
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }
    return found, json.loads(Path(folder, "run.json").read_text())["images"]


def test_two_processes_give_the_files_of_one(study):
    find_myelin.main([*CALL, "--images", "study", "--out", "one"])
    find_myelin.main([*CALL, "--images", "study", "--out", "two", "--workers", "2"])
    assert contents("one") == contents("two") and len(contents("one")[0]) == 12
    shutil.copytree("study/a0", "raw/test")
    find_myelin.main([*CALL])
    alone = Path("npydata/imgs_mask_test.npy").read_bytes()
    Path("npydata/imgs_mask_test.npy").unlink()
    find_myelin.main([*CALL, "--workers", "2"])
    assert Path("npydata/imgs_mask_test.npy").read_bytes() == alone


def test_a_process_that_is_lost_ends_the_run_with_a_line(study):
    weights, settings, _ = read_model_file(MODEL)
    opening = weights, settings, "openvino", "float32", None
    with pytest.raises(UserError, match="one of the processes has ended"):
        segmenter = Segmenter(Setup(None, settings, 0.5, Path("preds")), None)
        with workers.Team(2, segmenter, opening) as team:
            team.processes[0].kill()
            # Each process in turn, as each takes one scan at a time.
            asks = [team.free.get() for _ in range(2 * WORKERS)]
            assert asks[::2] == [segmenter] * WORKERS
            assert [ask.args for ask in asks[1::2]] == [(line,) for line in team.lines]
            asks[1](0, None, None)
    assert not team.processes[0].is_alive()


def test_an_image_that_fails_in_this_process_keeps_no_other_waiting():
    def no_room(*_):
        raise OSError("no room")

    with workers.Team(1, no_room, ()) as team:
        for _ in range(WORKERS):
            with pytest.raises(OSError, match="no room"):
                team(0, None, None)
        assert team.free.qsize() == WORKERS


def test_how_far_a_scan_is_in_another_process_is_shown(monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **facts):
            self.facts, self.n, self.closed = facts, facts["initial"], False
            bars.append(self)

        def update(self, count):
            self.n += count

        def close(self):
            self.closed = True

    def scan(*_):
        tiles = list(progress(range(5), "huge image", "tile", delay_s=-1))
        return "hash", np.eye(len(tiles), dtype=bool)

    monkeypatch.setattr(workers, "new_bar", Bar)
    ours, theirs = multiprocessing.Pipe()
    other = threading.Thread(target=workers.answer, args=(theirs, scan))
    other.start()
    for _ in range(2):
        hashed, mask = workers.ask_on(ours, 0, None, None)
        assert hashed == "hash" and np.array_equal(mask, np.eye(5, dtype=bool))
    ours.close()
    other.join()
    facts = {"desc": "huge image", "unit": "tile", "total": 5, "initial": 1}
    assert [(bar.facts, bar.n, bar.closed) for bar in bars] == [(facts, 5, True)] * 2


def test_an_error_that_cannot_be_sent_comes_as_what_it_says():
    class Local(Exception):
        """Of a class that is found by no name."""

    def fail(*_):
        raise Local("why")

    ours, theirs = multiprocessing.Pipe()
    other = threading.Thread(target=workers.answer, args=(theirs, fail))
    other.start()
    with pytest.raises(RuntimeError, match=r"^Local: why$"):
        workers.ask_on(ours, 0, None, None)
    ours.close()
    other.join()


def test_a_slow_image_does_not_keep_others_waiting():
    others = threading.Event()

    def call(index):
        if index == 0:
            assert others.wait(60)
        elif index == 5:
            others.set()
        return 10 * index

    with ThreadPoolExecutor(2) as pool:
        found = list(as_done(pool, call, ((index,) for index in range(10)), 2))
    assert found[0] != (0, 0) and sorted(found) == [(index, 10 * index) for index in range(10)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_signal_ends_all_processes_with_one_line(study):
    for number in range(40):
        shutil.copy("study/a0/x0.tif", f"study/a0/y{number}.tif")
    run = subprocess.Popen(
        [sys.executable, ROOT / "find_myelin.py", *CALL, "--images", "study", "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    last = time.monotonic() + 60
    while not list(Path("preds").rglob("*_mask.tif")) and time.monotonic() < last:
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError):
        said = run.communicate(timeout=60)[1]  # ends when all that hold the pipe have ended
    assert run.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1].endswith(
        "stopped by SIGTERM; what was finished is kept, --resume goes on"
    )
    assert not list(Path("preds").rglob("*.tmp-*"))
    assert json.loads(Path("preds/run.json").read_text())["complete"] is False


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("delay_s", [0, 0.3])
def test_ctrl_c_while_processes_start_is_one_line(study, delay_s):
    """A terminal sends it to all of them, while they import what they need."""
    run = subprocess.Popen(
        [sys.executable, ROOT / "find_myelin.py", *CALL, "--images", "study", "--workers", "3"],
        stderr=subprocess.PIPE,
        text=True,
        # Ignored in a job behind a shell.
        preexec_fn=lambda: [os.setsid(), signal.signal(signal.SIGINT, signal.SIG_DFL)],
    )
    last = time.monotonic() + 60
    while not processes_started(run.pid) and time.monotonic() < last:
        time.sleep(0.002)
    time.sleep(delay_s)
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 128 + signal.SIGINT
    assert re.fullmatch(r"(\s*segmenting.*\s)*stopped by Ctrl-C; .*\n", said)


def processes_started(session):
    """Whether a session has a process that `multiprocessing` has started."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = os.getsid(int(path.name)) == session
            if ours and b"spawn_main" in (path / "cmdline").read_bytes():
                return True
    return False
