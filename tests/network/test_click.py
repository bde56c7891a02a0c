"""The click model's file, its network in Keras and OpenVINO, and its windows."""

import numpy as np
import pytest

from myelin.network import click
from myelin.network.model_file import read_model_file
from myelin.runtime.cli import UserError


@pytest.fixture
def saved(tmp_path):
    """A file of random weights."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, np.prod(s[:-1]) ** -0.5, s) for s in click.SHAPES.values()]
    click.save_click(tmp_path / "click.h5", weights, {"steps": 1})
    return tmp_path / "click.h5"


def test_keras_and_openvino_answer_alike(saved):
    windows = np.random.default_rng(1).integers(0, 256, (3, click.SIDE, click.SIDE))
    found = [click.ClickModel(saved, in_keras=way).predict(windows) for way in (False, True)]
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3)
    assert found[0].shape == (3, click.SIDE, click.SIDE, 3)


def test_a_click_model_given_as_a_model_is_refused_in_one_line(saved):
    with pytest.raises(UserError, match=r"click\.h5: .*the click model"):
        read_model_file(saved)


@pytest.mark.parametrize("scale", [0.1, 0.5, 1, 3])
def test_a_window_shows_the_image_magnified_around_its_centre(scale):
    rows, cols = np.mgrid[:900, :900]
    planes = np.dstack([rows / 4, cols / 4]).astype(np.uint8)
    window = click.cut_window(planes, 420, 460, scale)
    offsets = np.arange(click.SIDE) - (click.SIDE - 1) / 2
    np.testing.assert_allclose(window[:, 5, 0] * 4, 460 + offsets / scale, atol=5)
    np.testing.assert_allclose(window[5, :, 1] * 4, 420 + offsets / scale, atol=5)


def test_the_click_model_of_the_suite_can_be_read():
    assert click.CLICK.stat().st_size <= 1.5e6
    assert all(np.isfinite(weight).all() for weight in click.read_click(click.CLICK))
