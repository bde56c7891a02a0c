"""The network in 8-bit numbers: what is known of each channel, and how weights are rounded.

Processors that multiply 8-bit numbers (VNNI, AMX) do so several times faster. Between the first and
the last convolution, which stay as they are, every tensor is then stored in 256 steps. Three things
keep the masks:

- Channels are evened out: each is divided by its own largest value, so that none drowns in the
  steps of another, and the weights that use it are multiplied by that instead (after Nagel et al.
  2019, doi:10.1109/ICCV.2019.00141). ReLU lets factors pass, so the network computes the same.
- Tensors that are joined share their steps. Upsampled ones have negative values too: their channels
  are turned so that the smaller side is negative, and get a third of the steps for it.
- Weights are rounded so that the sum of each kernel stays: neighbouring pixels are much alike, so
  the sum is what counts.

The largest values come from drawn images (calibration.py) and lie beside the model file, as
numbers only.
"""

import json
import math

import numpy as np

import unet
from myelin.runtime.files import beside

ENDING = "_8bit.json"  # of the file beside the model file
MAX_BYTES = 2**20
STEPS = 255
JOINED_LOW = -0.5  # 85 of the 255 steps: 0 must lie on a step
WEIGHT_STEPS = 127  # to either side of 0
LEAST = 0.2  # of a tensor's largest channel that the others are divided by at least


def convolutions():
    """Return the places of all convolutions in `unet.layers`."""
    return [place for place, layer in enumerate(unet.layers()) if layer.kernel]


def stored_places():
    """Return the places of the convolutions whose output is stored in 8 bits."""
    return convolutions()[:-2]


def joined_places():
    """Return the places of the layers whose outputs are joined."""
    return {
        source for layer in unet.layers() if layer.kind == "Concatenate" for source in layer.sources
    }


def low_end(place):
    """Return the lowest value of an evened tensor in 8 bits; the highest is 1."""
    return JOINED_LOW if place in joined_places() else 0.0


def scales_from(extremes):
    """Return what each channel is to be divided by, so that its values fit the steps.

    Parameters
    ----------
    extremes : dict of int to (float array, float array)
        Lowest and highest value of each channel, by place.

    Returns
    -------
    dict of int to float32 array, (channels,)
        Negative where an upsampled channel is turned.
    """
    layers, scales = unet.layers(), {}
    for place, (lowest, highest) in extremes.items():
        sign = np.ones(len(highest))
        top = np.maximum(highest, 0)
        if layers[place].activation == "linear":
            sides = np.sort([np.maximum(-lowest, 0), top], axis=0)
            sign[-lowest > highest] = -1
            top = np.maximum(sides[1], sides[0] / -JOINED_LOW)
        scales[place] = (sign * np.maximum(top, max(LEAST * top.max(), 1e-3))).astype(np.float32)
    return scales


def even_out(weights, scales):
    """Return the weights of a network that gives the same, its channels divided by their scales.

    Parameters
    ----------
    weights : list of float32 arrays
        As from `model_file.read_model_file`.
    scales : dict of int to float32 array
        As from `scales_from`.
    """
    divided, evened, arrays = [], [], iter(weights)
    for place, layer in enumerate(unet.layers()):
        sources = [divided[source] for source in layer.sources]
        if layer.kernel:
            kernel, bias = next(arrays), next(arrays)
            out = scales.get(place, np.ones(layer.channels, np.float32))
            (taken,) = sources
            if layer.kind == "Conv2DTranspose":
                kernel = kernel * taken / out[:, None]
            else:
                kernel = kernel * taken[:, None] / out
            evened += [kernel, bias / out]
            divided.append(out)
        else:
            divided.append(np.concatenate(sources) if sources else np.ones(1, np.float32))
    return evened


def round_kernel(kernel, axis):
    """Round a convolution's kernel to steps, 127 to either side, of each channel that it gives.

    Each slice of rows x cols keeps its sum to half a step; those where rounding has least to say
    between two steps give way.

    Parameters
    ----------
    kernel : float32 array, (channels, channels, rows, cols)
    axis : int
        Of the channels that it gives.

    Returns
    -------
    rounded : float32 array
    most : float32 array
        The largest value of each channel, `WEIGHT_STEPS` steps; the other axes have length 1.
    """
    others = tuple(number for number in range(4) if number != axis)
    most = np.maximum(np.abs(kernel).max(axis=others, keepdims=True), 1e-12)
    exact = (kernel * (WEIGHT_STEPS / most)).reshape(-1, kernel.shape[2] * kernel.shape[3])
    rounded = np.rint(exact)
    rest = exact - rounded
    missing = np.rint(rest.sum(1))
    while len(rows := np.flatnonzero(missing)):
        step = np.sign(missing[rows])
        places = np.argmax(rest[rows] * step[:, None], axis=1)
        rounded[rows, places] += step
        rest[rows, places] -= step  # chosen once, it is the last to be chosen again
        missing[rows] -= step
    rounded = np.clip(rounded, -WEIGHT_STEPS, WEIGHT_STEPS).reshape(kernel.shape)
    return (rounded * (most / WEIGHT_STEPS)).astype(np.float32), most.astype(np.float32)


# ---------------------------------------------------------------- the file beside the model


def scales_path(model):
    """Return where the scales of a model file lie."""
    return beside(model, ENDING)


def read_scales(model, model_sha256):
    """Return the scales beside a model file; None where there are none for exactly this file.

    What is there and cannot be used is named on stdout: segmenting goes on without.
    """
    path = scales_path(model)
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(MAX_BYTES + 1)[:MAX_BYTES])
        if found["model_sha256"] != model_sha256:
            raise ValueError("it belongs to another model file")
        return checked_scales(found["scales"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        print(f"note: {path} is not used, {error or type(error).__name__}")
        return None


def checked_scales(lists):
    """Return scales from JSON's lists; raise a ValueError where a network could not use them."""
    layers, places = unet.layers(), stored_places()
    if not isinstance(lists, list) or len(lists) != len(places):
        raise ValueError("it has not one list for each layer")
    scales = {}
    for place, numbers in zip(places, lists, strict=True):
        fits = isinstance(numbers, list) and len(numbers) == layers[place].channels
        if not fits or not all(type(number) in (int, float) for number in numbers):
            raise ValueError("its lists do not fit the network")
        least = -math.inf if layers[place].activation == "linear" else 0
        if not all(1e-6 < abs(number) < 1e6 and number > least for number in numbers):
            raise ValueError("it has impossible numbers")
        scales[place] = np.array(numbers, np.float32)
    return scales
