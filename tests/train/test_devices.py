"""Training on several devices: the loss of one, and what `--distribute` needs."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trained import epochs_of

import train
from myelin.network import model_file
from myelin.runtime.cli import UserError
from myelin.train import devices, hosts
from myelin.train.recipe import Recipe, Run

ROOT = Path(train.__file__).parent
# Trains small networks and prints the learning rate that each ends with.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import unet
unet.FILTERS, unet.BOTTOM_FILTERS = (4, 8, 8, 8), 16
import train
from myelin.train import calibration, fit as training
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


def run(*calls, **variables):
    """Start `SCRIPT` in a process of its own, with Keras on JAX."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *calls],
        env=os.environ | {"KERAS_BACKEND": "jax", "XLA_FLAGS": FLAGS} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process):
    """Return what a process says until its end."""
    out, error = process.communicate(timeout=500)
    assert process.returncode == 0, error
    return out


def assert_alike(one, other):
    """Assert that two trainings have learned the same."""
    for row, others in zip(epochs_of(one), epochs_of(other), strict=True):
        for name in ("loss", "validation_loss"):
            assert float(row[name]) == pytest.approx(float(others[name]), rel=1e-5), name
    weights, others = (model_file.read_model_file(f"models/{n}.h5")[0] for n in (one, other))
    for array, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(array, other, atol=1e-6)


def free_port():
    """Return a port of this computer that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_devices_and_hosts_learn_what_one_learns(packed, small_network):
    """Two devices of a process, then two processes in one folder with two devices each."""
    pytest.importorskip("jax")
    options = "1 --crop 32 --augment --batch-size 4 --steps 3 --schedule cosine"
    out = said(run(f"one.h5 {options}", f"two.h5 {options} --distribute"))
    assert "device: jax, cpu:0, cpu:1;" in out
    assert_alike("one", "two")
    # Keras on JAX trains on copies of its variables, which a new rate did not reach.
    rates = [float(line.split()[1]) for line in out.splitlines() if line[:5] == "rate "]
    assert rates == [pytest.approx(Recipe(schedule="cosine").rate(2, 3))] * 2
    names = {path.name for path in Path("models").iterdir()}
    both = {hosts.ADDRESS: f"127.0.0.1:{free_port()}", hosts.COUNT: "2"}
    call = f"hosts.h5 {options} --distribute"
    started = [run(call, **both, **{hosts.NUMBER: str(number)}) for number in range(2)]
    for process in started:
        assert "device: jax, cpu:0, cpu:1, " in said(process)
    assert_alike("one", "hosts")
    written = {path.name for path in Path("models").iterdir()} - names
    assert {"hosts.h5", "hosts_history.csv", "hosts_curve.png"} == {
        name for name in written if name[0] != "."
    }


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


@pytest.mark.parametrize(
    ("address", "count", "number"),
    [("", "2", "0"), ("10.0.0.1:1", "2", "2"), ("10.0.0.1:1", "two", "0"), ("10.0.0.1:1", "2", "")],
)
def test_hosts_that_are_not_told_who_they_are_get_one_line(monkeypatch, address, count, number):
    monkeypatch.setenv(hosts.ADDRESS, address)
    monkeypatch.setenv(hosts.COUNT, count)
    monkeypatch.setenv(hosts.NUMBER, number)
    with pytest.raises(UserError, match=r"KERAS_DISTRIBUTION_PROCESS_ID: .* set the address of"):
        hosts.this_host(True)
    assert hosts.this_host(False) == hosts.Host(0, 1)


def test_hosts_need_crops_for_each(monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for recipe in (Recipe(batch_size=4), Recipe(batch_size=2, crop=32)):
        with pytest.raises(UserError, match="2 hosts train on crops, at least two each, give"):
            devices.distribute(Run(recipe, epochs=1), None, hosts.Host(0, 2))


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "127.0.0.1", "127.0.0.1:port"])
def test_a_first_host_that_does_not_answer_is_named(monkeypatch, address):
    monkeypatch.setattr(hosts, "PATIENCE_S", 0.1)
    with pytest.raises(UserError, match=r"no host answers at 127\.0\.0\.1.* with the number 0"):
        hosts.find_first(address.format(free_port()))


def test_all_hosts_but_the_first_write_what_goes(folder):
    path = Path("models/x.h5")
    path.parent.mkdir()
    (path.parent / "x_resume.h5").write_text("of an interrupted run")
    with (
        hosts.writing(path, hosts.Host(0, 2)) as first,
        hosts.writing(path, hosts.Host(1, 2)) as own,
    ):
        assert first == path and own.name == path.name
        assert own.with_name("x_resume.h5").read_text() == "of an interrupted run"
        own.write_text("")
    assert not own.exists() and not path.exists()
