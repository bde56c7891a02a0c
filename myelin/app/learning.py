"""Learn from corrected images: train a model on them, and compare it with the model before."""

import importlib.util
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from myelin.app.study import STATE, Study
from myelin.folders.naming import PREDS
from myelin.folders.ownership import files_of
from myelin.images.image import read_mask, write_image
from myelin.network.model_file import MODELS, model_path
from myelin.runtime.cli import UserError, count_of
from myelin.runtime.files import beside

FOLDER = STATE / "training"  # a study of its own, so that other training images stay as they are
TRIAL = STATE / "trial"
NEW_MODEL = "window.h5"
TRAINING_PICTURES = {"curve": "_curve.png", "pair": "_before_after.png"}  # beside the model
MIN_PAIRS = 2  # one is held back to validate


def keras_is_installed() -> bool:
    """Return whether a network can be trained here."""
    return all(importlib.util.find_spec(name) for name in ("keras", "tensorflow"))


def training(
    study: Study, names: list[str], epochs: int, held_back: Iterable[str] = ()
) -> tuple[list[str], Path]:
    """Write the training pairs of corrected images; return the call that trains and its folder.

    `held_back` are the images to validate on; without any, the last fifth of `names`.
    """
    if not keras_is_installed():
        raise UserError("train: Keras is not installed, run pip install -r requirements.txt")
    if len(names) < MIN_PAIRS:
        raise UserError(
            f"train: {count_of(len(names), 'corrected image')}, correct at least {MIN_PAIRS}; the "
            "last fifth is held back to validate"
        )
    if not 1 <= epochs <= 1000:
        raise ValueError("epochs")
    pairs = FOLDER / "raw" / "train"
    shutil.rmtree(FOLDER, ignore_errors=True)
    pairs.mkdir(parents=True)
    for name in names:
        stem = name.replace("/", "_")
        mask = read_mask(files_of(PREDS, name, "_mask")[0])
        for axon in files_of(PREDS, name, "_axon"):
            mask &= ~read_mask(axon)
        write_image(pairs / f"{stem}.tif", study.read(name))
        write_image(pairs / f"{stem}_mask.tif", mask.view(np.uint8) * np.uint8(255))
    MODELS.mkdir(exist_ok=True)
    for ending in TRAINING_PICTURES.values():
        beside(MODELS / NEW_MODEL, ending).unlink(missing_ok=True)
    old = model_path("bestmyelin.h5", reading=True).absolute()
    new = (MODELS / NEW_MODEL).absolute()
    words = ["extra_training.py", str(old), str(new), str(epochs)]
    if held_back:
        words += ["--validate-on", ",".join(name.replace("/", "_") for name in held_back)]
    return words, FOLDER


def comparing(study: Study, name: str) -> list[str]:
    """Return the call that segments an image with the new model, beside the results."""
    shutil.rmtree(TRIAL, ignore_errors=True)
    new = model_path(NEW_MODEL, reading=True)
    return ["find_myelin.py", str(new), "--images", str(study.path(name)), "--out", str(TRIAL)]
