"""The scripts as a user runs them: from a terminal, one after the other, mistakes included."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import read_table

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = [
    *("data", "train", "extra_training", "find_myelin"),
    *("morphometry", "evaluate", "rois", "synthetic"),
]
# Calibrating int8 after each training takes half a minute; here with few, small images.
CALIBRATE_LITTLE = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
sys.argv = sys.argv[1:]
sys.modules["__main__"].__file__ = sys.argv[0]
from myelin.train import calibration
calibration.SIZE, calibration.PIXEL_SIZES_UM = 64, (0.27,)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(folder, script, *arguments, options=()):
    """Run a script in a folder; return its exit code, stdout and stderr."""
    command = [sys.executable, *options, str(ROOT / f"{script}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick_and_comes_without_the_heavy_libraries(script, tmp_path):
    heavy = "tensorflow keras openvino skimage scipy matplotlib pandas h5py tifffile PIL tqdm"
    if script in ("data", "rois"):
        heavy += " cv2"
    code = (
        "import sys, time\n"
        f"sys.argv = ['{script}.py', '--help']; sys.path.insert(0, {str(ROOT)!r})\n"
        f"import {script}\n"
        f"try: {script}.main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"heavy = set({heavy.split()}) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert time.process_time() < 2, 'it takes 0.4 s where nothing else runs'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = {"data": "raw/train/x_mask.tif", "morphometry": "default: preds", "rois": "export"}
    assert "python " in done.stdout and said.get(script, "default") in done.stdout


@pytest.mark.slow
def test_the_four_calls_and_the_measuring(tmp_path):
    """Pack, train, continue, segment, measure and evaluate, with the network in full size."""
    steps = [
        ("synthetic", "--train", "3", "--test", "1", "--size", "96", "96"),
        ("data",),
        ("train", "newmyelin.h5", "1", "--size", "32"),
        ("extra_training", "newmyelin.h5", "new.h5", "1"),
        ("find_myelin", "new.h5", "--myelin", "bright"),
        ("morphometry", "--masks", "raw/test"),
        ("evaluate",),
    ]
    for script, *arguments in steps:
        options = ("-c", CALIBRATE_LITTLE) if "train" in script else ()
        code, out, err = run(tmp_path, script, *arguments, options=options)
        assert code == 0, f"{script}: {out} {err}"
        assert "Traceback" not in err and "error:" not in err
    mask = cv2.imread(str(tmp_path / "preds/synthetic_test_01_mask.tif"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (96, 96) and set(np.unique(mask)) <= {0, 255}
    for name in ("new.h5", "new_history.csv", "new_curve.png"):
        assert (tmp_path / "models" / name).stat().st_size > 50
    rows = read_table(tmp_path / "morphometry/summary.csv")
    assert float(rows[0]["pixel_size_um"]) == pytest.approx(0.1, rel=1e-3)
    assert (tmp_path / "evaluation/evaluation.csv").exists()


@pytest.mark.slow
def test_the_bundled_model_segments_the_bundled_examples(tmp_path):
    shutil.copytree(ROOT / "raw", tmp_path / "raw")
    for script in ("data", "find_myelin", "evaluate"):
        code, out, err = run(tmp_path, script)
        assert code == 0, f"{script}: {out} {err}"
    rows = read_table(tmp_path / "evaluation/evaluation.csv")
    rows = [row for row in rows if row["image"].startswith("synthetic")]
    assert len(rows) == 2
    assert all(float(row["myelin_dice"]) > 0.9 for row in rows)


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("data", [], "error: raw"),
        ("extra_training", ["bestmyelin.h5", "m.h5", "1"], "error: raw/train"),
        ("find_myelin", [], "error: raw/test"),
        ("evaluate", [], "error: "),
        ("train", [], "error: the following arguments are required: model, epochs"),
        ("synthetic", ["--train", "-1"], "error: argument --train: '-1' is not a whole number"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(tmp_path, script, arguments, message):
    code, _, err = run(tmp_path, script, *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1 and err.startswith(message), err
