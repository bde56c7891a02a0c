"""The engines: OpenVINO and Keras give the same, either may be missing, neither phones home."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from stand_ins import NATIVE, random_network

import unet
from myelin.network import engine
from myelin.runtime.cli import UserError

ROOT = Path(unet.__file__).parent
pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def weights(small_network):
    return random_network().get_weights()


def test_openvino_gives_what_keras_gives(weights):
    frame = np.random.default_rng(0).normal(size=(48, 80)).astype(np.float32)
    expected = engine.KerasEngine(weights, None, None).predict(frame)
    found = engine.OpenVinoEngine(weights, "float32").predict(frame)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_threads_get_their_own_results(weights):
    running = engine.OpenVinoEngine(weights, "float32")
    frames = np.random.default_rng(0).normal(size=(8, 128, 128)).astype(np.float32)
    expected = [running.predict(frame) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(running.predict, frames))
    np.testing.assert_array_equal(found, expected)


def test_threads_are_not_held_on_processors_that_other_processes_use(weights):
    running = engine.OpenVinoEngine(weights, "float32", threads=2)
    assert not running.compiled.get_property("ENABLE_CPU_PINNING")
    assert running.compiled.get_property("INFERENCE_NUM_THREADS") == 2


def install(monkeypatch, *names):
    """Make only these engines look installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in names or None)


def test_auto_takes_openvino_else_keras(weights, monkeypatch):
    assert engine.open_engine(weights, NATIVE).name.startswith("openvino")
    install(monkeypatch, "keras")
    assert engine.open_engine(weights, NATIVE).name == "keras, tensorflow"


@pytest.mark.parametrize(
    ("installed", "choice", "message"),
    [
        ([], "auto", "openvino: .* -r requirements-light.txt"),
        (["openvino"], "keras", "keras: .* -r requirements.txt, .*--engine openvino"),
        (["keras"], "openvino", "openvino: .*--engine keras"),
    ],
)
def test_a_missing_engine_is_one_line(weights, monkeypatch, installed, choice, message):
    install(monkeypatch, *installed)
    with pytest.raises(UserError, match=message):
        engine.open_engine(weights, NATIVE, choice)


def test_missing_keras_says_what_training_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(UserError, match=r"keras: .* -r requirements.txt"):
        engine.start_keras()


@pytest.mark.slow
def test_segmenting_opens_no_socket_and_imports_no_tensorflow(tmp_path):
    """In a process of its own, in which any use of the network is an error."""
    code = (
        "import sys, numpy as np\n"
        "def refuse(event, arguments):\n"
        "    if event.startswith('socket.'): raise SystemExit(f'{event} {arguments}')\n"
        "sys.addaudithook(refuse)\n"
        "import unet; unet.FILTERS, unet.BOTTOM_FILTERS = (4, 8, 8, 8), 16\n"
        "from myelin.network.engine import OpenVinoEngine\n"
        "rng = np.random.default_rng(0)\n"
        "weights = [rng.normal(size=shape).astype('float32') for shape in unet.weight_shapes()]\n"
        "OpenVinoEngine(weights).predict(np.zeros((32, 32), np.float32))\n"
        "assert not {'tensorflow', 'keras', 'openvino_telemetry'} & set(filter(sys.modules.get, "
        "sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
