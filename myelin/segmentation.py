"""Segment one image: which way round and how large the network sees it, and in which tiles."""

import dataclasses
import itertools

import cv2
import numpy as np

from myelin import preprocessing
from myelin.cli import progress
from unet import STRIDE

# Frames of more pixels are cut into tiles of one size, at most so many pixels wide. A frame of the
# study, 1040 x 1392, goes through in one piece: 0.5 GB of memory in bfloat16, 0.9 GB in float32.
MAX_FRAME_PX = 1_500_000
MAX_TILE = 1216
# What a pixel's result depends on: two 3x3 convolutions and a pooling on each of four levels reach
# 2+1, 4+2, 8+4, 16+8 pixels, the bottom 32, the way up 16+8+4+2: 107, rounded up to whole strides.
HALO = 112
# Pixel sizes nearer to the model's than this factor are left as they are: its training varied more.
SCALE_TOLERANCE = 1.5
# --myelin auto tries both ways round on a window of this size, where the image varies most: at 512,
# one of nine images was taken wrongly by a model of 600 steps that had not seen the animal. An
# enclosed region looks like an axon if it has so many pixels, fills so much of its convex hull, and
# so little of it is myelin again.
POLARITY_WINDOW = 768
MIN_AXON_PX = 15
ROUND_SOLIDITY = 0.85
MAX_FILLED = 0.03


@dataclasses.dataclass
class Segmentation:
    """What `segment` found in one image.

    Attributes
    ----------
    probability : float32 array, (rows, cols)
        Of myelin, 0..1.
    myelin : "bright", "dark" or "as it is"
        How the image was taken; "as it is" for networks that know images of either kind.
    scale : float
        Magnification at which the network saw the image.
    """

    probability: np.ndarray
    myelin: str
    scale: float


def segment(engine, settings, image, myelin="auto", pixel_size_um=None):
    """Segment one image.

    Parameters
    ----------
    engine : engine.OpenVinoEngine or engine.KerasEngine
    settings : preprocessing.Preprocessing
        Of the engine's model.
    image : uint8 array, (rows, cols)
    myelin : "auto", "bright" or "dark"
        "auto" finds out, for networks that know myelin as bright.
    pixel_size_um : float, optional
        µm per pixel.

    Returns
    -------
    Segmentation
    """
    scale = frame_scale(settings, pixel_size_um)
    dark = myelin == "dark"
    if myelin == "auto" and settings.myelin == "bright":
        dark = myelin_is_dark(engine, settings, image, scale)
    found = probability(engine, settings, 255 - image if dark else image, scale)
    return Segmentation(found, "dark" if dark else settings.myelin, scale)


def frame_scale(settings, pixel_size_um):
    """Return the magnification that brings an image to the model's pixel size; 1 if unknown."""
    if settings.frame == "resize" or not settings.pixel_size_um or not pixel_size_um:
        return 1.0
    scale = pixel_size_um / settings.pixel_size_um
    return scale if max(scale, 1 / scale) > SCALE_TOLERANCE else 1.0


# ---------------------------------------------------------------- at the network's scale


def probability(engine, settings, image, scale=1.0):
    """Return the myelin probability of one image.

    Parameters
    ----------
    engine : engine.OpenVinoEngine or engine.KerasEngine
    settings : preprocessing.Preprocessing
    image : uint8 array, (rows, cols)
        Myelin as the network knows it.
    scale : float
        Magnification for the network ("native" frames only).

    Returns
    -------
    float32 array, (rows, cols), 0..1
    """
    rows, cols = image.shape
    if settings.frame == "resize":
        image = preprocessing.resize(image, settings.rows, settings.cols)
        found = engine.predict(preprocessing.normalize(image, settings))
        return np.clip(preprocessing.resize(found, rows, cols), 0, 1)
    frame = preprocessing.normalize(image, settings)
    if scale != 1:
        size = max(round(cols * scale), 1), max(round(rows * scale), 1)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        frame = cv2.resize(frame, size, interpolation=how)
    return np.clip(preprocessing.resize(predict(engine, frame), rows, cols), 0, 1)


def predict(engine, frame):
    """Return the probability map of a normalised frame of any size, in tiles where it is large.

    Each tile sees a halo of its true surroundings, so tiles give what one piece would. Tiles of
    one grey value, such as a scan's empty glass, are computed once for each place at the edge.

    Parameters
    ----------
    engine : engine.OpenVinoEngine or engine.KerasEngine
        Of a model that takes frames of any size.
    frame : float32 array, (rows, cols)

    Returns
    -------
    float32 array, (rows, cols)
    """
    rows, cols = frame.shape
    padding = ((0, -rows % STRIDE), (0, -cols % STRIDE))
    frame = np.pad(frame, padding, mode="symmetric" if min(rows, cols) >= STRIDE else "edge")
    if frame.size <= MAX_FRAME_PX:
        return engine.predict(frame)[:rows, :cols]
    result, blank = np.empty(frame.shape, np.float32), {}
    tiles = list(itertools.product(*map(cut, frame.shape)))
    for down, across in progress(tiles, "huge image", "tile", delay_s=10):
        tile = np.ascontiguousarray(frame[down.start : down.stop, across.start : across.stop])
        key = down.kind, across.kind, tile.flat[0] if (tile == tile.flat[0]).all() else None
        found = blank.get(key)
        if found is None:
            found = engine.predict(tile)
            if key[2] is not None:
                blank[key] = found
        part = np.s_[down.first : down.last, across.first : across.last]
        result[part] = found[
            down.first - down.start : down.last - down.start,
            across.first - across.start : across.last - across.start,
        ]
    return result[:rows, :cols]


@dataclasses.dataclass(frozen=True)
class Span:
    """Where a tile lies along one axis: what it sees, and what of it counts.

    Attributes
    ----------
    start, stop : int
        The tile, halo included.
    first, last : int
        The part whose result is kept.
    kind : (bool, bool)
        Whether it begins and ends with the frame.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def kind(self):
        return self.first == self.start, self.last == self.stop


def cut(length):
    """Cut a length into overlapping tiles of one size, list of `Span`.

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


# ---------------------------------------------------------------- which way round


def myelin_is_dark(engine, settings, image, scale=1.0):
    """Decide whether an image's myelin is dark: which way round does the network see axons?"""
    window = np.ascontiguousarray(busiest_window(image, max(round(POLARITY_WINDOW / scale), 1)))
    bright, dark = (
        axon_likeness(probability(engine, settings, one, scale) >= settings.threshold)
        for one in (window, 255 - window)
    )
    return dark > bright


def busiest_window(image, size):
    """Return the size x size window (or the whole, if smaller) in which grey values vary most."""
    ys, xs = (np.linspace(0, max(length - size, 0), 9, dtype=int) for length in image.shape)
    windows = [np.s_[y : y + size, x : x + size] for y in np.unique(ys) for x in np.unique(xs)]
    return max((image[window] for window in windows), key=np.std)


def axon_likeness(mask):
    """Return the area of round, empty regions that a mask encloses, over the area of the mask.

    Axons make it 0.25 to 0.7 with the bundled model. The wrong way round, sheaths can be enclosed
    and round too, but they hold the axon, which is then taken for myelin: 0.00 to 0.16.

    Parameters
    ----------
    mask : bool array, (rows, cols)
    """
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(contour) for contour in contours]
    enclosed = 0.0
    for index, contour in enumerate(contours):
        child = tree[0][index][2]
        if not outline_is_hole(tree[0], index) or areas[index] < MIN_AXON_PX:
            continue
        filled = 0.0
        while child >= 0:
            filled, child = filled + areas[child], tree[0][child][0]
        hull = cv2.contourArea(cv2.convexHull(contour))
        if areas[index] > ROUND_SOLIDITY * hull and filled < MAX_FILLED * areas[index]:
            enclosed += areas[index]
    return enclosed / max(np.count_nonzero(mask), 1)


def outline_is_hole(tree, index):
    """Whether an outline of `cv2.RETR_TREE` lies at an odd depth: around a hole."""
    depth = 0
    while (index := tree[index][3]) >= 0:
        depth += 1
    return depth % 2 == 1
