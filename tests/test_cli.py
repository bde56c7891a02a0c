"""Messages, options and progress that the commands share."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import pytest

from myelin import cli

ROOT = Path(cli.__file__).parent.parent


def test_script_turns_mistakes_into_lines(capsys):
    @cli.script
    def main(argv=None):
        if argv == "disk":
            raise PermissionError(13, "Permission denied", "preds/a.png")
        raise cli.UserError("a: first\n  line, mend it", "b: second, mend it too")

    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == (
        "error: a: first line, mend it\nerror: b: second, mend it too\n"
    )
    with pytest.raises(SystemExit, match="2"):
        main("disk")
    assert capsys.readouterr().err.startswith("error: preds/a.png: Permission denied, check free")


def test_too_little_memory_is_one_line(capsys):
    @cli.script
    def main(argv):
        raise MemoryError

    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: memory: not enough")


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


def test_progress_shows_a_bar_once_a_loop_takes_long(capfd):
    loop = cli.progress(range(3), "counting", delay_s=0)
    assert next(loop) == 0 and capfd.readouterr().err == ""
    assert list(loop) == [1, 2]
    assert "counting:  33%" in capfd.readouterr().err


def test_progress_passes_items_on_and_is_silent_when_quick(capfd):
    assert list(cli.progress([1, 2], "counting")) == [1, 2]
    assert capfd.readouterr().err == ""


def test_help_is_quick_and_imports_nothing_heavy():
    start = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "data.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - start < 5  # 0.5 s where nothing else runs
    assert "raw/train/x_mask.tif" in shown.stdout
    heavy = "{'tensorflow', 'keras', 'cv2', 'h5py', 'tifffile', 'PIL', 'tqdm'}"
    code = f"import sys, data, unet; sys.exit(str({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stderr.strip() == "set()"
