"""Maps of myelin around a click: the run's probability, the image, the network at other scales."""

import functools
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from myelin.app.propose import GREY_WEIGHT, INVERTED_WEIGHT
from myelin.folders.mask_record import read_run
from myelin.folders.naming import PREDS
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.network.preprocessing import magnify, normalize, resize
from myelin.network.quantization import read_scales
from myelin.runtime.cli import UserError
from myelin.runtime.files import sha256
from myelin.segment.tiles import predict

FACTORS = (1.0, 0.5, 2.0)  # of the run's scale, which the network is tried at
MAX_INPUT_PX = 400**2  # of the network at once, a tenth of a second
opening = threading.Lock()


@functools.lru_cache(maxsize=1)
def engine_of(model: Path) -> tuple:
    """Return the engine of a model and its settings; opened once."""
    weights, settings, _ = read_model_file(model)
    return open_engine(weights, settings, scales=read_scales(model, sha256(model))), settings


def open_model(name: str) -> tuple:
    """Return the engine of a model by its name, and its settings."""
    with opening:
        return engine_of(model_path(name, reading=True))


class Maps:
    """The maps of one image, see `propose.propose`.

    Parameters
    ----------
    name : str
        The image's id.
    image : uint8 array, (rows, cols)
    probability : uint8 array, (rows, cols), or None
        Myelin probability x 255 of the run.
    model : str
        Model file; "" for none.
    """

    def __init__(
        self, name: str, image: np.ndarray, probability: np.ndarray | None, model: str
    ) -> None:
        self.image, self.probability, self.model = image, probability, model
        run = read_run(PREDS) or {}
        record = run.get("images", {}).get(name, {})
        self.threshold = run.get("threshold") or 0.5
        self.scale = record.get("network_scale") or 1.0
        self.dark = record.get("myelin") == "dark"

    def __call__(self, window: tuple[slice, slice]) -> Iterator[tuple[np.ndarray, float, float]]:
        level = 255 * self.threshold
        if self.probability is not None:
            yield self.probability[window], level, 1.0
        for levels, weight in zip(self.greys(window), (GREY_WEIGHT, INVERTED_WEIGHT), strict=True):
            yield levels, 128.0, GREY_WEIGHT if self.probability is None else weight
        if self.model:
            for factor in FACTORS:
                for dark in (self.dark, not self.dark):
                    if self.probability is not None and (factor == 1) == (dark == self.dark):
                        continue  # is there already, or the run found it the other way round
                    found = self.predicted(window, self.scale * factor, dark)
                    if found is not None:
                        yield found, level, 1.0

    def greys(self, window: tuple[slice, slice]) -> Iterator[np.ndarray]:
        """Yield the image itself as a map, myelin as in the run and the other way round."""
        part = cv2.GaussianBlur(self.image[window], (0, 0), 1)
        low, high = np.percentile(part, (1, 99))
        part = np.clip((part - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
        yield 255 - part if self.dark else part
        yield part if self.dark else 255 - part

    def predicted(self, window: tuple[slice, slice], scale: float, dark: bool) -> np.ndarray | None:
        """Return the network's probability x 255 in a window; None where it cannot be computed."""
        part = self.image[window]
        if not 64**2 <= part.size * scale**2 <= MAX_INPUT_PX:
            return None
        try:
            engine, settings = open_model(self.model)
        except UserError:
            self.model = ""
            return None
        if settings.frame == "resize":
            return None
        found = predict(engine, magnify(normalize(part, settings, dark), scale))
        return np.rint(np.clip(resize(found, *part.shape), 0, 1) * 255).astype(np.uint8)
