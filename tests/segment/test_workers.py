"""Threads, processes and the workers of a cluster give the same files, and end in one line."""

import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import pytest
from kills import ROOT
from segmenting import contents, stopped, summary
from stand_ins import rings

import find_myelin
from myelin.images.image import write_image
from myelin.runtime.cli import UserError
from myelin.segment import dask_workers, image_job, pipeline, run_summary, workers
from myelin.segment.run_options import Options

pytestmark = pytest.mark.slow
MODEL = ROOT / "models/bestmyelin.h5"
CALL = (str(MODEL), "--myelin", "bright", "--scale", "1", "--precision", "float32")
RUN = (*CALL, "--images", "study")
COPIES = 12
on_linux = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder tree with four small images, for a real network."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        image = cv2.GaussianBlur(rings(100 + 10 * number, 110), (7, 7), 2)
        write_image(Path(f"study/a{number % 2}/x{number}.tif"), image, 0.2)
    return tmp_path


@pytest.fixture(scope="module")
def processes():
    """A scheduler and two workers, processes of their own that come back when they are killed."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
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


def dask(client):
    return "--dask", client.scheduler.address


def copy_images(count=COPIES):
    for number in range(count):
        shutil.copy("study/a0/x0.tif", f"study/a0/y{number}.tif")


def wait_for(condition):
    last = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.01)


def masks(folder="preds"):
    return list(Path(folder).rglob("*_mask.tif"))


@pytest.mark.parametrize("where", ["processes", "cluster"])
def test_the_files_are_those_of_one_process(study, request, where):
    options = ("--workers", "2")
    if where == "cluster":
        options = dask(request.getfixturevalue("cluster"))
    find_myelin.main([*RUN, "--out", "one"])
    find_myelin.main([*RUN, "--out", "two", *options])
    one, other = contents("one"), contents("two")
    assert {n.removeprefix("one"): b for n, b in one[0].items()} == {
        n.removeprefix("two"): b for n, b in other[0].items()
    }
    assert one[1] == other[1] and len(one[0]) == 12
    shutil.copytree("study/a0", "raw/test")
    find_myelin.main([*CALL])
    alone = contents("npydata", "preds")
    shutil.rmtree("preds")
    Path("npydata/imgs_mask_test.npy").unlink()
    find_myelin.main([*CALL, *options])
    assert contents("npydata", "preds") == alone


@on_linux
def test_a_process_that_dies_ends_the_run_with_a_line(study, capsys):
    copy_images(60)
    others = set(processes_of(os.getpid()))  # a cluster's

    def kill():
        wait_for(masks)
        os.kill(min(set(processes_of(os.getpid())) - others), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    (line,) = errors(stopped(capsys, 2, *RUN, "--workers", "2"))
    killer.join()
    assert "a worker process died" in line and "--resume" in line
    assert summary()["complete"] is False
    find_myelin.main([*RUN, "--resume"])
    find_myelin.main([*RUN, "--out", "one"])
    assert list(contents("one")[0].values()) == list(contents("preds")[0].values())


def processes_of(parent):
    """Yield the ids of the worker processes of a process."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = f"PPid:\t{parent}\n" in (path / "status").read_text()
            if ours and b"spawn_main" in (path / "cmdline").read_bytes():
                yield int(path.name)


def errors(lines):
    return [line for line in lines if line.startswith("error: ")]


def test_a_slow_image_does_not_keep_others_waiting():
    others = threading.Event()

    class Ten(workers.Workers):
        def submit(self, index):
            return self.executor.submit(self.call, index)

        def call(self, index):
            assert index != 0 or others.wait(60)
            if index == 5:
                others.set()
            return index

    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        found = list(Ten(executor, 2).outcomes(range(10)))
    assert found[0] != 0 and sorted(found) == list(range(10))


@on_linux
@pytest.mark.parametrize("delay_s", [0, 0.3, None])
def test_ctrl_c_is_one_line(study, delay_s):
    """A terminal sends it to all processes, while they import what they need."""
    copy_images()
    run = subprocess.Popen(
        [sys.executable, ROOT / "find_myelin.py", *RUN, "--workers", "3"],
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background of a shell ignores it.
        preexec_fn=lambda: [os.setsid(), signal.signal(signal.SIGINT, signal.SIG_DFL)],
    )
    wait_for(lambda: list(processes_of(run.pid)) if delay_s is not None else masks())
    time.sleep(delay_s or 0)
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=60)[1]  # ends when all that hold the pipe have ended
    assert run.returncode == 128 + signal.SIGINT
    assert re.fullmatch(r"(\s*segmenting.*\s)*stopped by Ctrl-C; .*--resume goes on\n", said)
    assert summary()["complete"] is False


# ---------------------------------------------------------------- a cluster


def test_the_work_of_a_killed_worker_is_done_by_another(study, cluster):
    copy_images()
    find_myelin.main([*RUN, "--out", "one"])
    done = []

    def kill():
        wait_for(masks)
        os.kill(next(iter(cluster.run(os.getpid).values())), signal.SIGKILL)
        done.extend(masks())

    killer = threading.Thread(target=kill)
    killer.start()
    find_myelin.main([*RUN, *dask(cluster)])
    killer.join()
    assert 0 < len(done) < COPIES
    wanted, found = contents("one")[0], contents("preds")[0]
    assert [name.replace("one/", "preds/", 1) for name in wanted] == list(found)
    assert list(wanted.values()) == list(found.values())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_signal_leaves_the_workers_and_the_run_continues(study, cluster):
    copy_images()
    before = cluster.run(os.getpid)
    run = subprocess.Popen(
        [sys.executable, ROOT / "find_myelin.py", *RUN, *dask(cluster)],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(masks)
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 128 + signal.SIGTERM and "stopped by SIGTERM" in said.splitlines()[-1]
    assert summary()["complete"] is False and cluster.run(os.getpid) == before
    find_myelin.main([*RUN, *dask(cluster), "--resume"])
    find_myelin.main([*RUN, "--out", "one"])
    assert list(contents("one")[0].values()) == list(contents("preds")[0].values())


@pytest.mark.parametrize(
    ("place", "name", "value", "named"),
    [
        (dask_workers, "source_hash", lambda: "0" * 64, "another version of this suite"),
        (run_summary.Summary, "save", lambda *_, **__: "0", "preds/run.json"),
        (pipeline, "sha256", lambda _: "0" * 64, "bestmyelin.h5"),
        (dask_workers, "absolute", lambda job: job, "does not see study"),
    ],
)
def test_workers_that_see_or_are_another_thing(
    study, cluster, capsys, monkeypatch, place, name, value, named
):
    monkeypatch.setattr(place, name, value)
    if name == "absolute":
        monkeypatch.setattr(pipeline, "sha256", lambda _: "x")
        cluster.run(os.chdir, "/")
    (line,) = errors(stopped(capsys, 2, *RUN, *dask(cluster)))
    assert line.startswith("error: --dask: worker tcp://127.0.0.1:") and named in line
    assert not list(study.rglob("*_pred*"))


def test_an_engine_with_other_numbers_is_refused(study, monkeypatch):
    monkeypatch.setattr(image_job, "engines", {("m", "auto", "auto", None): Engine()})
    record = {"model_sha256": "m"}
    run = image_job.RunContext(Options(MODEL), None, record, engine_name="openvino, int4")
    with pytest.raises(UserError, match="computes with openvino, int8"):
        image_job.engine_of(run)


class Engine:
    name = "openvino, int8"


def test_an_image_that_crashes_its_workers_is_one_line(study, cluster, capsys, monkeypatch):
    monkeypatch.setattr(dask_workers, "RemoteCall", lambda *_: ToExit())
    (line,) = errors(stopped(capsys, 2, *RUN, *dask(cluster)))
    assert "repeatedly crashed its worker" in line and not masks()


class ToExit:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_scheduler_without_workers_and_one_that_is_killed(study, capsys, monkeypatch):
    monkeypatch.setattr(dask_workers, "CONNECT_S", 2)
    monkeypatch.setattr(workers, "CHECK_S", 0.5)
    with socket.socket() as any_one:
        any_one.bind(("127.0.0.1", 0))
        where = f"tcp://127.0.0.1:{any_one.getsockname()[1]}"
    options = ["--host", where, "--no-dashboard", "--scheduler-file", "ready"]
    call = [sys.executable, "-m", "dask", "scheduler", *options]
    scheduler = subprocess.Popen(call, stderr=subprocess.DEVNULL)
    try:
        wait_for(Path("ready").exists)
        assert "no workers, start some" in stopped(capsys, 2, *RUN, "--dask", where)[-1]
        assert not Path("preds/run.json").exists()
        distributed = pytest.importorskip("distributed")
        monkeypatch.setattr(distributed.Client, "wait_for_workers", lambda *_, **__: None)
        assert "all workers are gone" in stopped(capsys, 2, *RUN, "--dask", where)[-1]
        timer = threading.Timer(3, scheduler.kill)
        timer.start()
        monkeypatch.setattr(workers, "CHECK_S", 5)
        assert "the scheduler is gone" in stopped(capsys, 2, *RUN, "--dask", where)[-1]
    finally:
        scheduler.kill()
        scheduler.wait()


@pytest.mark.parametrize("listens", [True, False])
def test_a_scheduler_that_is_not_there_is_named(study, capsys, monkeypatch, listens):
    monkeypatch.setattr(dask_workers, "CONNECT_S", 2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:
            other.listen()  # what answers nothing is no scheduler either
        where = f"127.0.0.1:{other.getsockname()[1]}"
        (line,) = stopped(capsys, 2, *RUN, "--dask", where)
    assert f"error: --dask tcp://{where}: no scheduler answers" in line
    assert not Path("preds").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--dask", "cluster"], "is not an address"),
        (["--dask", "http://host:80"], "is not an address"),
        (["--dask", "host:many"], "is not an address"),
        (["--dask", "tcp://host:1", "--workers", "2"], "not allowed with argument"),
        (["--dask", "tcp://host:1"], "--dask: not installed"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_line(study, capsys, monkeypatch, options, named):
    monkeypatch.setitem(sys.modules, "distributed", None)
    (line,) = stopped(capsys, 2, *RUN, *options)
    assert named in line
