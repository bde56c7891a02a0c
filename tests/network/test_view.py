"""The view's file and its network, in Keras and OpenVINO."""

import h5py
import numpy as np
import pytest

from myelin.network import view
from myelin.network.engine import start_keras
from myelin.network.model_file import read_model_file
from myelin.runtime.cli import UserError


@pytest.fixture
def saved(tmp_path):
    """A file of random weights, and the weights."""
    rng, weights = np.random.default_rng(0), []
    for layer in view.layers():
        for shape in (layer.shape, layer.shape[-1:]):
            weights.append(rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32))
    view.save_view(tmp_path / "view.h5", weights, {"steps": 1})
    return tmp_path / "view.h5", weights


def test_the_file_keeps_the_weights_in_half_precision(saved):
    path, weights = saved
    assert path.stat().st_size < 2**20
    for read, weight in zip(view.read_view(path), weights, strict=True):
        np.testing.assert_array_equal(read, weight.astype(np.float16))


def test_keras_and_openvino_answer_alike(saved):
    windows = np.random.default_rng(1).integers(0, 256, (3, view.SIDE, view.SIDE), dtype=np.uint8)
    found = [view.open_view(saved[0], in_keras=way).predict(windows) for way in (False, True)]
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3)
    assert found[0].shape == (3, view.OUTPUTS)


def test_batch_normalisation_is_folded_into_the_convolutions():
    keras = start_keras()
    keras.utils.set_random_seed(0)
    model, rng = view.get_view(), np.random.default_rng(2)
    for weight in model.weights:
        if "norm" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    folded = view.get_view(folded=True)
    folded.set_weights(view.folded_weights(model))
    windows = rng.normal(size=(2, view.SIDE, view.SIDE, 1)).astype(np.float32)
    np.testing.assert_allclose(
        model.predict_on_batch(windows), folded.predict_on_batch(windows), rtol=1e-3, atol=1e-4
    )


def damage(path, kind):
    """Change a view's file in a way that must be refused."""
    with h5py.File(path, "a") as file:
        kernel = file["units/kernel"][()]
        if kind == "attribute":
            del file.attrs[view.VIEW_ATTRIBUTE]
            return
        del file["units/kernel"]
        if kind == "shape":
            file["units/kernel"] = kernel[1:]


@pytest.mark.parametrize("kind", ["attribute", "missing", "shape", "bytes"])
def test_a_file_that_is_not_as_expected_is_refused_in_one_line(saved, kind):
    path, _ = saved
    if kind == "bytes":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        damage(path, kind)
    with pytest.raises(UserError, match=r"view\.h5: ") as refused:
        view.read_view(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_view_given_as_a_model_is_refused_in_one_line(saved):
    with pytest.raises(UserError, match=r"view\.h5: .*the view"):
        read_model_file(saved[0])


def test_the_view_of_the_suite_can_be_read():
    assert view.VIEW.stat().st_size <= 2**20 and len(view.read_view(view.VIEW)) == 24
