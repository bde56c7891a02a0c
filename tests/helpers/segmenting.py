"""Call find_myelin.py, stop it, and read what it wrote."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import find_myelin
from myelin.images.image import read_mask
from myelin.segment import image_job, workers
from myelin.segment.run_summary import Summary

NAMES = ("a", "b", "c")  # packed
TREE = ("control/a1/x", "control/a1/y", "treated/a1/x", "treated/a2/x")


def segment(*arguments):
    """Segment with polarity and scale given."""
    find_myelin.main(["--myelin", "bright", "--scale", "1", *map(str, arguments)])


def stopped(capsys, code, *arguments):
    """Segment and return the lines on stderr; the exit code must be `code`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        segment(*arguments)
    assert end.value.code == code
    return capsys.readouterr().err.replace("\\", "/").splitlines()


def summary(folder="preds"):
    """Return what `run.json` says."""
    return json.loads(Path(folder, "run.json").read_text(encoding="utf-8"))


def files_in(folder):
    """Return the files in a folder tree, relative to it."""
    return {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}


def contents(*folders):
    """Return {path: bytes} of all outputs; of run.json what does not tell time or call."""
    found = {
        f"{folder}/{name}": Path(folder, name).read_bytes()
        for folder in folders
        for name in sorted(files_in(folder))
    }
    runs = [json.loads(found.pop(name)) for name in list(found) if name.endswith("/run.json")]
    return found, [run["images"] for run in runs]


def stop_at(monkeypatch, ending, *arguments, killed=False):
    """Stop a run when the file with an ending is to be written; killed, it writes no more."""
    with monkeypatch.context() as patch:
        write, save, stopped = image_job.write_image, Summary.save, []

        def stop(path, *rest, **more):
            if stopped or path.as_posix().endswith(ending):
                stopped.append(path)
                raise KeyboardInterrupt
            write(path, *rest, **more)

        def save_once(self, complete):
            patch.setattr(Summary, "save", lambda *_: None)
            return save(self, complete)

        patch.setattr(image_job, "write_image", stop)
        patch.setattr(workers, "MAX_CONCURRENT_CALLS", 1)  # so that images end in order
        if killed:
            patch.setattr(Summary, "save", save_once)
        with pytest.raises(SystemExit) as end:
            segment(*arguments)
    assert end.value.code == 130


def erase_a_fiber(name):
    """Correct a mask of `preds/` by hand; return what it is now."""
    mask = read_mask(f"preds/{name}_mask.tif")
    mask[:60, :55] = False
    cv2.imwrite(f"preds/{name}_mask.tif", mask.astype(np.uint8) * 255)
    return mask
