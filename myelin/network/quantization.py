"""The network in int8: the scale of each channel, and how weights are rounded.

Processors that multiply 8-bit integers (VNNI, AMX) do so several times faster. Between the first
and the last convolution, which stay in floating point, every tensor is then stored in 256 steps.
Three measures keep the masks as they are:

- Channels are equalized: each is divided by its own largest value, so that none is lost in the
  steps of another, and the weights that use it are multiplied by that value (after Nagel et al.
  2019, doi:10.1109/ICCV.2019.00141). ReLU commutes with these factors, so the result is the same.
- Tensors that are concatenated share their steps. Upsampled tensors have negative values too: the
  sign of each channel is chosen so that its smaller side is negative, with a third of the steps.
- Weights are rounded so that the sum of each kernel stays the same: neighbouring pixels are
  similar, so the sum matters most.

The scales come from synthetic images (`myelin/train/calibration.py`) and lie beside the model file.
"""

import json
from pathlib import Path

import numpy as np

import unet
from myelin.runtime.files import beside

ENDING = "_8bit.json"  # of the file beside the model file
STEPS = 255
CONCATENATED_LOW = -0.5  # 85 of the 255 steps: 0 must be one of them
WEIGHT_STEPS = 127  # to either side of 0
MIN_RELATIVE_SCALE = 0.2  # smallest scale of a channel, relative to the largest of its tensor


def convolutions() -> list[int]:
    """Return the places of all convolutions in `unet.layers`."""
    return [place for place, layer in enumerate(unet.layers()) if layer.kernel]


def quantized_places() -> list[int]:
    """Return the places of the convolutions whose output is stored in 8 bits."""
    return convolutions()[:-2]


def low_end(place: int) -> float:
    """Return the lowest value of an equalized tensor in 8 bits; the highest is 1."""
    concatenations = [layer for layer in unet.layers() if layer.kind == "Concatenate"]
    concatenated = any(place in layer.sources for layer in concatenations)
    return CONCATENATED_LOW if concatenated else 0.0


def scales_from(ranges: dict[int, tuple[np.ndarray, np.ndarray]]) -> dict[int, np.ndarray]:
    """Return the divisors of all channels, which bring their values into the range of the steps.

    `ranges` has the lowest and the highest value of each channel, by place; a scale is negative for
    an upsampled channel whose sign changes.
    """
    layers = unet.layers()
    scales = {}
    for place, (lowest, highest) in ranges.items():
        sign = np.ones(len(highest))
        top = np.maximum(highest, 0)
        if layers[place].activation == "linear":
            sides = np.sort([np.maximum(-lowest, 0), top], axis=0)
            sign[-lowest > highest] = -1
            top = np.maximum(sides[1], sides[0] / -CONCATENATED_LOW)
        smallest = max(MIN_RELATIVE_SCALE * top.max(), 1e-3)
        scales[place] = (sign * np.maximum(top, smallest)).astype(np.float32)
    return scales


def equalized(weights: list[np.ndarray], scales: dict[int, np.ndarray]) -> list[np.ndarray]:
    """Return weights that give the same output, each channel divided by its scale."""
    divisors = []
    result = []
    arrays = iter(weights)
    for place, layer in enumerate(unet.layers()):
        sources = [divisors[source] for source in layer.sources]
        inputs = np.concatenate(sources or [np.ones(1, np.float32)])
        if layer.kernel:
            kernel = next(arrays)
            bias = next(arrays)
            out = scales.get(place, np.ones(layer.channels, np.float32))
            if layer.kind == "Conv2DTranspose":
                kernel = kernel * inputs / out[:, None]
            else:
                kernel = kernel * inputs[:, None] / out
            result += [kernel, bias / out]
            divisors.append(out)
        else:
            divisors.append(inputs)
    return result


def round_kernel(kernel: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Round a convolution's kernel to `WEIGHT_STEPS` steps to either side, per output channel.

    Each slice of rows x cols keeps its sum to half a step: weights closest to a rounding tie are
    rounded the other way.

    Parameters
    ----------
    kernel : float32 array, (channels, channels, rows, cols)
    axis : int
        Axis of the output channels.

    Returns
    -------
    rounded : float32 array
    largest : float32 array
        Largest absolute value of each output channel; the other axes have length 1.
    """
    others = tuple(number for number in range(4) if number != axis)
    largest = np.maximum(np.abs(kernel).max(axis=others, keepdims=True), 1e-12)
    exact = (kernel * (WEIGHT_STEPS / largest)).reshape(-1, kernel.shape[2] * kernel.shape[3])
    rounded = np.rint(exact)
    rest = exact - rounded
    missing = np.rint(rest.sum(1))
    while missing.any():
        rows = np.flatnonzero(missing)
        step = np.sign(missing[rows])
        places = np.argmax(rest[rows] * step[:, None], axis=1)
        rounded[rows, places] += step
        rest[rows, places] -= step  # so that no weight is chosen twice before all others
        missing[rows] -= step
    rounded = np.clip(rounded, -WEIGHT_STEPS, WEIGHT_STEPS).reshape(kernel.shape)
    return (rounded * (largest / WEIGHT_STEPS)).astype(np.float32), largest.astype(np.float32)


# ---------------------------------------------------------------- the file beside the model


def scales_path(model: Path) -> Path:
    """Return the path of the scales of a model file."""
    return beside(model, ENDING)


def read_scales(model: Path, model_sha256: str) -> dict[int, np.ndarray] | None:
    """Return the scales beside a model file; None if there are none for exactly this file.

    A file that cannot be used is named on stdout; segmentation goes on without it.
    """
    path = scales_path(model)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["model_sha256"] != model_sha256:
            raise ValueError("it belongs to another model file")
        arrays = (np.array(numbers, np.float32) for numbers in facts["scales"])
        return dict(zip(quantized_places(), arrays, strict=True))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        print(f"note: {path}: not used, {error or type(error).__name__}")
        return None
