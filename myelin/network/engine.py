"""The engine runs the network on one network input: OpenVINO or Keras behind one call.

    engine = open_engine(weights, settings)
    probability = engine.predict(frame)

Several threads may share an engine: `MAX_CONCURRENT_CALLS` of them keep it busy, since one prepares
or writes while the network computes for another. OpenVINO needs neither TensorFlow nor a
conversion: its graph is built from the weights of a model file and compiled, for inputs of any
size, in 0.2 s.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

import unet
from myelin.network.preprocessing import Preprocessing
from myelin.runtime.cli import UserError, silent_stderr

if TYPE_CHECKING:
    import openvino

ENGINES = ("auto", "openvino", "keras")
PRECISIONS = ("auto", "float32")
MAX_CONCURRENT_CALLS = 2
REQUIREMENTS = {"openvino": "requirements-light.txt", "keras": "requirements.txt"}


def open_engine(
    weights: list[np.ndarray],
    settings: Preprocessing,
    choice: str = "auto",
    precision: str = "auto",
    scales: dict[int, np.ndarray] | None = None,
    threads: int | None = None,
) -> OpenVinoEngine | KerasEngine:
    """Return the engine for a model; raise if the chosen one of `ENGINES` is not installed.

    "auto" is OpenVINO if it is installed. The other parameters are those of `OpenVinoEngine`.
    """
    installed = [name for name in REQUIREMENTS if importlib.util.find_spec(name)]
    if choice == "auto":
        choice = installed[0] if installed else "openvino"
    if choice not in installed:
        other = f", or choose --engine {installed[0]}" if installed else ""
        raise UserError(
            f"{choice}: not installed, run pip install -r {REQUIREMENTS[choice]}{other}"
        )
    if choice == "openvino":
        return OpenVinoEngine(weights, precision, scales, threads)
    return KerasEngine(weights, settings.rows, settings.cols)


# ---------------------------------------------------------------- OpenVINO


def start_openvino() -> ModuleType:
    """Import and return openvino without its telemetry, which would use the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # this import then fails, as it may
    import openvino

    return openvino


class OpenVinoEngine:
    """The network in OpenVINO, on the processor.

    Each input uses all processors, since several at once would need several times the memory.

    Parameters
    ----------
    weights : list of float32 arrays
        As from `model_file.read_model_file`.
    precision : "auto", "float32", "bfloat16" or "int8"
        "auto" is the fastest that processor and model allow: int8 (needs `scales`; three times as
        fast as float32), else bfloat16 (twice as fast), else float32.
    scales : dict of int to float32 array, optional
        As from `quantization.read_scales`.
    threads : int, optional
        By default one for each processor. Needed if other processes compute too.
    """

    def __init__(
        self,
        weights: list[np.ndarray],
        precision: str = "auto",
        scales: dict[int, np.ndarray] | None = None,
        threads: int | None = None,
    ) -> None:
        core = start_openvino().Core()
        from myelin.network.openvino_graph import build_graph

        has_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "auto":
            precision = "bfloat16" if has_bfloat16 else "float32"
            if scales is not None and multiplies_int8(core):
                precision = "int8"
        self.name = f"openvino, {precision}"
        # By default OpenVINO uses bfloat16 if the processor has it, so the hint is always given.
        # For int8 it concerns the first and last convolution.
        hint = "bf16" if has_bfloat16 and precision != "float32" else "f32"
        config = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": "1"}
        if threads:  # with pinning, each process would use the same first processors
            config |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": False}
        graph = build_graph(weights, scales if precision == "int8" else None)
        self.compiled = core.compile_model(graph, "CPU", config)

    def predict(self, frame: np.ndarray) -> np.ndarray:
        """Return the myelin probability of a normalised input, both float32 (rows, cols)."""
        request = self.compiled.create_infer_request()  # one for each call: threads share this
        return request.infer([frame[None, None]], share_inputs=True)[0][0, 0]


def multiplies_int8(core: openvino.Core) -> bool:
    """Return whether the processor multiplies int8 fast and without overflow (VNNI, AMX).

    Older CPUs accumulate in int16 and saturate; a test convolution with a known result detects
    them.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    from openvino import Model
    from openvino import opset13 as ops

    from myelin.network.openvino_graph import quantized

    source = ops.parameter([1, 64, 4, 4], np.float32)
    kernel = quantized(ops.constant(np.ones((64, 64, 1, 1), np.float32)), -1.0, 1.0, 254)
    steps = quantized(source, 0.0, 1.0, 255)
    sums = ops.convolution(steps, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    compiled = core.compile_model(Model([sums], [source]), "CPU")
    result = compiled(np.ones((1, 64, 4, 4), np.float32))[0]
    return bool(np.allclose(result, 64, rtol=0.01))


# ---------------------------------------------------------------- Keras


def start_keras() -> ModuleType:
    """Import and return keras, without TensorFlow's start-up messages on stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with silent_stderr():  # C++ writes them before any setting is read
            import keras

            keras_devices()  # the backend reports GPUs when it is first asked for devices
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name}: not installed, needed to train, run pip install -r requirements.txt"
        ) from None
    return keras


def keras_devices() -> list[str]:
    """Return the backend's name and its devices, which Keras does not list for PyTorch."""
    import keras

    try:
        devices = keras.distribution.list_devices()
    except AttributeError:
        devices = []
    return [keras.backend.backend(), *devices]


class KerasEngine:
    """The network in Keras, for inputs of rows x cols, or of any size if these are None."""

    def __init__(self, weights: list[np.ndarray], rows: int | None, cols: int | None) -> None:
        self.name = f"keras, {start_keras().backend.backend()}"
        self.network = unet.get_unet(rows, cols)
        self.network.set_weights(weights)
        self.lock = threading.Lock()  # Keras has state that threads share

    def predict(self, frame: np.ndarray) -> np.ndarray:
        """Return the myelin probability of a normalised input, both float32 (rows, cols)."""
        with self.lock:
            return self.network.predict_on_batch(frame[None, ..., None])[0, ..., 0]
