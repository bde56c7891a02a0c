"""The view: a small network that finds polarity and fiber width in a window of an image.

Its input is a window of `SIDE` x `SIDE` pixels, normalised by its own mean and standard deviation.
It has four outputs: the logit of "the window shows fibers", the logit of "myelin is dark", log2 of
the fiber width over `FIBER_PX`, and the log of the expected error of that number (the scale of a
Laplace distribution).

`layers` describes the network once. The Keras model for training, the OpenVINO graph and the arrays
of a model file follow from it. Batch normalisation is folded into the convolutions in a file.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import unet
from myelin.network.engine import start_keras, start_openvino
from myelin.network.model_file import VIEW_ATTRIBUTE, read_arrays, write_arrays
from myelin.runtime.files import sha256

if TYPE_CHECKING:
    import keras
    import openvino

VIEW = Path(unet.__file__).resolve().parent / "models" / "view.h5"
SIDE = 128
CHANNELS = (16, 32, 64, 96, 128)
UNITS = 64
OUTPUTS = 4
MIN_DEVIATION = 1.0  # grey levels; below it a blank window would be amplified to noise


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer with weights.

    Attributes
    ----------
    name : str
        Group in the file.
    shape : tuple of int
        Shape of the kernel: (3, 3, inputs, channels) for a convolution, else (inputs, units).
    stride : int
        Stride of a convolution.
    relu : bool
        Whether a ReLU follows.
    """

    name: str
    shape: tuple[int, ...]
    stride: int = 1
    relu: bool = True

    @property
    def is_convolution(self) -> bool:
        """Whether this is a convolution."""
        return len(self.shape) == 4


def layers() -> list[Layer]:
    """Return the layers with weights, in order.

    The first dense layer gets mean and maximum of each channel over the window.
    """
    plan, inputs = [], 1
    for stage, channels in enumerate(CHANNELS, 1):
        plan.append(Layer(f"stage{stage}_1", (3, 3, inputs, channels), stride=2))
        plan.append(Layer(f"stage{stage}_2", (3, 3, channels, channels)))
        inputs = channels
    plan.append(Layer("units", (2 * inputs, UNITS)))
    plan.append(Layer("outputs", (UNITS, OUTPUTS), relu=False))
    return plan


def normalize(windows: np.ndarray) -> np.ndarray:
    """Return windows (n, SIDE, SIDE) minus their mean, divided by their deviation, float32."""
    windows = np.asarray(windows, np.float32)
    mean = windows.mean(axis=(1, 2), keepdims=True)
    deviation = windows.std(axis=(1, 2), keepdims=True)
    return (windows - mean) / np.maximum(deviation, MIN_DEVIATION)


# ---------------------------------------------------------------- Keras


def get_view(folded: bool = False) -> keras.Model:
    """Build the network in Keras.

    Parameters
    ----------
    folded : bool
        True: without batch normalisation, as in a file. False: with it, for training.

    Returns
    -------
    keras.Model
        (n, SIDE, SIDE, 1) float32 -> (n, OUTPUTS).
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


def array_shapes() -> dict[str, tuple[int, ...]]:
    """Return name and shape of each array in a file."""
    parts = [(layer.name, layer.shape) for layer in layers()]
    return {
        f"{name}/{part}": of
        for name, shape in parts
        for part, of in (("kernel", shape), ("bias", shape[-1:]))
    }


def save_view(path: Path, weights: list[np.ndarray], provenance: dict) -> None:
    """Write weights as float16, with their provenance."""
    write_arrays(path, VIEW_ATTRIBUTE, dict(zip(array_shapes(), weights, strict=True)), provenance)


def read_view(path: Path) -> list[np.ndarray]:
    """Return kernel and bias of each layer in a file, see `model_file.read_arrays`."""
    return read_arrays(path, VIEW_ATTRIBUTE, array_shapes())


# ---------------------------------------------------------------- OpenVINO


def build_graph(weights: list[np.ndarray]) -> openvino.Model:
    """Return the network in OpenVINO, (n, 1, SIDE, SIDE) -> (n, OUTPUTS)."""
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
    """The view, run by OpenVINO on the CPU."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        core = start_openvino().Core()
        # Rounding to bfloat16 would change the outputs by up to 0.01.
        config = {"INFERENCE_PRECISION_HINT": "f32"}
        self.compiled = core.compile_model(build_graph(weights), "CPU", config)

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Return the outputs, float32 (n, OUTPUTS), for windows (n, SIDE, SIDE)."""
        request = self.compiled.create_infer_request()  # one per call: threads share the model
        return request.infer([normalize(windows)[:, None]])[0].copy()


class KerasView:
    """The view, run by Keras."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        start_keras()
        self.network = get_view(folded=True)
        self.network.set_weights(weights)

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Return the outputs, float32 (n, OUTPUTS), for windows (n, SIDE, SIDE)."""
        return np.asarray(self.network.predict_on_batch(normalize(windows)[..., None]))


@functools.cache
def view_sha256() -> str:
    """Return the SHA-256 of the bundled view, for the record of a mask."""
    return sha256(VIEW)


# Kept while the process lives: OpenVINO gives the thread that compiles a model a stack for signals
# and takes it back where the model is freed. In another thread, the next Ctrl-C would crash.
@functools.cache
def open_view(path: Path = VIEW, in_keras: bool = False) -> OpenVinoView | KerasView:
    """Return the view in a file, by default the bundled one.

    Parameters
    ----------
    path : Path
    in_keras : bool
        Run it by Keras even if OpenVINO is installed.
    """
    weights = read_view(path)
    installed = importlib.util.find_spec("openvino") is not None
    return OpenVinoView(weights) if installed and not in_keras else KerasView(weights)
