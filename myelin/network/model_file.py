"""The model file: where it lies, how it is saved, and how it is loaded without trusting it.

A model file is a standard Keras HDF5 file plus one attribute that says how images are prepared for
the network. Loading never runs or follows anything in it: the network is built by `unet.py`, and
arrays are read only where they are exactly as expected.
"""

import dataclasses
import difflib
import io
import json
import math
from pathlib import Path

import numpy as np

import unet
from myelin.images.formats import SUFFIXES
from myelin.network.architecture import check_architecture
from myelin.network.hdf5 import ModelFileError, check_texts, member, read_array, read_attribute
from myelin.network.preprocessing import Preprocessing
from myelin.runtime.cli import UserError
from myelin.runtime.files import beside, replacing

PREPROCESSING = "myelin_preprocessing"
MODELS = Path("models")
NO_MODEL_NAME = "not the name of a model file, give one that ends in .h5"
RESUME = "_resume.h5"  # ending of the file that holds the last epoch until a run is complete


def model_path(name, reading=False):
    """Return where a model lies: a bare name in `models/`, a name with a path as given.

    For reading, the current directory's `models/` comes first, then the one beside the scripts.
    """
    path = Path(name)
    if not reading and path.name.endswith(RESUME):
        raise UserError(f"{name}: such names are of interrupted runs, choose another, or --resume")
    places = [MODELS, Path(unet.__file__).resolve().parent / MODELS]
    if path.name != str(name):
        places = [path.parent]
    if path.suffix not in (".h5", ".hdf5"):  # Keras looks for these, in lower case
        raise UserError(f"{name}: {no_model_name(path, places) if reading else NO_MODEL_NAME}")
    candidates = [place / path.name for place in places]
    if not reading:
        if candidates[0].is_dir():
            raise UserError(f"{name}: is a folder, choose another name")
        return candidates[0]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    shown = " or ".join(map(str, places))
    raise UserError(
        f"{name}: no such model in {shown}, {similar(path, places)}train one with "
        f"python train.py {name} 100"
    )


def no_model_name(path, places):
    """Return what is wrong with the name of a model file that does not end in .h5."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return "a folder, not a model file; find_myelin.py --images segments it"
    if suffix in SUFFIXES:
        return (
            "an image, not a model file; put it into raw/test and run python find_myelin.py "
            "without its name"
        )
    if suffix == ".npy":
        return "a packed array, not a model file; arrays in npydata are read without their names"
    if suffix == ".csv":
        return "a table, not a model file; morphometry.py reads it with --groups"
    near = similar(path, places)
    return NO_MODEL_NAME.replace(", ", f", {near}", 1)


def similar(path, places):
    """Return the models of nearly the name that is not there, as a part of a sentence."""
    found = {
        file.name: None
        for place in places
        for pattern in ("*.h5", "*.hdf5")
        for file in sorted(place.glob(pattern))
        if not file.name.endswith(RESUME)
    }
    lower = {name.lower(): name for name in found}
    wanted = [f"{path.stem}.h5".lower(), path.name.lower()]
    near = [one for name in wanted for one in difflib.get_close_matches(name, lower, cutoff=0.7)]
    names = " or ".join(dict.fromkeys(lower[one] for one in near))
    return f"did you mean {names}? Else " if names else ""


def room_of_training(path, optimizer=True):
    """Return the most bytes that a training has on disk at once, beyond what is there, by folder.

    That is the model, the file to go on from, and the temporary one of either.
    """
    weights = 4 * sum(map(math.prod, unet.weight_shapes()))
    whole = 3 * weights  # Adam keeps two numbers per weight
    files = [path, beside(path, RESUME)]
    there = sum(file.stat().st_size for file in files if file.exists())
    return {path.parent: max(2 * whole + (whole if optimizer else weights // 2) - there, whole)}


def save_model(path, network, settings, optimizer=True):
    """Write a model file atomically: Keras HDF5 with Adam's state, plus the preprocessing.

    Parameters
    ----------
    path : path
    network : keras.Model
        From `unet.get_unet`.
    settings : Preprocessing
    optimizer : bool
        Whether to keep Adam's state too, where the network is compiled. Without it the weights are
        rounded to float16: 16 MB instead of 93.
    """
    import h5py
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Keras prefers its own format; this one is the contract
    # A plain twin, whose configuration opens anywhere whatever loss and options trained it.
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
            halve(temporary)
        with h5py.File(temporary, "a") as file:
            file.attrs[PREPROCESSING] = json.dumps(dataclasses.asdict(settings))


def halve(path):
    """Round the arrays of a Keras file to float16, which Keras loads as float32."""
    import h5py

    whole = io.BytesIO(path.read_bytes())
    with h5py.File(whole) as full, h5py.File(path, "w") as half:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                half.create_dataset(name, data=item[()].astype(np.float16))
            else:
                half.create_group(name)
            half[name].attrs.update(item.attrs)

        half.attrs.update(full.attrs)
        full.visititems(copy)


def read_weights(group):
    """Return the weight arrays of a weights group by position, checked against `unet.layers`."""
    names = []
    for layer in read_attribute(group, "layer_names") or []:
        layer_names = read_attribute(member(group, layer), "weight_names") or []
        kinds = [name.split("/")[-1].split(":")[0] for name in layer_names]
        # Layers without weights count too: one that is not ours means another network.
        known = layer.startswith(("conv2d", "input", "max_pooling2d", "concatenate"))
        if kinds not in ([], ["kernel", "bias"]) or not (kinds or known):
            raise ModelFileError(f"layer {layer} with weights {layer_names} is not of this U-Net")
        names += [f"{layer}/{name}" for name in layer_names]
    shapes = unet.weight_shapes()
    if len(names) != len(shapes):
        raise ModelFileError(f"{len(names)} weight arrays, expected {len(shapes)}")
    return [read_array(group, name, shape) for name, shape in zip(names, shapes, strict=True)]


def read_adam(file):
    """Return Adam's state as [iteration, learning rate, then momentum, velocity per weight].

    None where the file has none, or has that of another Keras version, which orders it otherwise.
    """
    if "optimizer_weights" not in file:
        return None
    group = member(file, "optimizer_weights")
    names = read_attribute(group, "weight_names") or []
    for name in names:
        member(group, name)  # refuse links whatever the layout
    shapes = [shape for shape in unet.weight_shapes() for _ in range(2)]
    if len(names) != 2 + len(shapes) or not names[0].endswith("/iteration"):
        return None
    iteration = read_array(group, names[0], (), kind="i")
    rate = read_array(group, names[1], ())
    moments = [read_array(group, n, s) for n, s in zip(names[2:], shapes, strict=True)]
    return [iteration, rate, *moments]


def read_preprocessing(text):
    """Return the `Preprocessing` of a model file's attribute, checked field by field."""
    try:
        settings = Preprocessing(**json.loads(text))
        dataclasses.asdict(settings)  # fails where it is nested too deep to be written again
    except (ValueError, TypeError, RecursionError):
        raise ModelFileError(f"its {PREPROCESSING} cannot be read") from None

    def positive(value):
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6

    dataset = settings.normalize == "dataset"
    checks = {
        "frame": settings.frame in ("resize", "native"),
        "myelin": settings.myelin in ("as it is", "bright"),
        "normalize": settings.normalize in ("dataset", "image"),
        "mean": not dataset or settings.mean == 0 or positive(settings.mean),
        "std": not dataset or positive(settings.std),
        "pixel_size_um": settings.pixel_size_um is None or positive(settings.pixel_size_um),
        "fiber_px": settings.fiber_px is None or positive(settings.fiber_px),
        "threshold": positive(settings.threshold) and settings.threshold < 1,
        "training": isinstance(settings.training, dict),
        "provenance": isinstance(settings.provenance, dict),
    }
    for field, fits in checks.items():
        if not fits:
            raise ModelFileError(f"its {PREPROCESSING} has {field} {getattr(settings, field)!r}")
    return settings


def read_model_file(path):
    """Return (weights, Preprocessing, Adam's state or None) of a model file, executing nothing.

    Raises
    ------
    UserError
        Anything in the file is not exactly as expected.
    """
    try:
        import h5py

        check_texts(path)
        with h5py.File(path, "r") as file:
            config = read_attribute(file, "model_config")
            rows, cols = (
                check_architecture(config) if config else (unet.DEFAULT_SIZE, unet.DEFAULT_SIZE)
            )
            weights = read_weights(member(file, "model_weights") if config else file)
            text = read_attribute(file, PREPROCESSING)
            if text is not None:
                settings = read_preprocessing(text)
                resized = settings.frame == "resize"
                if (settings.rows, settings.cols) != (rows, cols) or resized != bool(rows and cols):
                    raise ModelFileError(f"its {PREPROCESSING} has another frame than its input")
                settings.rows, settings.cols = rows, cols  # whole numbers, where JSON may not be
            else:  # a file of 2018
                frame = "resize" if rows and cols else "native"
                settings = Preprocessing(frame=frame, rows=rows, cols=cols, normalize="test set")
            return weights, settings, read_adam(file)
    except ModelFileError as mistake:
        found = str(mistake)
    except Exception as error:  # damaged HDF5 can raise anything in h5py
        found = f"not a readable HDF5 file ({type(error).__name__})"
    raise UserError(
        f"{path}: {found[:200]}, use a model file written by train.py or extra_training.py"
    ) from None


def load_model(path):
    """Load a model file of this suite, or of 2018, whole or weights only.

    Parameters
    ----------
    path : path

    Returns
    -------
    network : keras.Model
    settings : Preprocessing
    adam : list of arrays or None
        Adam's state for `restore_adam`.

    Raises
    ------
    UserError
        Anything in the file is not exactly as expected.
    """
    weights, settings, adam = read_model_file(path)
    network = unet.get_unet(settings.rows, settings.cols)
    network.set_weights(weights)
    return network, settings, adam


def restore_adam(network, adam):
    """Give a compiled network the state `load_model` returned; its learning rate stays."""
    optimizer = network.optimizer
    optimizer.build(network.trainable_variables)
    for index, (variable, value) in enumerate(zip(adam_state(optimizer), adam, strict=True)):
        if index != 1:  # the learning rate is this run's own
            variable.assign(value)
    # A moving average equals the weights at the end of an epoch, when files are written.
    averages = filter(is_average, optimizer.variables)
    for average, weights in zip(averages, network.get_weights(), strict=False):
        average.assign(weights)


def adam_state(optimizer):
    """Return iteration, learning rate, and momentum and velocity of each weight, as variables."""
    return [variable for variable in optimizer.variables if not is_average(variable)]


def is_average(variable):
    """Return whether an optimizer's variable is the moving average of a weight."""
    return variable.name.endswith("_average")
