"""The engine: what runs the network on a frame, OpenVINO or Keras behind one call.

    engine = open_engine(weights, settings)
    probability = engine.predict(frame)

Several threads may share an engine: `WORKERS` of them keep it busy, as one prepares or writes while
the network computes for another.

OpenVINO needs neither TensorFlow nor a conversion: the graph is built from the weights of a model
file and compiled, for frames of any size, in 0.2 s. Nothing is cached, so no cache can be cut,
stale or hostile.
"""

import importlib.util
import os
import platform
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import unet
from myelin.runtime.cli import UserError, silent_stderr

ENGINES = ("auto", "openvino", "keras")
PRECISIONS = ("auto", "float32")
WORKERS = 2
SMALL_PX = 2**17  # frames up to here are too small to share among all processors
INSTALL = {"openvino": "requirements-light.txt", "keras": "requirements.txt"}


def open_engine(
    weights,
    settings,
    choice="auto",
    precision="auto",
    scales=None,
    threads=None,
    small_threads=None,
):
    """Return the engine for a model.

    Parameters
    ----------
    weights : list of float32 arrays
        As from `model_file.read_model_file`.
    settings : preprocessing.Preprocessing
    choice : "auto", "openvino" or "keras"
        "auto" takes OpenVINO where it is installed.
    precision : "auto" or "float32"
        "auto" takes the shortest numbers that the processor and the model have: 8 bits where there
        are `scales`, which is three times as fast as float32, else bfloat16, twice as fast.
    scales : dict of int to float32 array, optional
        As from `quantization.read_scales`.
    threads, small_threads : int, optional
        Of OpenVINO, see `OpenVinoEngine`.

    Raises
    ------
    UserError
        The engine is not installed, or no engine is.
    """
    installed = [name for name in INSTALL if importlib.util.find_spec(name)]
    if choice == "auto":
        choice = (installed or ["openvino"])[0]
    if choice not in installed:
        other = f", or choose --engine {installed[0]}" if installed else ""
        raise UserError(f"{choice}: not installed, run pip install -r {INSTALL[choice]}{other}")
    if choice == "openvino":
        return OpenVinoEngine(weights, precision, scales, threads, small_threads)
    return KerasEngine(weights, settings.rows, settings.cols)


# ---------------------------------------------------------------- OpenVINO


def start_openvino():
    """Import and return openvino, which would otherwise report its use over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # makes that import fail, which it expects
    import openvino

    return openvino


class OpenVinoEngine:
    """The network in OpenVINO, on the processor.

    A large frame has all processors to itself, as several at once would need several times the
    memory; small ones are computed side by side.

    Parameters
    ----------
    weights : list of float32 arrays
    precision : "auto", "float32", "bfloat16" or "int8"
    scales : dict of int to float32 array, optional
        For "int8".
    threads, small_threads : int, optional
        For a large frame, and for small ones where these are not as many; else as many as there
        are processors. To be given where other processes compute too.
    """

    def __init__(self, weights, precision="auto", scales=None, threads=None, small_threads=None):
        core = start_openvino().Core()
        from myelin.network.openvino_graph import build_graph

        halves = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "auto":
            precision = "bfloat16" if halves else "float32"
            if scales is not None and multiplies_8_bit(core):
                precision = "int8"
        self.name = f"openvino, {precision}"
        # Said in either case: left to itself OpenVINO computes in bfloat16 where it can.
        rest = "bf16" if halves and precision != "float32" else "f32"
        hints = {"INFERENCE_PRECISION_HINT": rest}
        graph = build_graph(weights, scales if precision == "int8" else None)

        def compiled(streams, threads):
            own = {"NUM_STREAMS": str(streams)}
            if threads:  # each process would hold its threads on the first processors
                own |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": False}
            return core.compile_model(graph, "CPU", hints | own)

        # Small frames come first, to find the scale; the rest is made ready meanwhile.
        pool = ThreadPoolExecutor(1)
        self.large = pool.submit(compiled, 1, threads)
        pool.shutdown(wait=False)
        alike = threads == 1 and small_threads in (None, 1)
        self.small = self.large.result() if alike else compiled(WORKERS, small_threads or threads)

    def predict(self, frame):
        """Return the myelin probability of a normalised frame, both float32 (rows, cols)."""
        compiled = self.small if frame.size <= SMALL_PX else self.large.result()
        request = compiled.create_infer_request()  # its own, so that threads may share this
        return request.infer([frame[None, None]], share_inputs=True)[0][0, 0]


def multiplies_8_bit(core):
    """Whether the processor multiplies 8-bit numbers fast and without overflow (VNNI, AMX).

    Older ones add products in 16 bits, which are too few, so they are found out by a sum.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    from openvino import Model
    from openvino import opset13 as ops

    from myelin.network.openvino_graph import in_steps

    source = ops.parameter([1, 64, 4, 4], np.float32)
    kernel = in_steps(ops.constant(np.ones((64, 64, 1, 1), np.float32)), -1.0, 1.0, 254)
    steps = in_steps(source, 0.0, 1.0, 255)
    sums = ops.convolution(steps, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    compiled = core.compile_model(Model([sums], [source]), "CPU")
    found = compiled(np.ones((1, 64, 4, 4), np.float32))[0]
    return bool(np.allclose(found, 64, rtol=0.01))


# ---------------------------------------------------------------- Keras


def start_keras():
    """Import and return keras without the reports that TensorFlow's start-up writes to stderr.

    Raises
    ------
    UserError
        It is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with silent_stderr():  # they are written below Python, before any setting is read
            import keras

            keras_devices()  # a backend looks for a GPU, and reports it, when first asked
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name}: not installed, needed to train, run pip install -r requirements.txt"
        ) from None
    return keras


def keras_devices():
    """Return the backend's name and the devices Keras knows there; PyTorch's it does not list."""
    import keras

    try:
        devices = keras.distribution.list_devices()
    except AttributeError:
        devices = []
    return [keras.backend.backend(), *devices]


class KerasEngine:
    """The network in Keras.

    Parameters
    ----------
    weights : list of float32 arrays
    rows, cols : int or None
        Frame size; None takes frames of any size in multiples of `unet.STRIDE`.
    """

    def __init__(self, weights, rows, cols):
        self.name = f"keras, {start_keras().backend.backend()}"
        self.network = unet.get_unet(rows, cols)
        self.network.set_weights(weights)
        self.lock = threading.Lock()  # Keras has state that threads share

    def predict(self, frame):
        """Return the myelin probability of a normalised frame, both float32 (rows, cols)."""
        with self.lock:
            return self.network.predict_on_batch(frame[None, ..., None])[0, ..., 0]
