"""`--dask`: workers of a cluster give the files of one process, or one line says why not."""

import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from kills import ROOT
from test_workers import CALL, contents, study

import find_myelin
from myelin.segment import dask_team, dask_worker
from myelin.segment import pipeline as preds

dask, distributed = map(pytest.importorskip, ("dask", "distributed"))
__all__ = ["study"]  # a fixture

RUN = (*CALL, "--images", "study")
COPIES = 12


@pytest.fixture(scope="module")
def processes():
    """A scheduler and two workers, processes of their own that come back when they are killed."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def cluster(processes):
    """The client of a cluster whose two workers are there."""
    processes.wait_for_workers(2, timeout=60)
    return processes


def segment(where, *arguments):
    where = where.scheduler.address if isinstance(where, distributed.Client) else where
    find_myelin.main([*RUN, *arguments, "--dask", where])


def refused(capsys, where, *arguments):
    """Run, which must end with one line; return it."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        segment(where, *arguments)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def copy_images():
    for number in range(COPIES):
        shutil.copy("study/a0/x0.tif", f"study/a0/y{number}.tif")


def wait_for(condition):
    last = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.01)


def masks(folder="preds"):
    return list(Path(folder).rglob("*_mask.tif"))


def test_workers_give_the_files_of_one_process(study, cluster):
    find_myelin.main([*RUN, "--out", "one"])
    segment(cluster, "--out", "two")
    assert contents("one") == contents("two") and len(contents("one")[0]) == 12
    shutil.copytree("study/a0", "raw/test")
    find_myelin.main([*CALL])
    alone = Path("npydata/imgs_mask_test.npy").read_bytes()
    Path("npydata/imgs_mask_test.npy").unlink()
    find_myelin.main([*CALL, "--dask", cluster.scheduler.address])
    assert Path("npydata/imgs_mask_test.npy").read_bytes() == alone
    opened = cluster.run(lambda: len(importlib.import_module("myelin.segment.dask_worker").engines))
    assert set(opened.values()) <= {1, 2}


def test_the_work_of_a_killed_worker_is_done_by_another(study, cluster):
    copy_images()
    find_myelin.main([*RUN, "--out", "one"])
    done = []

    def kill():
        wait_for(lambda: masks("two"))
        os.kill(next(iter(cluster.run(os.getpid).values())), signal.SIGKILL)
        done.extend(masks("two"))

    killer = threading.Thread(target=kill)
    killer.start()
    segment(cluster, "--out", "two")
    killer.join()
    assert 0 < len(done) < COPIES
    assert contents("one") == contents("two")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_signal_cancels_the_tasks_and_leaves_the_workers(study, cluster, capsys):
    copy_images()
    workers = cluster.run(os.getpid)
    run = subprocess.Popen(
        [sys.executable, ROOT / "find_myelin.py", *RUN, "--dask", cluster.scheduler.address],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(masks)
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=60)[1]
    left = list(Path("preds").rglob("*.tmp-*"))
    assert run.returncode == 128 + signal.SIGTERM and not left
    assert said.splitlines()[-1].endswith(
        "stopped by SIGTERM; what was finished is kept, --resume goes on"
    )
    assert json.loads(Path("preds/run.json").read_text())["complete"] is False
    assert cluster.run(os.getpid) == workers
    assert set(cluster.run(lambda: len(dask_worker.at_work)).values()) == {0}
    segment(cluster, "--resume")
    find_myelin.main([*RUN, "--out", "one"])
    assert "going on: " in capsys.readouterr().out and contents("one") == contents("preds")


def test_an_image_that_a_worker_cannot_read_is_named_and_the_rest_done(study, cluster, capsys):
    real = preds.decide

    def damage(*arguments):
        Path("study/a1/x1.tif").write_bytes(b"")
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(preds, "decide", damage)
        segment(cluster)
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 3 and "x1.tif: " in line and "(worker tcp://" in line
    assert len(masks()) == 3


@pytest.mark.parametrize(
    ("place", "name", "value", "message"),
    [
        (dask_team, "mark_of", "another", "does not see the folder {}/preds as it is, every"),
        (dask_team, "size_of", 7, "does not see {}/study/a0/x0.tif as it is, every worker must"),
        (preds, "sha256", "0" * 64, "does not see the model"),
        (dask_team, "software", {"numpy": "1.0"}, "has another numpy"),
        (dask_team, "software", {"python": "3.9"}, "has another python"),
        (dask_team, "software", {"a package": "1"}, "has another a package missing (the run: 1)"),
    ],
)
def test_workers_that_see_or_are_another_thing(
    study, cluster, capsys, monkeypatch, place, name, value, message
):
    monkeypatch.setattr(place, name, lambda *_: value)
    line = refused(capsys, cluster)
    assert line.startswith("error: --dask: worker tcp://127.0.0.1:") and line.count("tcp:") == 2
    assert message.format(study) in line
    assert not list(study.rglob("*.json")) and not list(study.rglob("*_pred*"))


def test_a_worker_with_another_processor(study, cluster, capsys, monkeypatch):
    real = dask_team.ordered
    monkeypatch.setattr(dask_team, "ordered", lambda *facts: real(*facts[:-1], "openvino, int4"))
    line = refused(capsys, cluster)
    assert "computes with openvino, float32, the run with openvino, int4, take --engine" in line


def test_workers_without_a_package(study, cluster, capsys, monkeypatch):
    Path("only_here.py").write_text("async def probe(order, dask_worker): pass")
    monkeypatch.syspath_prepend(study)
    monkeypatch.setattr(dask_team, "probe", importlib.import_module("only_here").probe)
    assert "lacks the package only_here, install requirements-l" in refused(capsys, cluster)
    error = ModuleNotFoundError("No module named 'myelin'")
    assert "does not have this suite, start it with" in dask_team.reason(error, "x")
    error = Exception("ModuleNotFoundError(\"No module named 'myelin.segment.dask_worker'\")")
    assert "does not have this version of this suite" in dask_team.reason(error, "x")


def test_workers_that_die_of_an_image(study, cluster, capsys, monkeypatch):
    monkeypatch.setattr(dask_team, "work_on", os._exit)
    monkeypatch.setattr(dask_team.DaskTeam, "width", 1, raising=False)
    monkeypatch.setattr(dask_team, "Call", lambda *_: ToExit())
    line = refused(capsys, cluster)
    assert "workers died of one image, again and again, perhaps for lack of memory" in line
    assert not masks()


class ToExit:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


def test_workers_that_are_lost_for_good(study, capsys, monkeypatch):
    monkeypatch.setattr(dask_team, "LOST_S", 0.2)
    monkeypatch.setattr(dask_team, "check_workers", lambda *_: 1)
    with distributed.LocalCluster(
        n_workers=1, processes=False, protocol="tcp", dashboard_address=":0"
    ) as local:

        def lose(_):
            local.scale(0)
            return time.sleep, (1,)

        monkeypatch.setattr(dask_team.Call, "__reduce__", lose)
        line = refused(capsys, local.scheduler_address)
    assert "all workers are gone, start some with python -m dask worker tcp://" in line
    assert json.loads(Path("preds/run.json").read_text())["complete"] is False


def test_a_scheduler_without_workers_that_is_then_killed(study, capsys, monkeypatch):
    monkeypatch.setattr(dask_team, "CONNECT_S", 2)
    where, call = f"tcp://127.0.0.1:{free_port()}", [sys.executable, "-m", "dask", "scheduler"]
    options = ["--host", where, "--no-dashboard", "--scheduler-file", "ready"]
    scheduler = subprocess.Popen([*call, *options], stderr=subprocess.DEVNULL)
    try:
        wait_for(Path("ready").exists)
        line = refused(capsys, where)
        assert "no workers, start some with python -m dask worker tcp://" in line
        assert not Path("preds").exists()
        monkeypatch.setattr(dask_team, "check_workers", lambda *_: scheduler.kill() or 1)
        assert "the scheduler is gone, start it again and go on" in refused(capsys, where)
    finally:
        scheduler.kill()
        scheduler.wait()


def free_port():
    with socket.socket() as any_one:
        any_one.bind(("127.0.0.1", 0))
        return any_one.getsockname()[1]


@pytest.mark.parametrize("listens", [True, False])
def test_a_scheduler_that_is_not_there(study, capsys, monkeypatch, listens):
    monkeypatch.setattr(dask_team, "CONNECT_S", 2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:
            other.listen()  # what answers nothing is no scheduler either
        line = refused(capsys, f"127.0.0.1:{other.getsockname()[1]}")
    assert "error: --dask tcp://127.0.0.1:" in line and "no scheduler answers there" in line
    assert not Path("preds").exists()


class Ended:
    """A task that ends just when the first wait for it does."""

    def __init__(self, status, result=None, error=None):
        self.status, self.results, self.error = status, [TimeoutError("of the wait"), result], error

    def result(self, timeout):
        found = self.results.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def done(self):
        return True

    def exception(self):
        return self.error


def test_a_task_that_ends_with_a_wait_is_done_and_its_own_error_is_said():
    cluster = SimpleNamespace(address="x", client=SimpleNamespace(nthreads=lambda: {"one": 1}))
    team = object.__new__(dask_team.DaskTeam)
    team.cluster, team.client, team.stopped = cluster, cluster.client, False
    assert team.result(Ended("finished", "mask")) == "mask"
    with pytest.raises(TimeoutError, match="of a drive"):
        team.result(Ended("error", error=TimeoutError("of a drive")))


@pytest.mark.parametrize("text", ["cluster", "tcp://host", "http://host:80", "host:many", ":1", ""])
def test_what_is_no_address(study, capsys, text):
    assert "is no address, take the one that the scheduler prints" in refused(capsys, text)


def test_workers_and_dask_are_one_or_the_other(study, capsys):
    line = refused(capsys, "tcp://host:1", "--workers", "2")
    assert "argument --dask: not allowed with argument --workers" in line


def test_dask_that_is_not_installed_is_named(study, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "not installed, run pip install 'dask[distributed]" in refused(capsys, "tcp://host:1")
