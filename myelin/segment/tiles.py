"""Segment one image, in tiles where it is large."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from myelin.network import preprocessing
from myelin.network.engine import KerasEngine, OpenVinoEngine
from myelin.runtime.cli import progress
from myelin.segment.scale_groups import Choice
from unet import STRIDE

Engine = OpenVinoEngine | KerasEngine
# Frames of more pixels are cut into tiles of one size, at most MAX_TILE pixels wide. A frame of the
# study, 1040 x 1392, goes through in one piece: 0.5 GB of memory in bfloat16, 0.9 GB in float32.
MAX_FRAME_PX = 1_500_000
MAX_TILE = 1216
# Reach of a pixel's inputs: two 3x3 convolutions and a pooling on each of four levels reach
# 2+1, 4+2, 8+4, 16+8 pixels, the bottom 32, the way up 16+8+4+2: 107, rounded up to whole strides.
HALO = 112


def segment(
    engine: Engine, settings: preprocessing.Preprocessing, image: np.ndarray, choice: Choice
) -> np.ndarray:
    """Return the probability of myelin in an image, 0 if it shows no fibers.

    Parameters
    ----------
    engine : Engine
    settings : Preprocessing
        Settings of the engine's model.
    image : uint8 array, (rows, cols)
    choice : Choice
        Polarity and magnification.

    Returns
    -------
    float32 array, (rows, cols), 0..1
    """
    if not choice.has_fibers:
        return np.zeros(image.shape, np.float32)
    rows, cols = image.shape
    if settings.frame == "resize":
        image = 255 - image if choice.dark else image
        image = preprocessing.resize(image, settings.rows, settings.cols)
        found = engine.predict(preprocessing.normalize(image, settings))
    else:
        frame = preprocessing.normalize(image, settings, choice.dark)
        found = predict(engine, preprocessing.magnify(frame, choice.scale))
    return np.clip(preprocessing.resize(found, rows, cols), 0, 1)


def predict(engine: Engine, frame: np.ndarray) -> np.ndarray:
    """Return the probability map of a normalised frame of any size, float32 (rows, cols).

    A large frame is cut into tiles. Each sees a halo of its true surroundings, so tiles give what
    one piece would.
    """
    rows, cols = frame.shape
    mode = "symmetric" if min(rows, cols) >= STRIDE else "edge"
    frame = np.pad(frame, padding(frame.shape), mode=mode)
    if frame.size <= MAX_FRAME_PX:
        return engine.predict(frame)[:rows, :cols]
    result = np.empty(frame.shape, np.float32)
    for first, found in predict_bands(engine, lambda first, last: frame[first:last], frame.shape):
        result[first : first + len(found)] = found
    return result[:rows, :cols]


def padding(shape: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the padding to whole strides, as for `np.pad`."""
    return tuple((0, -length % STRIDE) for length in shape)


def predict_bands(
    engine: Engine, rows_of: Callable[[int, int], np.ndarray], shape: tuple[int, int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the probability map of a frame from top to bottom in bands: first row, (n, cols).

    Tiles of one grey value, such as a scan's empty glass, are computed once for each place at the
    edge.

    Parameters
    ----------
    engine : Engine
    rows_of : function
        Returns rows `first` to `last` of the frame, float32 (last - first, cols).
    shape : (int, int)
        Shape of the frame, in whole strides.
    """
    downs, acrosses = map(cut, shape)
    blank, done = {}, 0
    tiles = itertools.product(downs, acrosses)
    for down, across in progress(tiles, "segmenting", "tile", 10, len(downs) * len(acrosses)):
        if across.start == 0:
            rows = rows_of(down.start, down.stop)
            result = np.empty((down.last - down.first, shape[1]), np.float32)
        tile = np.ascontiguousarray(rows[:, across.start : across.stop])
        key = down.kind, across.kind, tile.flat[0] if (tile == tile.flat[0]).all() else None
        found = blank.get(key)
        if found is None:
            found = engine.predict(tile)
            if key[2] is not None:
                blank[key] = found
        result[:, across.first : across.last] = found[
            down.first - down.start : down.last - down.start,
            across.first - across.start : across.last - across.start,
        ]
        if across.last == shape[1]:
            yield done, result[done - down.first :]
            done = down.last


@dataclasses.dataclass(frozen=True)
class Span:
    """Where a tile lies along one axis.

    Attributes
    ----------
    start, stop : int
        The tile, halo included.
    first, last : int
        The part whose result is kept.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def kind(self) -> tuple[bool, bool]:
        """Whether the tile begins and ends with the frame."""
        return self.first == self.start, self.last == self.stop


def cut(length: int) -> list[Span]:
    """Cut a length into overlapping tiles of one size.

    Each starts at a multiple of the stride, as pooling is not the same from other pixels.
    """
    if length <= MAX_TILE:
        return [Span(0, length, 0, length)]
    count = -(-(length - 2 * HALO) // (MAX_TILE - 2 * HALO))
    step = -(-(length - 2 * HALO) // (count * STRIDE)) * STRIDE
    size = step + 2 * HALO
    starts = [min(index * step, length - size) for index in range(count)]
    return [
        Span(
            start,
            start + size,
            start + HALO if start else 0,
            length if start + size == length else start + size - HALO,
        )
        for start in starts
    ]
