"""Pictures of an open image for the viewer: tiles of the image and of its fibers, thumbnails."""

import hashlib
import itertools
import math
import threading

import cv2
import numpy as np

from myelin.app.sheet import Sheet
from myelin.app.study import STATE, Study
from myelin.images.overlay import overlay
from myelin.report.axes import background
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing

TILE_PX = 512
THUMB_PX = 160
OVERVIEW_PX = 2048
PART_PX = 190  # half the side of the part that is shown at several thresholds
# Red, green, blue of sheaths; from the palette of Okabe and Ito, which colour-blind people can tell
# apart.
COLOURS = {
    "counted": (0, 158, 115),
    "border": (86, 180, 233),
    "doubtful": (240, 228, 66),
    "excluded": (213, 94, 0),
    "myelin": (204, 121, 167),
    "nerve": (0, 114, 178),
}
CLASS_COLOURS = [(230, 159, 0), (0, 114, 178), (204, 121, 167), (213, 94, 0), (0, 158, 115)]
SHEATH_ALPHA, AXON_ALPHA = 110, 45


def levels_of(shape: tuple[int, int]) -> int:
    """Return the number of zoom levels: each has half the size, the last fits into a tile."""
    levels = 1
    while max(shape) > TILE_PX << (levels - 1):
        levels += 1
    return levels


class Greys:
    """The pixels of one image, and tiles of them at all levels.

    The first level of at most `OVERVIEW_PX` is kept in a file, so that it is shown before the image
    is read.
    """

    def __init__(self, study: Study, name: str) -> None:
        self.study, self.name, path = study, name, study.path(name)
        record, mistake = study.record(path)
        if record is None:
            raise UserError(mistake)
        self.shape = tuple(record.shape)
        self.levels: dict[int, np.ndarray] = {}
        self.locks = threading.RLock(), threading.RLock()  # of fine and coarse levels
        self.coarse = max(math.ceil(math.log2(max(self.shape) / OVERVIEW_PX)), 0)
        status = path.stat()
        key = repr((str(path), status.st_mtime_ns, status.st_size, study.reader(path).takes))
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        self.overview = STATE / "overviews" / f"{digest}.png"

    @property
    def image(self) -> np.ndarray:
        """The pixels, uint8 (rows, cols)."""
        return self.at_level(0)

    def facts(self) -> dict:
        """Return what the viewer needs to show the image alone."""
        rows, cols = self.shape
        return {"rows": rows, "cols": cols, "tile": TILE_PX, "levels": levels_of((rows, cols))}

    def at_level(self, level: int) -> np.ndarray:
        """Return the image at a level, each of which has half the size of the one before."""
        with self.locks[level >= self.coarse > 0]:
            if level not in self.levels:
                self.levels[level] = self.make_level(level)
            return self.levels[level]

    def make_level(self, level: int) -> np.ndarray:
        """Read the image or its overview, or reduce the level before."""
        if level == 0:
            return background(self.study.read(self.name))
        if level == self.coarse and self.overview.exists():
            return cv2.imread(str(self.overview), cv2.IMREAD_UNCHANGED)
        larger = self.at_level(level - 1)
        half = tuple(max(length // 2, 1) for length in larger.shape[::-1])
        smaller = cv2.resize(larger, half, interpolation=cv2.INTER_AREA)
        if level == self.coarse:
            with replacing(self.overview) as temporary:
                temporary.write_bytes(encode(".png", smaller, cv2.IMWRITE_PNG_COMPRESSION, 1))
        return smaller

    def tile(self, level: int, x: int, y: int) -> bytes:
        """Return a JPEG of a tile."""
        if not 0 <= level < levels_of(self.shape) or min(x, y) < 0:
            raise ValueError("level")
        rows, cols = (slice(first * TILE_PX, (first + 1) * TILE_PX) for first in (y, x))
        part = self.at_level(level)[rows, cols]
        if not part.size:
            raise ValueError("tile")
        return encode(".jpg", part, cv2.IMWRITE_JPEG_QUALITY, 90)

    def thumbnail(self) -> bytes:
        """Return a small JPEG of the image."""
        image = self.at_level(self.coarse)
        zoom = THUMB_PX / max(image.shape)
        size = tuple(max(round(length * zoom), 1) for length in image.shape[::-1])
        return encode(".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def overlay_tile(sheet: Sheet, level: int, x: int, y: int, mode: str) -> bytes:
    """Return a PNG of a tile of the fibers, coloured by "state", "g" or "class"."""
    if not 0 <= level < levels_of(sheet.shape) or min(x, y) < 0:
        raise ValueError("tile")
    step = 1 << level
    rows, cols = (
        slice(first * TILE_PX * step, min((first + 1) * TILE_PX * step, length), step)
        for first, length in zip((y, x), sheet.shape, strict=True)
    )
    labels, axons = sheet.found.labels[rows, cols], sheet.found.axons[rows, cols]
    if not labels.size:
        raise ValueError("tile")
    pixels = colours_of(sheet, mode)[labels]
    pixels[axons > 0, 3] = AXON_ALPHA
    if sheet.layers["mask"] is not None:
        loose = (labels == 0) & sheet.layers["mask"][rows, cols].view(bool)
        pixels[loose] = (*COLOURS["myelin"], SHEATH_ALPHA // 2)
    if sheet.nerve is not None:
        numbers = sheet.nerve[rows, cols].astype(np.uint8)
        pixels[edge_of(numbers)] = (*COLOURS["nerve"], 255)
    return encode(".png", pixels[..., [2, 1, 0, 3]], cv2.IMWRITE_PNG_COMPRESSION, 1)


def colours_of(sheet: Sheet, mode: str) -> np.ndarray:
    """Return the colour of each fiber by its number in the label image, uint8 (n + 1, 4)."""
    version, kept = sheet.colours
    if version != sheet.version:
        kept = {}
        sheet.colours = sheet.version, kept
    if mode in kept:
        return kept[mode]
    colours = np.zeros((len(sheet.found) + 1, 4), np.uint8)
    colours[1:, 3] = SHEATH_ALPHA
    if mode == "state":
        colours[1:, :3] = np.array([COLOURS[one] for one in states_of(sheet)]).reshape(-1, 3)
    elif mode == "g" and len(sheet.found):
        g = np.nan_to_num(sheet.found.columns["g_ratio"])
        shades = np.rint(np.clip((g - 0.3) / 0.6, 0, 1) * 255).astype(np.uint8)[:, None]
        colours[1:, :3] = cv2.applyColorMap(shades, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    elif mode == "class":
        colours[1:, :3], of_class = 160, class_colours(sheet)
        for row, name in sheet.decided["classes"].items():
            colours[row + 1, :3] = of_class[name]
    elif mode != "g":
        raise ValueError("mode")
    kept[mode] = colours
    return colours


def class_colours(sheet: Sheet) -> dict[str, tuple[int, int, int]]:
    """Return the colour of each class that was given in an image."""
    names = sorted(set(sheet.decided["classes"].values()))
    return dict(zip(names, itertools.cycle(CLASS_COLOURS)))


def states_of(sheet: Sheet) -> np.ndarray:
    """Return the state of each fiber, a key of `COLOURS`, object (n,)."""
    states = np.where(sheet.found.columns["touches_border"], "border", "counted").astype(object)
    states[[row for row, _ in sheet.doubts if row not in sheet.decided["kept"]]] = "doubtful"
    states[[*sheet.decided["exclude"]]] = "excluded"
    return states


def edge_of(numbers: np.ndarray) -> np.ndarray:
    """Return the pixels inside the outline of regions, two pixels wide, bool (rows, cols)."""
    return numbers != cv2.erode(numbers, np.ones((5, 5), np.uint8))


def encode(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    """Return the bytes of an image file."""
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


def threshold_picture(image: np.ndarray, probability: np.ndarray, threshold: float) -> bytes:
    """Return a PNG of the middle of an image with its myelin at a threshold."""
    middle = tuple(
        slice(max(length // 2 - PART_PX, 0), length // 2 + PART_PX) for length in image.shape
    )
    mask = probability[middle] >= 255 * threshold
    return encode(".png", overlay(image[middle], mask)[..., ::-1])
