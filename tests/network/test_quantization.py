"""8-bit numbers: the network stays the same, masks too, and no file beside a model is trusted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stand_ins import NATIVE, random_network

import unet
from myelin.network import engine, quantization
from myelin.runtime.files import sha256
from myelin.train import calibration

ROOT = Path(unet.__file__).parent
BUNDLED = ROOT / "models/bestmyelin.h5"
pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def weights(small_network):
    return random_network().get_weights()


@pytest.fixture(scope="module")
def frames():
    return list(np.random.default_rng(0).normal(size=(3, 64, 96)).astype(np.float32))


@pytest.fixture(scope="module")
def scales(weights, frames):
    return quantization.scales_from(calibration.channel_ranges(weights, frames))


def test_equalized_channels_give_the_same_output(weights, frames, scales):
    layers = unet.layers()
    turned = {layers[place].kind for place, scale in scales.items() if (scale < 0).any()}
    assert turned == {"Conv2DTranspose"}  # a turned channel would not pass a ReLU
    evened = quantization.equalized(weights, scales)
    expected = engine.OpenVinoEngine(weights, "float32").predict(frames[0])
    found = engine.OpenVinoEngine(evened, "float32").predict(frames[0])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_equalized_channels_fill_their_steps(weights, frames, scales):
    found = calibration.channel_ranges(quantization.equalized(weights, scales), frames)
    for place, (lowest, highest) in found.items():
        assert lowest.min() >= quantization.low_end(place) - 1e-4
        assert 0.5 < highest.max() <= 1 + 1e-4


@pytest.mark.parametrize("axis", [0, 1])
def test_rounded_kernels_keep_their_sums(axis):
    kernel = np.random.default_rng(axis).normal(size=(6, 8, 3, 3)).astype(np.float32)
    rounded, most = quantization.round_kernel(kernel, axis)
    step = most / 127
    np.testing.assert_allclose(rounded / step, np.rint(rounded / step), atol=1e-3)
    assert (np.abs(rounded) <= most * 1.0001).all() and np.abs(rounded - kernel).max() < step.max()
    off = np.abs((rounded - kernel).sum((2, 3)) / step[..., 0, 0])
    plain = np.abs((np.rint(kernel / step) * step - kernel).sum((2, 3)) / step[..., 0, 0])
    assert off.max() < 0.51 < plain.max()


def test_masks_in_8_bit_numbers_are_nearly_those_of_float32(weights, frames, scales):
    running = engine.OpenVinoEngine(weights, "int8", scales)
    assert running.name == "openvino, int8"
    dice = calibration.compare_masks(weights, scales, enumerate(frames), 0.5)
    assert 0.97 < min(dice.values()) <= max(dice.values()) < 1  # of a network without training


def test_8_bit_numbers_are_taken_where_the_processor_has_them(weights, scales, monkeypatch):
    monkeypatch.setattr(engine, "multiplies_int8", lambda core: True)
    assert engine.open_engine(weights, NATIVE, scales=scales).name == "openvino, int8"
    exact = engine.open_engine(weights, NATIVE, precision="float32", scales=scales)
    assert exact.name == "openvino, float32"
    monkeypatch.setattr(engine, "multiplies_int8", lambda core: False)
    assert engine.open_engine(weights, NATIVE, scales=scales).name != "openvino, int8"


@pytest.mark.slow
def test_a_processor_whose_sums_overflow_is_found_out():
    code = (
        "from myelin.network.engine import multiplies_int8, start_openvino\n"
        "print(multiplies_int8(start_openvino().Core()))"
    )
    limited = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=limited, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr


# ---------------------------------------------------------------- the file beside the model


@pytest.fixture
def beside_model(saved, tmp_path):
    """A copy of `saved`, the path of its scales, and their file's content."""
    model = Path(shutil.copy(saved, tmp_path))
    path = quantization.scales_path(model)
    channels = [unet.layers()[place].channels for place in quantization.quantized_places()]
    facts = {"model_sha256": sha256(model), "scales": [[2.0] * count for count in channels]}
    path.write_text(json.dumps(facts), encoding="utf-8")
    return model, path, facts


def test_scales_are_read_for_exactly_the_file_they_were_made_for(beside_model, capsys):
    model, path, _ = beside_model
    scales = quantization.read_scales(model, sha256(model))
    assert list(scales) == quantization.quantized_places() and set(scales[1]) == {2}
    assert quantization.read_scales(model, "0" * 64) is None
    assert "note: " in capsys.readouterr().out
    path.unlink()
    assert quantization.read_scales(model, sha256(model)) is None
    assert not capsys.readouterr().out


@pytest.mark.slow
def test_calibration_writes_scales_unless_they_change_the_masks(beside_model, monkeypatch, capsys):
    model, path, _ = beside_model
    monkeypatch.setattr(calibration, "SIZE", 64)
    monkeypatch.setattr(calibration, "PIXEL_SIZES_UM", (0.27,))
    monkeypatch.setattr(calibration, "MIN_DICE", 0.0)
    dice = calibration.calibrate(model)
    scales = quantization.read_scales(model, sha256(model))
    assert len(dice) == 4 and any((scale != 2).any() for scale in scales.values())
    monkeypatch.setattr(calibration, "MIN_DICE", 1.1)
    calibration.calibrate(model)
    assert not path.exists() and f"note: {model}: " in capsys.readouterr().out


@pytest.mark.parametrize("bytes_kept", [0, 200])
def test_a_damaged_file_of_scales_is_not_used(beside_model, capsys, bytes_kept):
    model, path, _ = beside_model
    path.write_bytes(path.read_bytes()[:bytes_kept])
    capsys.readouterr()
    assert quantization.read_scales(model, sha256(model)) is None
    assert capsys.readouterr().out.startswith(f"note: {path}: ")


def test_the_bundled_scales_are_of_the_bundled_model():
    facts = json.loads(quantization.scales_path(BUNDLED).read_text(encoding="utf-8"))
    assert facts["model_sha256"] == sha256(BUNDLED)
    assert len(facts["dice"]) >= 16 and min(facts["dice"].values()) >= calibration.MIN_DICE
