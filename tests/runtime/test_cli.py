"""Messages, options and progress that the commands share."""

import argparse
import functools
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tqdm

from myelin.runtime import cli


def test_script_turns_mistakes_into_lines(capsys):
    @cli.script
    def main(argv=None):
        if argv == "disk":
            raise PermissionError(13, "Permission denied", "preds/a.png")
        if argv == "memory":
            raise MemoryError
        raise cli.UserError("a: first\n  line, mend it", "b: second, mend it too")

    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == (
        "error: a: first line, mend it\nerror: b: second, mend it too\n"
    )
    with pytest.raises(SystemExit, match="2"):
        main("disk")
    assert capsys.readouterr().err.startswith("error: preds/a.png: Permission denied, check free")
    with pytest.raises(SystemExit, match="2"):
        main("memory")
    assert capsys.readouterr().err.startswith("error: memory: not enough")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--force", "--pixelsize=0.1"], "--pixelsize=0.1 (did you mean --pixel-size?), see"),
        (["--image", "x"], "--image x (did you mean --images?), see"),
        (["--xyz"], "--xyz, see"),
        (["--images"], "argument --images: expected one argument, see"),
    ],
)
def test_a_mistyped_option_is_told_its_neighbour(typed, said):
    parser = cli.Parser("Does it.", prog="x.py")
    parser.add_argument("--images")
    parser.add_argument("--pixel-size")
    parser.add_argument("--force", action="store_true")
    with pytest.raises(cli.UserError, match=re.escape(said)):
        parser.parse_args(typed)


def test_number_takes_its_range_only():
    whole, share = cli.number(int, 1), cli.number(float, 0, 1)
    assert whole("3") == 3 and share("0.5") == 0.5
    for text in ("0", "1.5", "x", "-1"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of 1 or more"):
            whole(text)
    for text in ("-0.1", "1.1", "nan", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a number of 0 to 1"):
            share(text)
    with pytest.raises(argparse.ArgumentTypeError):
        cli.number(float, 0)("inf")


def test_progress_shows_a_bar_once_a_loop_takes_long(capfd, monkeypatch):
    shown = functools.partial(tqdm.tqdm, disable=False)  # which the other tests do without
    monkeypatch.setattr(tqdm, "tqdm", shown)
    assert list(cli.progress([1, 2], "counting")) == [1, 2]
    assert capfd.readouterr().err == ""
    assert list(cli.progress(range(3), "counting", delay_s=0)) == [0, 1, 2]
    assert "counting:   0%" in capfd.readouterr().err


def test_threads_that_silence_stderr_give_it_back():
    def silence(_):
        with cli.silent_stderr():
            time.sleep(0.01)

    before = os.fstat(2)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(silence, range(12)))
    assert os.path.samestat(os.fstat(2), before)
