"""The view: a small network that says of a window whether it shows fibers, and how wide they are.

It sees `SIDE` x `SIDE` pixels, normalised by their own mean and deviation, and answers with four
numbers: the logit of "there are fibers"; the logit of "myelin is dark"; log2 of the fibers' width
over `FIBER_PX`; and log of the scale of a Laplace distribution, how far off that may be.

`layers` describes it once: the Keras model that is trained, the OpenVINO graph that is run, and the
arrays that a file must hold follow from it. A file holds the convolutions after their batch
normalisation was folded into them.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import unet
from myelin.network.engine import start_keras, start_openvino
from myelin.network.model_checks import ModelFileError, read_array, read_attribute
from myelin.network.model_file import VIEW_ATTRIBUTE
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing, sha256

if TYPE_CHECKING:
    import keras
    import openvino

VIEW = Path(unet.__file__).resolve().parent / "models" / "view.h5"
SIDE = 128
CHANNELS = (16, 32, 64, 96, 128)
UNITS = 64
ANSWERS = 4
LEAST_DEVIATION = 1.0  # grey levels; a blank window is not magnified to noise


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer with weights.

    Attributes
    ----------
    name : str
        Of its group in the file.
    shape : tuple of int
        Of its kernel: (3, 3, inputs, channels) of a convolution, (inputs, units) of a dense layer.
    stride : int
        Of a convolution.
    relu : bool
        Whether a ReLU follows.
    """

    name: str
    shape: tuple[int, ...]
    stride: int = 1
    relu: bool = True

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution; before the first that is not, the window is pooled."""
        return len(self.shape) == 4


def layers() -> list[Layer]:
    """Return the layers with weights, in order.

    Between the last convolution and the first dense layer, mean and maximum over the window are
    joined.
    """
    plan, inputs = [], 1
    for stage, channels in enumerate(CHANNELS, 1):
        plan.append(Layer(f"stage{stage}_1", (3, 3, inputs, channels), stride=2))
        plan.append(Layer(f"stage{stage}_2", (3, 3, channels, channels)))
        inputs = channels
    plan.append(Layer("units", (2 * inputs, UNITS)))
    plan.append(Layer("answers", (UNITS, ANSWERS), relu=False))
    return plan


def normalize(windows: np.ndarray) -> np.ndarray:
    """Return windows (n, SIDE, SIDE) minus their mean, divided by their deviation, float32."""
    windows = np.asarray(windows, np.float32)
    mean = windows.mean(axis=(1, 2), keepdims=True)
    deviation = windows.std(axis=(1, 2), keepdims=True)
    return (windows - mean) / np.maximum(deviation, LEAST_DEVIATION)


# ---------------------------------------------------------------- Keras


def get_view(folded: bool = False) -> keras.Model:
    """Build the network in Keras.

    Parameters
    ----------
    folded : bool
        Without batch normalisation, as a file holds it; else with it, to be trained.

    Returns
    -------
    keras.Model
        (n, SIDE, SIDE, 1) float32 -> (n, ANSWERS).
    """
    import keras

    source = tensor = keras.layers.Input((SIDE, SIDE, 1))
    pooled = False
    for layer in layers():
        if layer.is_convolution:
            tensor = keras.layers.Conv2D(
                layer.shape[-1], 3, layer.stride, "same", use_bias=folded, name=layer.name
            )(tensor)
            if not folded:
                tensor = keras.layers.BatchNormalization(
                    momentum=0.98, epsilon=1e-3, name=f"{layer.name}_norm"
                )(tensor)
        else:
            if not pooled:
                mean = keras.layers.GlobalAveragePooling2D()(tensor)
                most = keras.layers.GlobalMaxPooling2D()(tensor)
                tensor = keras.layers.Concatenate()([mean, most])
                pooled = True
            tensor = keras.layers.Dense(layer.shape[-1], name=layer.name)(tensor)
        if layer.relu:
            tensor = keras.layers.ReLU()(tensor)
    return keras.Model(source, tensor)


def folded_weights(model: keras.Model) -> list[np.ndarray]:
    """Return kernel and bias of each layer after folding its batch normalisation in, float32."""
    weights = []
    for layer in layers():
        arrays = model.get_layer(layer.name).get_weights()
        if layer.is_convolution:
            gamma, beta, mean, variance = model.get_layer(f"{layer.name}_norm").get_weights()
            factor = gamma / np.sqrt(variance + 1e-3)
            arrays = [arrays[0] * factor, beta - mean * factor]
        weights += [np.asarray(array, np.float32) for array in arrays]
    return weights


# ---------------------------------------------------------------- the file


def save_view(path: Path, weights: list[np.ndarray], provenance: dict) -> None:
    """Write a view, float16, with what made it."""
    import h5py

    arrays = iter(weights)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for layer in layers():
            for part in ("kernel", "bias"):
                file.create_dataset(f"{layer.name}/{part}", data=next(arrays).astype(np.float16))
        file.attrs[VIEW_ATTRIBUTE] = json.dumps({"provenance": provenance})


def read_view(path: Path) -> list[np.ndarray]:
    """Return kernel and bias of each layer of a view's file, float32, executing nothing in it.

    Raises
    ------
    UserError
        Anything in the file is not exactly as expected.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if read_attribute(file, VIEW_ATTRIBUTE) is None:
                raise ModelFileError(f"its {VIEW_ATTRIBUTE} is missing")
            return [
                read_array(file, f"{layer.name}/{part}", shape)
                for layer in layers()
                for part, shape in (("kernel", layer.shape), ("bias", layer.shape[-1:]))
            ]
    except ModelFileError as mistake:
        found = str(mistake)
    except Exception as error:  # damaged HDF5 can raise anything in h5py
        found = f"not a readable HDF5 file ({type(error).__name__})"
    raise UserError(f"{path}: {found[:200]}, restore it from the download")


# ---------------------------------------------------------------- OpenVINO


def build_graph(weights: list[np.ndarray]) -> openvino.Model:
    """Return the network in OpenVINO, (n, 1, SIDE, SIDE) -> (n, ANSWERS)."""
    from openvino import Model
    from openvino import opset13 as ops

    source = node = ops.parameter([-1, 1, SIDE, SIDE], np.float32)
    arrays, pooled = iter(weights), False
    for layer in layers():
        kernel, bias = next(arrays), next(arrays)
        if layer.is_convolution:
            kernel = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
            stride = [layer.stride] * 2
            node = ops.convolution(
                node, kernel, stride, [0, 0], [0, 0], [1, 1], auto_pad="same_upper"
            )
            node = ops.add(node, ops.constant(bias.reshape(1, -1, 1, 1)))
        else:
            if not pooled:
                axes = ops.constant([2, 3])
                node = ops.concat([ops.reduce_mean(node, axes), ops.reduce_max(node, axes)], 1)
                pooled = True
            node = ops.add(ops.matmul(node, ops.constant(kernel), False, False), ops.constant(bias))
        if layer.relu:
            node = ops.relu(node)
    return Model([node], [source])


class OpenVinoView:
    """The view in OpenVINO, on the processor."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        core = start_openvino().Core()
        self.compiled = core.compile_model(build_graph(weights), "CPU")

    def answer(self, windows: np.ndarray) -> np.ndarray:
        """Return the answers, float32 (n, ANSWERS), to windows (n, SIDE, SIDE)."""
        request = self.compiled.create_infer_request()  # its own, so that threads may share this
        return request.infer([normalize(windows)[:, None]])[0].copy()


class KerasView:
    """The view in Keras."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        start_keras()
        self.network = get_view(folded=True)
        self.network.set_weights(weights)

    def answer(self, windows: np.ndarray) -> np.ndarray:
        """Return the answers, float32 (n, ANSWERS), to windows (n, SIDE, SIDE)."""
        return np.asarray(self.network.predict_on_batch(normalize(windows)[..., None]))


@functools.cache
def view_sha256() -> str:
    """Return the SHA-256 of the file of the suite's view, for the record of a mask."""
    return sha256(VIEW)


def open_view(path: Path = VIEW, in_keras: bool = False) -> OpenVinoView | KerasView:
    """Return the view of a file, by default the one that comes with the suite.

    Parameters
    ----------
    path : Path
    in_keras : bool
        Compute it in Keras, also where OpenVINO is installed.
    """
    weights = read_view(path)
    installed = importlib.util.find_spec("openvino") is not None
    return OpenVinoView(weights) if installed and not in_keras else KerasView(weights)
