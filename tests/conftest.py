"""What several test files share: import path, a quiet TensorFlow, and tiny images."""

import contextlib
import functools
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the same sums in the same order everywhere
os.environ["TQDM_DISABLE"] = "1"  # a bar comes after 2 s, so on a busy machine alone
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from measuring import save_two  # noqa: E402, after the path is set


@pytest.fixture(autouse=True)
def calibrated(monkeypatch):
    """Spare tests half a minute of drawing after each training; return the models it was due to."""
    models = []
    monkeypatch.setattr("myelin.train.calibration.calibrate_if_openvino", models.append)
    return models


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make an empty folder with `raw/train` and `raw/test` the current one; return its path."""
    for name in ("raw/train", "raw/test"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_masks(folder):
    """In `folder`, write two masks of two whole fibers each into `preds`; return the folder."""
    save_two()
    return folder


@pytest.fixture
def write_sample():
    """Return a function that writes a tiny image, by default random grey, and returns it."""

    def write(path, sample=None, shape=(20, 30)):
        if sample is None:
            sample = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        stored = sample[..., [2, 1, 0, *range(3, sample.shape[2])]] if sample.ndim == 3 else sample
        ok, encoded = cv2.imencode(Path(path).suffix, stored)
        assert ok
        encoded.tofile(path)
        return sample

    return write


@pytest.fixture
def write_pair(write_sample):
    """Return a function that writes an image and its mask into `raw/train`; returns both."""

    def write(stem, shape=(20, 30), suffix=".tif", mask_suffix=".tif"):
        image = write_sample(f"raw/train/{stem}{suffix}", shape=shape)
        mask = np.where(image > 127, 255, 0).astype(np.uint8)
        return image, write_sample(f"raw/train/{stem}_mask{mask_suffix}", mask)

    return write


@contextlib.contextmanager
def small():
    """Give the U-Net few filters: the layers are the same, and training takes a moment."""
    import unet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "FILTERS", (4, 8, 8, 8))
        patch.setattr(unet, "BOTTOM_FILTERS", 16)
        yield


@pytest.fixture(scope="module")
def small_network():
    """Give the U-Net few filters in all tests of a file."""
    with small():
        yield


@pytest.fixture
def eager(monkeypatch):
    """Have Keras compute step by step: tracing its graph takes longer than a few steps do."""
    import keras

    compiled = functools.partialmethod(keras.Model.compile, run_eagerly=True)
    monkeypatch.setattr(keras.Model, "compile", compiled)


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A folder with five packed pairs, the last with dark myelin, and one test image."""
    from drawings import fiber_image

    import data
    from myelin.images import image as images

    monkeypatch.chdir(tmp_path)
    for number in range(5):
        image, mask = fiber_image(number, rows=80 + 16 * number)
        images.write_image(f"raw/train/nerve{number}.tif", 255 - image if number == 4 else image)
        images.write_image(f"raw/train/nerve{number}_mask.png", mask)
    images.write_image("raw/test/new.tif", fiber_image(9)[0])
    data.main([])
    return tmp_path


@pytest.fixture(scope="session")
def frame():
    """One frame of noise, as a batch."""
    from trained import SIZE

    return np.random.default_rng(0).normal(size=(1, SIZE, SIZE, 1)).astype(np.float32)


@pytest.fixture(scope="session")
def trained(frame):
    """A compiled network, as small as in `small_network`, after two steps of Adam."""
    from trained import SIZE

    import unet
    from myelin.network import engine

    engine.start_keras()
    with small():
        network = unet.get_unet(SIZE, SIZE)
    loss = unet.dice_coef_loss
    network.compile(optimizer="adam", loss=loss, metrics=[unet.dice_coef], run_eagerly=True)
    for _ in range(2):
        network.train_on_batch(frame, (frame > 0).astype(np.float32))
    return network


@pytest.fixture(scope="session")
def saved(trained, tmp_path_factory):
    """The model file of `trained`."""
    from trained import SETTINGS

    from myelin.network import model_file

    path = tmp_path_factory.mktemp("models") / "saved.h5"
    with small():
        model_file.save_model(path, trained, SETTINGS)
    return path
