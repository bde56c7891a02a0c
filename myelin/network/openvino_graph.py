"""The network as an OpenVINO graph, built straight from the weights of a model file."""

import numpy as np
from openvino import Model
from openvino import opset13 as ops

import unet
from myelin.network.quantization import (
    STEPS,
    WEIGHT_STEPS,
    convolutions,
    even_out,
    low_end,
    round_kernel,
    stored_places,
)


def build_graph(weights, scales=None, shown=()):
    """Build the network.

    Parameters
    ----------
    weights : list of float32 arrays
        Kernel and bias of each convolution, as from `model_file.read_model_file`.
    scales : dict of int to float32 array, optional
        With these, of `quantization.py`, it computes in 8-bit numbers.
    shown : sequence of int
        Places in `unet.layers` whose outputs it returns too.

    Returns
    -------
    openvino.Model
        (1, 1, rows, cols) float32 -> myelin probability, same shape, and what is `shown`.
    """
    stored, coarse = [], []
    if scales is not None:
        weights, stored, coarse = even_out(weights, scales), stored_places(), convolutions()[1:-1]
    arrays, nodes = iter(weights), []
    for place, layer in enumerate(unet.layers()):
        inputs = [nodes[source] for source in layer.sources]
        match layer.kind:
            case "InputLayer":
                node = ops.parameter([1, layer.channels, -1, -1], np.float32)
            case "Conv2D" | "Conv2DTranspose":
                node = convolution(layer, *inputs, next(arrays), next(arrays), place in coarse)
            case "MaxPooling2D":
                node = ops.max_pool(*inputs, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
            case "Concatenate":
                node = ops.concat(inputs, 1)
        if place in stored:
            node = in_steps(node, low_end(place), 1.0, STEPS)
        nodes.append(node)
    return Model([nodes[-1], *(nodes[place] for place in shown)], [nodes[0]])


def convolution(layer, source, kernel, bias, coarse=False):
    """Return the node of one convolution with its bias and its activation.

    Parameters
    ----------
    layer : unet.Layer
    source : openvino.Node
    kernel : float32 array
        In Keras's order: (rows, cols, in, out), or (rows, cols, out, in) of a transposed one.
    bias : float32 array, (channels,)
    coarse : bool
        Whether the kernel is rounded to 8-bit numbers.
    """
    transposed = layer.kind == "Conv2DTranspose"
    # The same turn gives either kind the order that OpenVINO wants.
    kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    if coarse:
        kernel, most = round_kernel(kernel, int(transposed))
        kernel = in_steps(ops.constant(kernel), -most, most, 2 * WEIGHT_STEPS)
    else:
        kernel = ops.constant(kernel)
    if transposed:
        node = ops.convolution_backprop_data(source, kernel, [2, 2])
    else:
        margin = [layer.kernel // 2] * 2
        node = ops.convolution(source, kernel, [1, 1], margin, margin, [1, 1])
    node = ops.add(node, ops.constant(bias.reshape(1, -1, 1, 1)))
    activations = {"relu": ops.relu, "sigmoid": ops.sigmoid, "linear": lambda x: x}
    return activations[layer.activation](node)


def in_steps(node, low, high, steps):
    """Return a node rounded to so many steps from `low` to `high`, which OpenVINO stores as such.

    Parameters
    ----------
    node : openvino.Node
    low, high : float, or float32 array of the node's rank
    steps : int
    """
    ends = [
        ops.constant(np.asarray(end, np.float32).reshape(np.shape(end) or (1, 1, 1, 1)))
        for end in (low, high)
    ]
    return ops.fake_quantize(node, *ends, *ends, steps + 1)
