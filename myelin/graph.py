"""The network as an OpenVINO graph, built straight from the weights of a model file."""

import numpy as np
from openvino import Model
from openvino import opset13 as ops

import unet


def build_graph(weights):
    """Build the network.

    Parameters
    ----------
    weights : list of float32 arrays
        Kernel and bias of each convolution, as from `model_file.read_model_file`.

    Returns
    -------
    openvino.Model
        (1, 1, rows, cols) float32 -> myelin probability, same shape.
    """
    arrays, nodes = iter(weights), []
    for layer in unet.layers():
        inputs = [nodes[place] for place in layer.sources]
        match layer.kind:
            case "InputLayer":
                node = ops.parameter([1, layer.channels, -1, -1], np.float32)
            case "Conv2D" | "Conv2DTranspose":
                node = convolution(layer, *inputs, next(arrays), next(arrays))
            case "MaxPooling2D":
                node = ops.max_pool(*inputs, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
            case "Concatenate":
                node = ops.concat(inputs, 1)
        nodes.append(node)
    return Model([nodes[-1]], [nodes[0]])


def convolution(layer, source, kernel, bias):
    """Return the node of one convolution with its bias and its activation.

    Parameters
    ----------
    layer : unet.Layer
    source : openvino.Node
    kernel : float32 array
        In Keras's order: (rows, cols, in, out), or (rows, cols, out, in) of a transposed one.
    bias : float32 array, (channels,)
    """
    # The same turn gives either kind the order that OpenVINO wants.
    kernel = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    if layer.kind == "Conv2DTranspose":
        node = ops.convolution_backprop_data(source, kernel, [2, 2])
    else:
        margin = [layer.kernel // 2] * 2
        node = ops.convolution(source, kernel, [1, 1], margin, margin, [1, 1])
    node = ops.add(node, ops.constant(bias.reshape(1, -1, 1, 1)))
    activations = {"relu": ops.relu, "sigmoid": ops.sigmoid, "linear": lambda x: x}
    return activations[layer.activation](node)
