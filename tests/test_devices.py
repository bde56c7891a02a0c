"""Training on several devices: the loss of one, and what `--distribute` needs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trained import epochs_of

import train
from myelin import devices, model_file
from myelin.cli import UserError
from myelin.recipe import Recipe, Run

ROOT = Path(train.__file__).parent
# Trains small networks and prints the learning rate that each ends with.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import unet
unet.FILTERS, unet.BOTTOM_FILTERS = (4, 8, 8, 8), 16
import train
from myelin import calibration, training
calibration.calibrate_trained = train.segment_if_packed = lambda path: None
fit = training.fit
def fit_and_print(path, progress, *others):
    fit(path, progress, *others)
    print("rate", float(progress.network.optimizer.learning_rate))
training.fit = fit_and_print
for words in sys.argv[1:]:
    train.main(words.split())
"""
# Two devices of the processor; without optimizing, which would take most of the time.
FLAGS = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"


def test_two_devices_learn_what_one_learns(packed, small_network):
    pytest.importorskip("jax")
    options = "1 --crop 32 --augment --batch-size 4 --steps 3 --schedule cosine"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"one.h5 {options}", f"two.h5 {options} --distribute"],
        env=os.environ | {"KERAS_BACKEND": "jax", "XLA_FLAGS": FLAGS},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert "device: jax, cpu:0, cpu:1" in done.stdout
    for row, other in zip(epochs_of("one"), epochs_of("two"), strict=True):
        for name in ("loss", "validation_loss"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-5), name
    weights, others = (model_file.read_model_file(f"models/{n}.h5")[0] for n in ("one", "two"))
    for array, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(array, other, atol=1e-6)
    # Keras on JAX trains on copies of its variables, which a new rate did not reach.
    rates = [float(line.split()[1]) for line in done.stdout.splitlines() if line[:5] == "rate "]
    assert rates == [pytest.approx(Recipe(schedule="cosine").rate(2, 3))] * 2


def test_the_backend_is_named_where_it_is_not_jax(packed, small_network, capfd):
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "jax":
        pytest.skip("Keras runs on JAX")
    with pytest.raises(SystemExit) as stop:
        train.main(["new.h5", "1", "--size", "32", "--distribute"])
    assert stop.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: --distribute: Keras runs on ") and "with JAX alone" in line
    assert not Path("models/new.h5").exists()


@pytest.mark.parametrize(
    ("found", "batch", "crop", "message"),
    [
        (["gpu:0"], 4, 32, r"--distribute: JAX finds one device \(gpu:0\), leave it out"),
        (["gpu:0", "gpu:1"], 3, 32, "--batch-size 3: does not divide among 2 devices"),
        (["gpu:0", "gpu:1"], 6, None, "--batch-size 6: leaves 5 of 5 frames, which do not divide"),
    ],
)
def test_batches_must_divide_among_the_devices(monkeypatch, found, batch, crop, message):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: found)
    monkeypatch.setattr(devices, "split", lambda *_: (range(5), []))
    with pytest.raises(UserError, match=message):
        devices.distribute(Run(Recipe(batch_size=batch, crop=crop), epochs=1), None)
