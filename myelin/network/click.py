"""The click model: a small U-Net that outlines the fiber at the centre of a window.

Its input is a window of `SIDE` x `SIDE` pixels, normalised by its own mean and standard deviation,
and a constant map that marks the centre. Its output are three maps, 0 to 1: the axon at the
centre, its fiber (axon and sheath), and the fit. The fit is 1 if the centre lies in an axon whose
fiber is `FIBER_PX` wide, lower for other widths, and 0 if there is no axon.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import cv2
import numpy as np

import unet
from myelin.network.engine import start_keras, start_openvino
from myelin.network.model_file import CLICK_ATTRIBUTE, read_arrays, write_arrays
from myelin.network.view import normalize

CLICK = Path(unet.__file__).resolve().parent / "models" / "click.h5"
SIDE = 64
FIBER_PX = 30
CENTER_PX = 4  # standard deviation of the mark at the centre
MAX_FINER = 4  # pixels of the image per pixel of a window that are averaged along a side
PLAN = unet.layers((8, 16, 32, 64), 96, inputs=2, outputs=3)
SHAPES = {
    f"{place:02}": shape
    for place, shape in enumerate(shape for layer in PLAN for shape in layer.weight_shapes)
}


def cut_window(
    planes: np.ndarray, x: float, y: float, scale: float, turn: np.ndarray | None = None
) -> np.ndarray:
    """Return a window around a place of an image; the image is mirrored at its border.

    Parameters
    ----------
    planes : uint8 array, (rows, cols) or (rows, cols, n)
    x, y : float
        Place at the centre of the window.
    scale : float
        Magnification of the window.
    turn : float array, (2, 2), optional
        Rotation, stretch or mirroring: offsets in the window to offsets in the image.

    Returns
    -------
    float32 array, (SIDE, SIDE) or (SIDE, SIDE, n)
    """
    finer = int(np.clip(np.ceil(0.7 / scale), 1, MAX_FINER))
    turn = (np.eye(2) if turn is None else turn) / (scale * finer)
    middle = (SIDE * finer - 1) / 2
    matrix = np.hstack([turn, (np.array([x, y]) - turn @ [middle, middle])[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (SIDE * finer, SIDE * finer)
    found = cv2.warpAffine(planes, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
    return cv2.resize(found.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def network_input(windows: np.ndarray) -> np.ndarray:
    """Return the input of the network, float32 (n, SIDE, SIDE, 2), for windows (n, SIDE, SIDE)."""
    offset = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    mark = np.exp(-(offset**2 + offset[:, None] ** 2) / (2 * CENTER_PX**2))
    windows = normalize(windows)
    return np.stack([windows, np.broadcast_to(mark, windows.shape)], axis=-1)


def save_click(path: Path, weights: list[np.ndarray], provenance: dict) -> None:
    """Write weights as float16, with their provenance."""
    write_arrays(path, CLICK_ATTRIBUTE, dict(zip(SHAPES, weights, strict=True)), provenance)


def read_click(path: Path) -> list[np.ndarray]:
    """Return the weights in a file, see `model_file.read_arrays`."""
    return read_arrays(path, CLICK_ATTRIBUTE, SHAPES)


class ClickModel:
    """The click model in a file, run by OpenVINO on the CPU, or by Keras.

    Parameters
    ----------
    path : Path
    in_keras : bool
        Run it by Keras even if OpenVINO is installed.
    """

    def __init__(self, path: Path, in_keras: bool = False) -> None:
        weights = read_click(path)
        if in_keras or importlib.util.find_spec("openvino") is None:
            start_keras()
            network = unet.get_unet(SIDE, SIDE, plan=PLAN)
            network.set_weights(weights)
            self.run = network.predict_on_batch
            return
        core = start_openvino().Core()
        from myelin.network.openvino_graph import build_graph

        config = {"INFERENCE_PRECISION_HINT": "f32"}
        self.compiled = core.compile_model(build_graph(weights, plan=PLAN), "CPU", config)
        self.run = self.run_openvino

    def run_openvino(self, inputs: np.ndarray) -> np.ndarray:
        """Return the maps, (n, SIDE, SIDE, 3), of inputs (n, SIDE, SIDE, 2)."""
        request = self.compiled.create_infer_request()  # one per call: threads share the model
        inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        found = [request.infer([one[None]])[0].copy() for one in inputs]
        return np.concatenate(found).transpose(0, 2, 3, 1)

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Return axon, fiber and fit, float32 (n, SIDE, SIDE, 3), of windows (n, SIDE, SIDE)."""
        return self.run(network_input(windows))


@functools.cache  # kept while the process lives, see `view.open_view`
def open_click() -> ClickModel:
    """Return the bundled click model."""
    return ClickModel(CLICK)
