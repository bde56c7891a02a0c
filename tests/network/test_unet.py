"""The network and its losses."""

import cv2
import numpy as np
import pytest
from trained import SIZE

import unet
from myelin.network import model_file
from myelin.train import fit as training
from myelin.train.recipe import Recipe


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
    for layer in network.layers:  # a skip is concatenated behind the upsampled
        if type(layer).__name__ == "Concatenate":
            before, behind = (tensor._keras_history.operation.name for tensor in layer.input)
            assert before.startswith("conv2d_transpose") and not behind.startswith("conv2d_tr")


@pytest.mark.usefixtures("small_network")
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
    assert float(unet.dice_coef(0 * found, 0 * found)) == 1


def two_sheaths(gap):
    """Return a mask, (1, 64, 64, 1), of two stripes of myelin with a gap between them."""
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[:, 8:56, 10:20] = mask[:, 8:56, 20 + gap : 30 + gap] = 1
    return mask


@pytest.mark.parametrize(("gap", "narrow"), [(1, True), (3, True), (6, True), (7, False)])
def test_gaps_are_found_with_a_rim_of_two_pixels(gap, narrow):
    found = np.array(unet.narrow_gaps(two_sheaths(gap)))[0, :, :, 0]
    assert set(np.unique(found)) <= {0, 1}
    columns = np.flatnonzero(found[32])
    assert list(columns) == (list(range(18, 22 + gap)) if narrow else [])


def test_the_axon_of_a_small_fiber_is_a_gap_and_that_of_a_large_one_is_not():
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[:, 4:15, 4:15] = mask[:, 24:60, 24:60] = 1
    mask[:, 7:12, 7:12] = mask[:, 30:54, 30:54] = 0
    found = np.array(unet.narrow_gaps(mask))[0, :, :, 0]
    assert found[5:14, 5:14].all() and found.sum() == 81


def test_pixels_at_a_gap_count_four_times_in_the_loss_with_gaps():
    true = two_sheaths(3)
    found = np.where(true == 1, 0.9, 0.1).astype(np.float32)
    found[0, :, 21] = 0.6
    weights = 1 + 3 * np.array(unet.narrow_gaps(true))
    entropy = -np.log(np.where(true == 1, found, 1 - found))
    expected = (weights * entropy).sum() / weights.sum() - float(unet.dice_coef(true, found))
    assert float(unet.LOSSES["dice+gaps"](true, found)) == pytest.approx(expected, rel=1e-5)


def gradients(network, frame, mask):
    """Return the gradient of every weight array, read from one step of plain descent."""
    keras = training.keras
    before = network.get_weights()
    network.compile(keras.optimizers.SGD(1.0), unet.dice_crossentropy_loss)
    network.train_on_batch(frame, mask)
    return [old - new for old, new in zip(before, network.get_weights(), strict=True)]


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_bfloat16_has_the_gradients_of_float32():
    """A bias's gradient is a sum over all pixels, which stagnates where bfloat16 adds it up."""
    training.keras.utils.set_random_seed(1)
    noise = np.random.default_rng(1).normal(size=(2, 128, 128))
    frame = 8 * np.stack([cv2.GaussianBlur(image, (0, 0), 3) for image in noise])[..., None]
    mask = (frame > 0.5).astype(np.float32)
    network = unet.get_unet(None, None, "he_normal")
    reduced = unet.get_unet(None, None, precision="bfloat16")
    reduced.set_weights(network.get_weights())
    assert {weight.dtype for weight in reduced.weights} == {"float32"}
    assert reduced(frame).dtype == "float32"
    true = gradients(network, frame, mask)
    longest = max(np.linalg.norm(array) for array in true)
    for expected, found in zip(true, gradients(reduced, frame, mask), strict=True):
        length = np.linalg.norm(expected)
        if length > 1e-3 * longest:
            assert (expected * found).sum() >= 0.99 * length * np.linalg.norm(found)
            assert 0.95 <= np.linalg.norm(found) / length <= 1.05


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_a_network_trained_in_bfloat16_is_saved_like_any_other(tmp_path):
    network = training.compile_network(unet.get_unet(32, 32), Recipe(precision="bfloat16"))
    frame = np.random.default_rng(0).normal(size=(1, 32, 32, 1)).astype(np.float32)
    network.train_on_batch(frame, (frame > 0).astype(np.float32))
    settings = training.Preprocessing(rows=32, cols=32, mean=0.0, std=1.0)
    model_file.save_model(tmp_path / "m.h5", network, settings)
    loaded, _, adam = model_file.load_model(tmp_path / "m.h5")
    for expected, found in zip(network.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, found)
    assert adam[0] == 1
    assert loaded.layers[1].compute_dtype == "float32"
