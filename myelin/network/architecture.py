"""Compare the layers that a model file describes with the network's own, by its JSON alone."""

import json
import math

import unet
from myelin.network.hdf5 import ModelFileError

# Training on a frame of 2896 x 2896 takes some 22 GB, reckoned from 1024 x 1024.
MAX_FRAME_SIDE = 2896
SAME = {"padding": "same", "data_format": "channels_last"}
# What a file's layers of each kind must say, where they say it.
EXPECTED = {
    "InputLayer": {},
    "Conv2D": {**SAME, "strides": [1, 1], "dilation_rate": [1, 1]},
    "MaxPooling2D": {"pool_size": [2, 2], "strides": [2, 2]},
    "Conv2DTranspose": {**SAME, "strides": [2, 2]},
    "Concatenate": {"axis": 3},
}


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


def expected_settings(layer):
    """Return what a model file must say of one of the network's layers, dict."""
    if layer.kernel == 1:  # padding makes no difference to a 1x1 convolution
        return {"activation": layer.activation}
    return EXPECTED[layer.kind] | ({"activation": layer.activation} if layer.kernel else {})


def check_architecture(text):
    """Compare a model file's layers with the network's.

    Parameters
    ----------
    text : str
        The file's `model_config`, JSON.

    Returns
    -------
    rows, cols : int or None
        Of its input.

    Raises
    ------
    ModelFileError
        A layer has another class, setting or source than ours.
    """
    try:
        layers = json.loads(text)["config"]["layers"]
        found = [(layer["class_name"], dict(layer["config"])) for layer in layers]
        names = [config["name"] for _, config in found]
        sources = [source_layers(layer.get("inbound_nodes")) for layer in layers]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError("its model_config cannot be read") from None
    ours = unet.layers()
    for index, layer in enumerate(ours):
        got = found[index][0] if index < len(found) else "nothing"
        if got != layer.kind:
            raise ModelFileError(f"layer {index} is {got}, expected {layer.kind}")
        for key, value in expected_settings(layer).items():
            if found[index][1].get(key, value) != value:
                raise ModelFileError(f"layer {index} has {key} {found[index][1][key]}")
        feeding = [names[place] for place in layer.sources]
        if sources[index] != feeding:
            raise ModelFileError(f"layer {index} follows {sources[index]}, expected {feeding}")
    if len(found) > len(ours):
        raise ModelFileError(f"layer {len(ours)} is {found[len(ours)][0]}, expected the end")
    return check_input(found[0][1].get("batch_shape") or found[0][1].get("batch_input_shape") or [])


def check_input(shape):
    """Return rows and cols of an input's shape, which should be (batch, rows, cols, 1)."""
    if len(shape) != 4 or shape[3] != 1:
        raise ModelFileError(f"its input is {shape}, expected (batch, rows, cols, 1)")
    for size in shape[1:3]:
        multiple = isinstance(size, int) and 0 < size <= 2**14 and size % unet.STRIDE == 0
        if size is not None and not multiple:
            raise ModelFileError(f"its input is {shape}, expected multiples of {unet.STRIDE}")
    if math.prod(size or 1 for size in shape[1:3]) > MAX_FRAME_SIDE**2:
        raise ModelFileError(f"its input is {shape}, the limit is {MAX_FRAME_SIDE} squared")
    return tuple(shape[1:3])
