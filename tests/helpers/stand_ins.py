"""Stand-ins for a trained network, and images for them."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np

import find_myelin
import unet
from myelin.network import engine, preprocessing
from myelin.segment import image_job, pipeline

NATIVE = preprocessing.Preprocessing(
    frame="native", rows=None, cols=None, myelin="bright", normalize="image"
)


RING_PX = 36  # diameter of the fibers of `rings`
RINGS = dataclasses.replace(NATIVE, fiber_px=float(RING_PX))


class BrightIsMyelin:
    """Stands in for an engine: pixels brighter than the image's mean are myelin."""

    name = "stand-in"

    def __init__(self):
        self.seen = []

    def predict(self, frame):
        self.seen.append(frame)
        return 1 / (1 + np.exp(-10 * frame))


def stand_in_for_the_engine(monkeypatch, settings):
    """Let `find_myelin.py` segment with a `BrightIsMyelin`, whatever the model; return it."""
    standing_in = BrightIsMyelin()
    monkeypatch.setattr(pipeline, "read_model_file", lambda _: ([], settings, None))
    monkeypatch.setattr(pipeline, "sha256", lambda _: "of the stand-in")
    monkeypatch.setattr(find_myelin, "model_path", lambda *_, **__: Path("stand_in.h5"))
    monkeypatch.setattr(image_job, "engines", {})
    monkeypatch.setattr(image_job, "open_engine", lambda *_, **__: standing_in)
    return standing_in


def rings(rows=200, cols=240, myelin=220, axon=30, between=90):
    """Draw a grid of fibers with a margin of grey tissue between them."""
    image = np.full((rows, cols), between, np.uint8)
    for y in range(30, rows - 20, 45):
        for x in range(30, cols - 20, 45):
            cv2.circle(image, (x, y), 18, myelin, -1)
            cv2.circle(image, (x, y), 11, axon, -1)
    return image


def enlarged(image, factor):
    """Return an image (rows, cols) enlarged or shrunk by a factor."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)


def random_network(rows=None, cols=None, seed=0):
    """Return a U-Net whose random weights give outputs that differ from pixel to pixel."""
    keras = engine.start_keras()
    keras.utils.set_random_seed(seed)
    network = unet.get_unet(rows, cols)
    rng = np.random.default_rng(seed)
    shapes = [weight.shape for weight in network.get_weights()]
    network.set_weights([rng.normal(0, np.sqrt(2 / max(np.prod(s[:-1]), 1)), s) for s in shapes])
    return network
