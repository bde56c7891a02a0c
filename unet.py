"""The network, its loss, and the model file.

    import unet
    network, settings, _ = unet.load_model("models/bestmyelin.h5")

The U-Net follows Ronneberger, Fischer and Brox (2015), doi:10.1007/978-3-319-24574-4_28, with
half its filters and same-padded convolutions. A model file is a standard Keras HDF5 file plus one
attribute that says how pictures are prepared for it. Loading never runs or follows anything in the
file: the network is built here, and arrays are read only where they are exactly as expected.
"""

import dataclasses
import json
import math
import mmap
import os
from pathlib import Path

import numpy as np

from myelin.cli import UserError, replacing, silent_stderr

FILTERS = (32, 64, 128, 256)
BOTTOM_FILTERS = 512
STRIDE = 2 ** len(FILTERS)  # rows and cols must be multiples of this: each level halves them
DEFAULT_SIZE = 1024
SMOOTH = 1.0
PREPROCESSING = "myelin_preprocessing"
MODELS = Path("models")
# Attributes of a model file are a few kB; more is refused before it is read.
MAX_ATTRIBUTE_BYTES = 2**20
MAX_NAMES = 128  # Adam's state has the most, 94
MAX_FILE_BYTES = 2**28  # with Adam's state it is 93 MB
# Training on a frame of 2896 x 2896 takes some 22 GB, reckoned from 1024 x 1024.
MAX_FRAME_SIDE = 2896
RESUME = "_resume.h5"  # ending of the file that holds the last epoch until a run is complete


def start_keras():
    """Import and return keras without the reports that TensorFlow's start-up writes to stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silent_stderr():  # they are written below Python, before any setting is read
        import keras

        keras_devices()  # TensorFlow looks for a GPU, and reports, when first asked
    return keras


def keras_devices():
    """Return the backend's name and the devices Keras knows there; PyTorch's it does not list."""
    import keras

    try:
        devices = keras.distribution.list_devices()
    except AttributeError:
        devices = []
    return [keras.backend.backend(), *devices]


# ---------------------------------------------------------------- network and loss


def get_unet(rows=DEFAULT_SIZE, cols=DEFAULT_SIZE, initializer="glorot_uniform"):
    """Build the U-Net.

    Parameters
    ----------
    rows, cols : int or None
        Frame size, multiples of 16; None takes frames of any such size.
    initializer : str
        How untrained kernels are drawn, a name that Keras knows; Keras's own choice was that of
        2018. "he_normal" (He et al. 2015, doi:10.1109/ICCV.2015.123) keeps the signal's size
        through layers of ReLU.

    Returns
    -------
    keras.Model
        (batch, rows, cols, 1) float32 -> myelin probability, same shape. 7,759,521 parameters.
    """
    import keras
    from keras import layers

    def convolve_twice(x, filters):
        for _ in range(2):
            x = layers.Conv2D(
                filters, 3, activation="relu", padding="same", kernel_initializer=initializer
            )(x)
        return x

    inputs = x = layers.Input((rows, cols, 1))
    skips = []
    for filters in FILTERS:
        x = convolve_twice(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = convolve_twice(x, BOTTOM_FILTERS)
    for filters, skip in zip(reversed(FILTERS), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(
            filters, 2, strides=2, padding="same", kernel_initializer=initializer
        )(x)
        x = layers.Concatenate(axis=3)([x, skip])
        x = convolve_twice(x, filters)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(x)
    return keras.Model(inputs, outputs)


def dice_coef(y_true, y_pred):
    """Return the Dice coefficient over the flattened batch, smoothing term 1.

    (2 |A B| + 1) / (|A| + |B| + 1), Dice (1945), doi:10.2307/1932409, for probabilities.
    """
    from keras import ops

    y_true, y_pred = ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1,))
    y_true = ops.cast(y_true, y_pred.dtype)
    overlap = ops.sum(y_true * y_pred)
    return (2 * overlap + SMOOTH) / (ops.sum(y_true) + ops.sum(y_pred) + SMOOTH)


def dice_coef_loss(y_true, y_pred):
    """Return minus the Dice coefficient."""
    return -dice_coef(y_true, y_pred)


def dice_crossentropy_loss(y_true, y_pred):
    """Return minus the Dice coefficient plus the mean binary cross-entropy.

    The cross-entropy gives every pixel a gradient, also where a crop has no myelin at all.
    """
    from keras import ops

    y_true = ops.cast(y_true, y_pred.dtype)
    return dice_coef_loss(y_true, y_pred) + ops.mean(ops.binary_crossentropy(y_true, y_pred))


LOSSES = {"dice": dice_coef_loss, "dice+crossentropy": dice_crossentropy_loss}


# ---------------------------------------------------------------- preparing pictures


@dataclasses.dataclass
class Preprocessing:
    """How pictures are prepared for a network, kept in its model file as JSON.

    Attributes
    ----------
    frame : "resize" or "native"
        Resize every picture to rows x cols, or take it at its own size.
    rows, cols : int or None
        Frame size for "resize".
    myelin : "as it is" or "bright"
        Whether the network knows pictures as they are, or with dark myelin inverted.
    normalize : "dataset", "image" or "test set"
        Subtract `mean` and divide by `std` of the training set; or by those of the picture itself;
        or by those of all test pictures (files of 2018, which do not say theirs).
    mean, std : float or None
        Grey values, for "dataset".
    pixel_size_um : float or None
        µm per pixel that the network was trained at, if known.
    threshold : float
        Probability from which a pixel is myelin.
    training : dict
        The training options, with which extra_training.py goes on.
    provenance : dict
        What made the file.
    """

    frame: str = "resize"
    rows: int | None = DEFAULT_SIZE
    cols: int | None = DEFAULT_SIZE
    myelin: str = "as it is"
    normalize: str = "dataset"
    mean: float | None = None
    std: float | None = None
    pixel_size_um: float | None = None
    threshold: float = 0.5
    training: dict = dataclasses.field(default_factory=dict)
    provenance: dict = dataclasses.field(default_factory=dict)


def resize(image, rows, cols):
    """Resize uint8 or float32 (rows, cols) bilinearly, half-pixel centres; keeps the dtype."""
    if image.shape == (rows, cols):
        return image
    import cv2

    resized = cv2.resize(image.astype(np.float32), (cols, rows), interpolation=cv2.INTER_LINEAR)
    return np.rint(resized).astype(np.uint8) if image.dtype == np.uint8 else resized


def histogram(image):
    """Return how many pixels of a uint8 picture have each of the 256 grey values."""
    return np.bincount(image.ravel(), minlength=256)


def image_statistics(counts, curve=None):
    """Return mean and standard deviation of a picture's content from its histogram.

    Pixels of exactly 0 and 255 are left out (unless all are): black or white margins and saturated
    spots say nothing of the tissue's grey values.

    Parameters
    ----------
    counts : int array, (256,)
    curve : float array, (256,), optional
        What each grey value has become, such as by a gamma curve.
    """
    inner = np.where([0, *[1] * 254, 0], counts, 0)
    weights = inner if inner.any() else counts
    values = np.arange(256) if curve is None else curve
    mean = np.average(values, weights=weights)
    return mean, max(np.sqrt(np.average((values - mean) ** 2, weights=weights)), 1.0)


def dataset_statistics(images, settings):
    """Return mean and standard deviation over pictures at network size, as the original took them.

    Parameters
    ----------
    images : iterable of uint8 arrays, (rows, cols)
    settings : Preprocessing
    """
    count, total, squares = 0, 0.0, 0.0
    for image in images:
        if settings.frame == "resize":
            image = resize(image, settings.rows, settings.cols)
        image = image.astype(np.float64)
        count, total, squares = count + image.size, total + image.sum(), squares + (image**2).sum()
    mean = total / count
    return mean, max(math.sqrt(max(squares / count - mean**2, 0)), 1.0)


def normalize(image, settings):
    """Return a uint8 frame (rows, cols) as the network's float32 input."""
    mean, std = settings.mean, settings.std
    if settings.normalize == "image":
        mean, std = image_statistics(histogram(image))
    return (image.astype(np.float32) - np.float32(mean)) / np.float32(std)


# ---------------------------------------------------------------- model file: where and saving


def model_path(name, reading=False):
    """Return where a model lies: a bare name in `models/`, a name with a path as given.

    For reading, the current directory's `models/` comes first, then the one beside the scripts.
    """
    path = Path(name)
    if not reading and path.name.endswith(RESUME):
        raise UserError(f"{name}: such names are of interrupted runs, choose another, or --resume")
    if path.suffix not in (".h5", ".hdf5"):  # Keras looks for these, in lower case
        raise UserError(f"{name}: not the name of a model file, give one that ends in .h5")
    if path.name != str(name):
        candidates = [path]
    else:
        candidates = [MODELS / path, Path(__file__).resolve().parent / MODELS / path]
    if not reading:
        if candidates[0].is_dir():
            raise UserError(f"{name}: is a folder, choose another name")
        return candidates[0]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    places = " or ".join(str(candidate.parent) for candidate in candidates)
    raise UserError(f"{name}: no such model in {places}, train one with python train.py {name} 100")


def save_model(path, network, settings, optimizer=True):
    """Write a model file atomically: Keras HDF5 with Adam's state, plus the preprocessing.

    Parameters
    ----------
    path : path
    network : keras.Model
        From `get_unet`.
    settings : Preprocessing
    optimizer : bool
        Whether to keep Adam's state too, where the network is compiled.
    """
    import h5py
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Keras prefers its own format; this one is the contract
    # A plain twin, whose configuration opens anywhere whatever loss and options trained it.
    plain = get_unet(settings.rows, settings.cols)
    plain.set_weights(network.get_weights())
    trained = optimizer and getattr(network, "optimizer", None)  # absent before compile()
    if trained and trained.built:
        plain.compile(optimizer="adam", loss=dice_coef_loss, metrics=[dice_coef])
        plain.optimizer.build(plain.trainable_variables)
        values = [variable.numpy() for variable in trained.variables]
        for variable, value in zip(plain.optimizer.variables, values, strict=True):
            variable.assign(value)
    with replacing(path) as temporary:
        plain.save(temporary)
        with h5py.File(temporary, "a") as file:
            file.attrs[PREPROCESSING] = json.dumps(dataclasses.asdict(settings))


# ---------------------------------------------------------------- model file: safe loading


def weight_shapes():
    """Return the shape of every weight array in order: kernel, bias of each convolution."""
    shapes, inputs = [], 1
    blocks = [*FILTERS, BOTTOM_FILTERS]
    for filters in blocks:
        shapes += [(3, 3, inputs, filters), (filters,), (3, 3, filters, filters), (filters,)]
        inputs = filters
    for filters in reversed(FILTERS):
        shapes += [(2, 2, filters, inputs), (filters,)]
        shapes += [(3, 3, 2 * filters, filters), (filters,), (3, 3, filters, filters), (filters,)]
        inputs = filters
    return [*shapes, (1, 1, inputs, 1), (1,)]


class ModelFileError(Exception):
    """What is wrong with a model file; `load_model` adds its name and what to do."""


def member(group, name):
    """Return a member of an HDF5 group by its path, over hard links only."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise ModelFileError(f"{name} is missing")
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError(f"{name} is a {type(link).__name__}, which is never followed")
        group = group[part]
    return group


def check_texts(path):
    """Refuse a file that holds a text above the limit, before any is read.

    Texts of free length lie in collections "GCOL" (HDF5 file format specification, III.E), whose
    size follows eight bytes later. Attributes only refer to them: a hundred names can be one text,
    and reading them would fill memory from a small file.
    """
    if Path(path).stat().st_size > MAX_FILE_BYTES:
        raise ModelFileError(f"above {MAX_FILE_BYTES} bytes")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(b"GCOL")
        while place >= 0:
            size = int.from_bytes(content[place + 8 : place + 16], "little")
            # Weights may spell GCOL too, but not with its version and three zeros behind.
            if content[place + 4 : place + 8] == b"\1\0\0\0" and size > MAX_ATTRIBUTE_BYTES:
                raise ModelFileError(f"has texts above {MAX_ATTRIBUTE_BYTES} bytes")
            place = content.find(b"GCOL", place + 4)


def read_attribute(group, name):
    """Return an attribute (text, or list of text), or None; size is checked before reading."""
    if name not in group.attrs:
        return None
    attribute = group.attrs.get_id(name)
    count = math.prod(attribute.shape or (1,))
    # Texts of free length lie elsewhere, see `check_texts`, and can all be one: number counts.
    if count > MAX_NAMES:
        raise ModelFileError(f"attribute {name} has {count} values")
    if count * attribute.dtype.itemsize > MAX_ATTRIBUTE_BYTES:
        raise ModelFileError(f"attribute {name} is above {MAX_ATTRIBUTE_BYTES} bytes")
    value = group.attrs[name]
    if isinstance(value, np.ndarray):
        return [item.decode() if isinstance(item, bytes) else str(item) for item in value.ravel()]
    return value.decode() if isinstance(value, bytes) else str(value)


def read_array(group, name, shape, kind="f"):
    """Return one array of a model file after checking how it is stored and what it claims to be."""
    import h5py

    dataset = member(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise ModelFileError(f"{name} is no array")
    storage = dataset.id.get_create_plist()
    # Keras writes arrays in one piece. Chunks can be bombs, virtual layouts name other files.
    plain = storage.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
    if not plain or storage.get_external_count():
        raise ModelFileError(f"{name} is in pieces or in another file, which is never opened")
    if dataset.shape != shape or dataset.dtype.kind != kind or dataset.dtype.itemsize not in (4, 8):
        raise ModelFileError(f"{name} is {dataset.dtype} {dataset.shape}, expected {shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        array = np.asarray(dataset[()], np.float32 if kind == "f" else None)
    if not np.isfinite(array).all():
        raise ModelFileError(f"{name} has NaN or infinite values")
    return array


def source_layers(nodes):
    """Return the names of the layers that a layer's `inbound_nodes` refer to, in order.

    Keras 2 writes each as [name, node, output, ...], Keras 3 as {"keras_history": [same three]}.
    """
    if isinstance(nodes, dict):
        nodes = list(nodes.values())
    if not isinstance(nodes, list):
        return []
    if len(nodes) >= 3 and isinstance(nodes[0], str) and nodes[1:3] == [0, 0]:
        return nodes[:1]
    return [name for part in nodes for name in source_layers(part)]


def expected_sources(kinds, index):
    """Return the indices of the layers that feed a layer, given the classes of all in order."""
    if kinds[index] != "Concatenate":
        return [index - 1] if index else []
    level = kinds[index:].count("Concatenate")  # 4 at the bottom, where the last skip is joined
    pools = [place for place, kind in enumerate(kinds) if kind == "MaxPooling2D"]
    return [index - 1, pools[level - 1] - 1]


def expected_layers():
    """Return the class of every layer in order, with the settings a file's must equal."""
    same = {"padding": "same", "data_format": "channels_last"}
    plain = {**same, "strides": [1, 1], "dilation_rate": [1, 1]}
    convolution = ("Conv2D", {**plain, "activation": "relu"})
    pooling = ("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2]})
    upward = ("Conv2DTranspose", {**same, "strides": [2, 2], "activation": "linear"})
    down = [convolution, convolution, pooling] * len(FILTERS)
    up = [upward, ("Concatenate", {"axis": 3}), convolution, convolution] * len(FILTERS)
    last = ("Conv2D", {"activation": "sigmoid"})  # 1x1: padding makes no difference
    return [("InputLayer", {}), *down, convolution, convolution, *up, last]


def check_architecture(text):
    """Return (rows, cols) of a file's input after comparing its layers with ours, by JSON alone."""
    try:
        layers = json.loads(text)["config"]["layers"]
        found = [(layer["class_name"], dict(layer["config"])) for layer in layers]
        names = [config["name"] for _, config in found]
        sources = [source_layers(layer.get("inbound_nodes")) for layer in layers]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError("its model_config cannot be read") from None
    ours = expected_layers()
    kinds = [name for name, _ in ours]
    for index, (name, settings) in enumerate(ours):
        if index >= len(found) or found[index][0] != name:
            got = found[index][0] if index < len(found) else "nothing"
            raise ModelFileError(f"layer {index} is {got}, expected {name}")
        for key, value in settings.items():
            if found[index][1].get(key, value) != value:
                raise ModelFileError(f"layer {index} has {key} {found[index][1][key]}")
        feeding = [names[place] for place in expected_sources(kinds, index)]
        if sources[index] != feeding:
            raise ModelFileError(f"layer {index} follows {sources[index]}, expected {feeding}")
    if len(found) > len(ours):
        raise ModelFileError(f"layer {len(ours)} is {found[len(ours)][0]}, expected the end")
    shape = found[0][1].get("batch_shape") or found[0][1].get("batch_input_shape") or []
    if len(shape) != 4 or shape[3] != 1:
        raise ModelFileError(f"its input is {shape}, expected (batch, rows, cols, 1)")
    for size in shape[1:3]:
        fits = size is None or (isinstance(size, int) and 0 < size <= 2**14 and size % STRIDE == 0)
        if not fits:
            raise ModelFileError(f"its input is {shape}, expected multiples of {STRIDE}")
    if math.prod(size or 1 for size in shape[1:3]) > MAX_FRAME_SIDE**2:
        raise ModelFileError(f"its input is {shape}, the limit is {MAX_FRAME_SIDE} squared")
    return tuple(shape[1:3])


def read_weights(group):
    """Return the weight arrays of a weights group by position, checked against `weight_shapes`."""
    names = []
    for layer in read_attribute(group, "layer_names") or []:
        layer_names = read_attribute(member(group, layer), "weight_names") or []
        kinds = [name.split("/")[-1].split(":")[0] for name in layer_names]
        # Layers without weights count too: one that is not ours means another network.
        known = layer.startswith(("conv2d", "input", "max_pooling2d", "concatenate"))
        if kinds not in ([], ["kernel", "bias"]) or not (kinds or known):
            raise ModelFileError(f"layer {layer} with weights {layer_names} is not of this U-Net")
        names += [f"{layer}/{name}" for name in layer_names]
    shapes = weight_shapes()
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
    shapes = [shape for shape in weight_shapes() for _ in range(2)]
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
            rows, cols = check_architecture(config) if config else (DEFAULT_SIZE, DEFAULT_SIZE)
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
    network = get_unet(settings.rows, settings.cols)
    network.set_weights(weights)
    return network, settings, adam


def restore_adam(network, adam):
    """Give a compiled network the state `load_model` returned; its learning rate stays."""
    network.optimizer.build(network.trainable_variables)
    for index, variable in enumerate(network.optimizer.variables):
        if index != 1:  # the learning rate is this run's own
            variable.assign(adam[index])
