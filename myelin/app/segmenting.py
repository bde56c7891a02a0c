"""The calls of `find_myelin.py` that the window makes, for all images and for one again."""

import json
import shutil
from pathlib import Path

from myelin.app.study import STATE, Study
from myelin.folders.mask_record import mask_record, read_summary
from myelin.folders.naming import PREDS
from myelin.folders.ownership import models_own, users_masks
from myelin.runtime.cli import UserError
from myelin.runtime.files import copy_file, write_json
from myelin.runtime.lock import holding

ONE = STATE / "one"  # outputs of one image that is segmented again


def segmenting(study: Study) -> list[str]:
    """Return the call that segments all images."""
    if not study.images():
        raise UserError(f"{study.folder}: no images in it, drop some onto the page")
    words = ["find_myelin.py", study.settings["model"]]
    if study.is_tree:
        words += ["--images", str(study.folder)]
    if size := study.common_size():
        words += ["--pixel-size", f"{size:g}"]
    if threshold := study.settings["threshold"]:
        words += ["--threshold", f"{threshold:g}"]
    return words


def trial_of_one(study: Study, name: str, myelin: str, scale: str) -> list[str]:
    """Return the call that segments one image again, with another polarity or scale."""
    if myelin not in ("auto", "bright", "dark") or (scale != "auto" and not 0 < float(scale) < 16):
        raise ValueError("myelin or scale")
    shutil.rmtree(ONE, ignore_errors=True)
    ONE.mkdir(parents=True)
    (ONE / "name.json").write_text(json.dumps(name), encoding="utf-8")
    words = ["find_myelin.py", study.settings["model"], "--images", str(study.path(name))]
    words += ["--out", str(ONE / "preds"), "--myelin", myelin, "--scale", scale]
    if threshold := study.settings["threshold"]:
        words += ["--threshold", f"{threshold:g}"]
    return words


def adopt(facts: dict | None) -> None:
    """Take over the outputs of `trial_of_one` into `preds/` and its `run.json`."""
    if not facts or facts.get("what") != "segment one image" or facts.get("code"):
        return
    name = json.loads((ONE / "name.json").read_text(encoding="utf-8"))
    stem = Path(name).name
    made = read_summary(ONE / "preds" / "run.json")
    run = read_summary(PREDS / "run.json") or made | {"images": {}}
    with holding(PREDS):
        beside = models_own(PREDS, name)
        target = beside if users_masks(PREDS, name, run) else PREDS / f"{name}_mask.tif"
        for source, path in (
            (f"{stem}_pred.png", PREDS / f"{name}_pred.png"),
            (f"{stem}_overlay.png", PREDS / f"{name}_overlay.png"),
            (f"{stem}_mask.tif", target),
        ):
            copy_file(ONE / "preds" / source, path)
        record = mask_record(target)
        fact = {key: value for key, value in record.items() if key not in ("options", "version")}
        write_json(PREDS / "run.json", run | {"images": run["images"] | {name: fact}})
    shutil.rmtree(ONE, ignore_errors=True)
