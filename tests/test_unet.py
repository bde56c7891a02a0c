"""The network and its losses."""

import numpy as np
import pytest
from trained import SIZE

import unet


def test_the_network_has_the_layers_and_parameters_of_2018():
    network = unet.get_unet()
    assert network.count_params() == 7_759_521
    assert network.input_shape == network.output_shape == (None, 1024, 1024, 1)
    assert [tuple(weight.shape) for weight in network.weights] == unet.weight_shapes()
    kinds = [type(layer).__name__ for layer in network.layers]
    block = ["Conv2D", "Conv2D"]
    up = ["Conv2DTranspose", "Concatenate", *block]
    assert kinds == ["InputLayer", *([*block, "MaxPooling2D"] * 4), *block, *(up * 4), "Conv2D"]
    convolutions = [layer for layer in network.layers if type(layer).__name__ == "Conv2D"]
    filters = [layer.filters for layer in convolutions]
    down = [32, 32, 64, 64, 128, 128, 256, 256]
    assert filters == [*down, 512, 512, *down[::-1], 1]
    activations = {layer.activation.__name__ for layer in convolutions[:-1]}
    assert activations == {"relu"} and convolutions[-1].activation.__name__ == "sigmoid"


def test_a_skip_is_concatenated_behind_the_upsampled():
    network = unet.get_unet(SIZE, SIZE)
    for layer in network.layers:
        if type(layer).__name__ == "Concatenate":
            before, behind = (tensor._keras_history.operation.name for tensor in layer.input)
            assert before.startswith("conv2d_transpose") and not behind.startswith("conv2d_tr")


def test_the_network_takes_any_frame_of_multiples_of_16(trained, frame):
    free = unet.get_unet(None, None)
    free.set_weights(trained.get_weights())
    wide = np.concatenate([frame, frame[:, :, :16]], axis=2)
    assert free(wide).shape == (1, SIZE, SIZE + 16, 1)
    assert np.allclose(free(frame), trained(frame), atol=1e-6)


def test_dice_coefficient_and_losses_by_hand():
    true = np.array([[[0, 1], [1, 1]]], np.uint8)
    found = np.array([[[0.1, 0.8], [0.6, 0.0]]], np.float32)
    dice = (2 * (0.8 + 0.6) + 1) / (3 + 1.5 + 1)
    assert float(unet.dice_coef(true, found)) == pytest.approx(dice)
    assert float(unet.LOSSES["dice"](true, found)) == pytest.approx(-dice)
    found[0, 1, 1] = 0.5
    dice = (2 * (0.8 + 0.6 + 0.5) + 1) / (3 + 2 + 1)
    entropy = -np.mean(np.log([0.9, 0.8, 0.6, 0.5]))
    combined = float(unet.LOSSES["dice+crossentropy"](true, found))
    assert combined == pytest.approx(entropy - dice, abs=1e-6)


def test_dice_of_two_empty_masks_is_1():
    empty = np.zeros((1, 4, 4, 1), np.float32)
    assert float(unet.dice_coef(empty, empty)) == 1
