"""The model file: where it lies, how it is saved, and how it is loaded without trusting it.

A model file is a standard Keras HDF5 file plus one attribute with the preprocessing of images.
Loading never runs or follows anything in it: the network is built by `unet.py`, and arrays are read
after checking name, shape and dtype.
"""

from __future__ import annotations

import dataclasses
import difflib
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import unet
from myelin.network.model_checks import (
    ModelFileError,
    check_architecture,
    member,
    read_array,
    read_attribute,
)
from myelin.network.preprocessing import Preprocessing
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing

if TYPE_CHECKING:
    import h5py
    import keras

PREPROCESSING = "myelin_preprocessing"
VIEW_ATTRIBUTE, CLICK_ATTRIBUTE = "myelin_view", "myelin_click"
MODELS = Path("models")
RESUME = "_resume.h5"  # ending of the file that holds the last epoch until a training is complete


def model_path(name: str | Path, reading: bool = False) -> Path:
    """Return where a model lies: a bare name in `models/`, a name with a path as given.

    For reading, the current directory's `models/` comes first, then the one beside the scripts.
    """
    path = Path(name)
    if path.suffix not in (".h5", ".hdf5"):  # Keras accepts these, in lower case
        raise UserError(
            f"{name}: not the name of a model file, give one that ends in .h5; images are given "
            "to find_myelin.py with --images"
        )
    if not reading and path.name.endswith(RESUME):
        raise UserError(
            f"{name}: {RESUME} is the ending of interrupted trainings, choose another name, or "
            "continue with --resume"
        )
    places = [MODELS, Path(unet.__file__).resolve().parent / MODELS]
    if path.name != str(name):
        places = [path.parent]
    candidates = [place / path.name for place in places]
    if not reading:
        if candidates[0].is_dir():
            raise UserError(f"{name}: is a folder, choose another name")
        return candidates[0]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = [file.name for place in places for file in place.glob("*.h5")]
    near = difflib.get_close_matches(path.name, known, 1)
    remedy = f"did you mean {near[0]}?" if near else f"train one with python train.py {name} 100"
    raise UserError(f"{name}: no such model in {' or '.join(map(str, places))}, {remedy}")


def room_of_training(path: Path) -> dict[Path, int]:
    """Return the bytes that a training needs on disk, by folder.

    These are the model, the file for `--resume`, and the temporary file of either, each with the
    weights and Adam's two numbers per weight in float32.
    """
    return {path.parent: 3 * 3 * 4 * sum(map(math.prod, unet.weight_shapes()))}


# ---------------------------------------------------------------- saving


def save_model(
    path: Path, network: keras.Model, settings: Preprocessing, optimizer: bool = True
) -> None:
    """Write a model file atomically: Keras HDF5 with Adam's state, plus the preprocessing.

    Without `optimizer`, Adam's state is left out and the weights are rounded to float16: 16 MB
    instead of 93.
    """
    import h5py
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Keras prefers its own format; this one is the contract
    # A plain copy, which opens anywhere, whatever loss and options trained the network.
    plain = unet.get_unet(settings.rows, settings.cols)
    plain.set_weights(network.get_weights())
    trained = optimizer and getattr(network, "optimizer", None)  # absent before compile()
    if trained and trained.built:
        plain.compile(optimizer="adam", loss=unet.dice_coef_loss, metrics=[unet.dice_coef])
        plain.optimizer.build(plain.trainable_variables)
        states = zip(plain.optimizer.variables, adam_state(trained), strict=True)
        for variable, value in states:
            variable.assign(value.numpy())
    with replacing(path) as temporary:
        plain.save(temporary)
        if not optimizer:
            round_to_float16(temporary)
        with h5py.File(temporary, "a") as file:
            file.attrs[PREPROCESSING] = json.dumps(dataclasses.asdict(settings))


def round_to_float16(path: Path) -> None:
    """Round the arrays of a Keras file to float16, which Keras loads as float32."""
    import h5py

    whole = io.BytesIO(path.read_bytes())
    with h5py.File(whole) as full, h5py.File(path, "w") as half:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                half.create_dataset(name, data=item[()].astype(np.float16))
            else:
                half.create_group(name)
            half[name].attrs.update(item.attrs)

        half.attrs.update(full.attrs)
        full.visititems(copy)


# ---------------------------------------------------------------- loading


def read_weights(group: h5py.Group) -> list[np.ndarray]:
    """Return the weight arrays of a weights group by position, checked against `unet.layers`."""
    names = []
    for layer in read_attribute(group, "layer_names") or []:
        weight_names = read_attribute(member(group, layer), "weight_names") or []
        names += [f"{layer}/{name}" for name in weight_names]
    shapes = unet.weight_shapes()
    if len(names) != len(shapes):
        raise ModelFileError(f"{len(names)} weight arrays, expected {len(shapes)}")
    return [read_array(group, name, shape) for name, shape in zip(names, shapes, strict=True)]


def read_adam(file: h5py.File) -> list[np.ndarray] | None:
    """Return Adam's state as [iteration, learning rate, then momentum, velocity per weight].

    None if the file has no such state, or that of another Keras version, in another order.
    """
    if file.get("optimizer_weights", getlink=True) is None:
        return None
    group = member(file, "optimizer_weights")
    names = read_attribute(group, "weight_names") or []
    shapes = [shape for shape in unet.weight_shapes() for _ in range(2)]
    if len(names) != 2 + len(shapes) or not names[0].endswith("/iteration"):
        return None
    iteration = read_array(group, names[0], (), kind="i")
    rate = read_array(group, names[1], ())
    moments = [read_array(group, n, s) for n, s in zip(names[2:], shapes, strict=True)]
    return [iteration, rate, *moments]


def read_preprocessing(text: str) -> Preprocessing:
    """Return the `Preprocessing` of a model file's attribute."""
    try:
        return Preprocessing(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        raise ModelFileError(f"its {PREPROCESSING} cannot be read") from None


def read_model_file(
    path: Path,
) -> tuple[list[np.ndarray], Preprocessing, list[np.ndarray] | None]:
    """Return weights, preprocessing and Adam's state (or None) of a model file, running nothing.

    Raises
    ------
    UserError
        The file is damaged, or not a model of this network.
    """
    try:
        import h5py

        with h5py.File(path, "r") as file:
            if VIEW_ATTRIBUTE in file.attrs:
                raise ModelFileError("is the view, which finds polarity and scale only")
            if CLICK_ATTRIBUTE in file.attrs:
                raise ModelFileError("is the click model, which outlines one fiber at a click")
            config = read_attribute(file, "model_config")
            rows = cols = unet.DEFAULT_SIZE
            if config:
                rows, cols = check_architecture(config)
            weights = read_weights(member(file, "model_weights") if config else file)
            text = read_attribute(file, PREPROCESSING)
            frame = "resize" if rows and cols else "native"
            if text is None:  # a file of 2018
                settings = Preprocessing(frame=frame, rows=rows, cols=cols, normalize="test set")
            else:
                settings = read_preprocessing(text)
                if (settings.rows, settings.cols, settings.frame) != (rows, cols, frame):
                    raise ModelFileError(f"its {PREPROCESSING} has another frame than its input")
                settings.rows, settings.cols = rows, cols  # integers, which JSON may not have
            return weights, settings, read_adam(file)
    except ModelFileError as mistake:
        found = str(mistake)
    except Exception as error:  # h5py raises exceptions of many types for a damaged file
        found = f"not a readable HDF5 file ({type(error).__name__})"
    raise UserError(
        f"{path}: {found[:200]}, use a model file written by train.py or extra_training.py"
    ) from None


def load_model(path: Path) -> tuple[keras.Model, Preprocessing, list[np.ndarray] | None]:
    """Return network, preprocessing and Adam's state (for `restore_adam`, or None) of a model file.

    Files of 2018 are read too, whole or weights only. Errors are those of `read_model_file`.
    """
    weights, settings, adam = read_model_file(path)
    network = unet.get_unet(settings.rows, settings.cols)
    network.set_weights(weights)
    return network, settings, adam


def restore_adam(network: keras.Model, adam: list[np.ndarray]) -> None:
    """Give a compiled network the state that `load_model` returned, but not its learning rate."""
    optimizer = network.optimizer
    optimizer.build(network.trainable_variables)
    for index, (variable, value) in enumerate(zip(adam_state(optimizer), adam, strict=True)):
        if index != 1:  # the learning rate is set by the present options
            variable.assign(value)
    # A moving average equals the weights at the end of an epoch, when files are written.
    averages = filter(is_average, optimizer.variables)
    for average, weights in zip(averages, network.get_weights(), strict=False):
        average.assign(weights)


def adam_state(optimizer: keras.Optimizer) -> list[keras.Variable]:
    """Return iteration, learning rate, and momentum and velocity of each weight."""
    return [variable for variable in optimizer.variables if not is_average(variable)]


def is_average(variable: keras.Variable) -> bool:
    """Return whether an optimizer's variable is the moving average of a weight."""
    return variable.name.endswith("_average")


# ---------------------------------------------------------------- small networks of the suite


def write_arrays(
    path: Path, attribute: str, arrays: dict[str, np.ndarray], provenance: dict
) -> None:
    """Write the arrays of a small network as float16, with their provenance in an attribute."""
    import h5py

    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=np.asarray(array).astype(np.float16))
        file.attrs[attribute] = json.dumps({"provenance": provenance})


def read_arrays(path: Path, attribute: str, shapes: dict[str, tuple]) -> list[np.ndarray]:
    """Return the arrays of a small network, float32, in the order of their names in `shapes`.

    Nothing in the file is executed.

    Raises
    ------
    UserError
        The file differs from the expected arrays in any way.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if read_attribute(file, attribute) is None:
                raise ModelFileError(f"its {attribute} is missing")
            return [read_array(file, name, shape) for name, shape in shapes.items()]
    except ModelFileError as mistake:
        found = str(mistake)
    except Exception as error:  # damaged HDF5 can raise anything in h5py
        found = f"not a readable HDF5 file ({type(error).__name__})"
    raise UserError(f"{path}: {found[:200]}, restore it from the download")
