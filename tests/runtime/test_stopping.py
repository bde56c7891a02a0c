"""Ctrl-C and SIGTERM at any moment; what killed runs left; every command killed at random."""

import os
import signal
import subprocess
import sys
import time

import pytest
from kills import QUICK, ROOT, Workplace

from myelin.runtime import cli, files, stopping

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without a signal")
SCRIPT = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
sys.modules["__main__"].__file__ = os.path.join({root!r}, "data.py")
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job behind a shell
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup
from myelin.runtime import stopping
{before}
from myelin.runtime.cli import script
from myelin.runtime.files import replacing
@script
def main(argv=None):
    with replacing("x.txt") as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        {during}
main([])
"""
SIGNAL = "os.kill(os.getpid(), signal.{})"
TURNED = """
        try: os.kill(os.getpid(), signal.SIGINT); time.sleep(60)
        except BaseException: raise ImportError("of a library") from None"""
TWICE = """
        try: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
        except KeyboardInterrupt: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"""


@POSIX
@pytest.mark.parametrize(
    ("before", "during", "code", "name"),
    [
        (SIGNAL.format("SIGINT"), "", 130, "Ctrl-C"),
        (SIGNAL.format("SIGTERM"), "", 143, "SIGTERM"),
        ("", SIGNAL.format("SIGINT"), 130, "Ctrl-C"),
        ("", SIGNAL.format("SIGTERM"), 143, "SIGTERM"),
        ("", SIGNAL.format("SIGHUP"), 129, "SIGHUP"),
        ("", TURNED, 130, "Ctrl-C"),
        ("", TWICE, 143, "SIGTERM"),
    ],
    ids=["imports", "imports, TERM", "main", "main, TERM", "main, HUP", "turned", "twice"],
)
def test_a_signal_is_one_line_and_leaves_nothing(tmp_path, before, during, code, name):
    root = os.path.dirname(os.path.dirname(os.path.dirname(cli.__file__)))
    text = SCRIPT.format(root=root, before=before, during=during)
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == code, done
    assert done.stderr == f"stopped by {name}; what was finished is kept\n"
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_handlers_are_put_back_and_ignored_signals_stay_ignored():
    seen = []

    @cli.script
    def main(argv=None):
        seen.append([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)])

    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        main([])
        assert seen == [[stopping.interrupt, signal.SIG_IGN]]
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, kept)


@POSIX
def test_a_process_started_meanwhile_ignores_ctrl_c_and_this_one_takes_it_afterwards():
    code = """
import signal, subprocess, sys
from myelin.runtime import stopping
signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored in a job
try:
    with stopping.spawn_ignoring_sigint():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        signal.raise_signal(signal.SIGINT)
        print("held")
except KeyboardInterrupt:
    print("interrupted afterwards")
child.send_signal(signal.SIGINT)
child.communicate(b"\\n")
print("child ended with", child.returncode)
"""
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["held", "interrupted afterwards", "child ended with 0"]


def test_temporary_files_that_nobody_wrote_to_for_a_day_are_removed(tmp_path):
    old, new, plain = ".a.tmp-0123abcd.tif", ".b.tmp-0123abcd.tif", ".notes.2024.txt"
    for name in (old, new, plain):
        (tmp_path / name).write_text("half")
    for name in (old, plain):
        os.utime(tmp_path / name, (time.time() - 25 * 3600,) * 2)
    with files.replacing(tmp_path / "x.txt") as temporary:
        temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {new, plain, "x.txt"}


@pytest.mark.slow
@POSIX
def test_commands_killed_at_random_moments_lose_nothing_and_leave_nothing(tmp_path):
    place = Workplace(tmp_path)
    for number, command in enumerate(QUICK):
        assert place.try_kill(command, seed=number) == []
