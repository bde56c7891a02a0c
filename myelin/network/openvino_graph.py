"""The network as an OpenVINO graph, built directly from the weights of a model file."""

import numpy as np
from openvino import Model, Node, Output
from openvino import opset13 as ops

import unet
from myelin.network.quantization import (
    STEPS,
    WEIGHT_STEPS,
    convolutions,
    equalized,
    low_end,
    quantized_places,
    round_kernel,
)


def build_graph(
    weights: list[np.ndarray],
    scales: dict[int, np.ndarray] | None = None,
    extra_outputs: list[int] | None = None,
    plan: list[unet.Layer] | None = None,
) -> Model:
    """Build the network: (1, 1, rows, cols) float32 -> myelin probability, same shape.

    Parameters
    ----------
    weights, scales
        See `engine.OpenVinoEngine`; with scales the network computes in int8.
    extra_outputs : list of int, optional
        Places in `unet.layers` whose outputs are returned too, after the probability.
    plan : list of Layer, optional
        Another U-Net, from `unet.layers`.
    """
    int8_tensors = []
    int8_kernels = []
    if scales is not None:
        weights = equalized(weights, scales)
        int8_tensors = quantized_places()
        int8_kernels = convolutions()[1:-1]
    arrays = iter(weights)
    nodes = []
    for place, layer in enumerate(plan or unet.layers()):
        inputs = [nodes[source] for source in layer.sources]
        match layer.kind:
            case "InputLayer":
                node = ops.parameter([1, layer.channels, -1, -1], np.float32)
            case "Conv2D" | "Conv2DTranspose":
                int8 = place in int8_kernels
                node = convolution(layer, *inputs, next(arrays), next(arrays), int8)
            case "MaxPooling2D":
                node = ops.max_pool(*inputs, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
            case "Concatenate":
                node = ops.concat(inputs, 1)
        if place in int8_tensors:
            node = quantized(node, low_end(place), 1.0, STEPS)
        nodes.append(node)
    return Model([nodes[-1], *(nodes[place] for place in extra_outputs or [])], [nodes[0]])


def convolution(
    layer: unet.Layer,
    source: Node | Output,
    kernel: np.ndarray,
    bias: np.ndarray,
    int8: bool = False,
) -> Node:
    """Return the node of one convolution with its bias and its activation.

    The kernel is in Keras's order: (rows, cols, in, out), or (rows, cols, out, in) if transposed;
    `int8` rounds it.
    """
    transposed = layer.kind == "Conv2DTranspose"
    # One permutation gives the kernels of both kinds the order of OpenVINO.
    kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    if int8:
        kernel, largest = round_kernel(kernel, int(transposed))
        kernel = quantized(ops.constant(kernel), -largest, largest, 2 * WEIGHT_STEPS)
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


def quantized(
    node: Node | Output, low: float | np.ndarray, high: float | np.ndarray, steps: int
) -> Node:
    """Return a node rounded to steps from `low` to `high`, which OpenVINO stores as int8.

    `low` and `high` are numbers, or arrays of the node's rank.
    """
    ends = [
        ops.constant(np.asarray(end, np.float32).reshape(np.shape(end) or (1, 1, 1, 1)))
        for end in (low, high)
    ]
    return ops.fake_quantize(node, *ends, *ends, steps + 1)
