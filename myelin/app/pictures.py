"""Pictures of an open image for the viewer: tiles of the image and of its fibers, thumbnails."""

import itertools
import threading

import cv2
import numpy as np

from myelin.app.sheet import Sheet
from myelin.images.overlay import overlay
from myelin.report.axes import background

TILE_PX = 512
THUMB_PX = 160
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
    """The pixels of one image, and tiles of them at all levels."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.levels = [background(image)]
        self.lock = threading.Lock()

    def facts(self) -> dict:
        """Return what the viewer needs to show the image alone."""
        rows, cols = self.image.shape
        return {"rows": rows, "cols": cols, "tile": TILE_PX, "levels": levels_of((rows, cols))}

    def tile(self, level: int, x: int, y: int) -> bytes:
        """Return a JPEG of a tile."""
        if not 0 <= level < levels_of(self.image.shape):
            raise ValueError("level")
        with self.lock:
            while len(self.levels) <= level:
                rows, cols = self.levels[-1].shape
                half = max(cols // 2, 1), max(rows // 2, 1)
                smaller = cv2.resize(self.levels[-1], half, interpolation=cv2.INTER_AREA)
                self.levels.append(smaller)
        grey = self.levels[level]
        part = grey[y * TILE_PX : (y + 1) * TILE_PX, x * TILE_PX : (x + 1) * TILE_PX]
        if x < 0 or y < 0 or not part.size:
            raise ValueError("tile")
        return encode(".jpg", part, cv2.IMWRITE_JPEG_QUALITY, 90)


class Pictures:
    """Tiles of the fibers of one sheet; colours are kept until the sheet changes."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.colours: dict[str, np.ndarray] = {}
        self.version = -1

    def overlay_tile(self, level: int, x: int, y: int, mode: str) -> bytes:
        """Return a PNG of a tile of the fibers, coloured by "state", "g" or "class"."""
        if not 0 <= level < levels_of(self.sheet.shape) or min(x, y) < 0:
            raise ValueError("tile")
        sheet, step = self.sheet, 1 << level
        rows, cols = (
            slice(first * TILE_PX * step, min((first + 1) * TILE_PX * step, length), step)
            for first, length in zip((y, x), sheet.shape, strict=True)
        )
        labels, axons = sheet.found.labels[rows, cols], sheet.found.axons[rows, cols]
        if not labels.size:
            raise ValueError("tile")
        pixels = self.colours_of(mode)[labels]
        pixels[axons > 0, 3] = AXON_ALPHA
        loose = (labels == 0) & sheet.bool_layer("mask")[rows, cols]
        pixels[loose] = (*COLOURS["myelin"], SHEATH_ALPHA // 2)
        if sheet.nerve is not None:
            numbers = sheet.nerve[rows, cols].astype(np.uint8)
            pixels[edge_of(numbers)] = (*COLOURS["nerve"], 255)
        return encode(".png", pixels[..., [2, 1, 0, 3]], cv2.IMWRITE_PNG_COMPRESSION, 1)

    def colours_of(self, mode: str) -> np.ndarray:
        """Return the colour of each fiber by its number in the label image, uint8 (n + 1, 4)."""
        sheet = self.sheet
        if self.version != sheet.version:
            self.version, self.colours = sheet.version, {}
        if mode in self.colours:
            return self.colours[mode]
        colours = np.zeros((len(sheet.found) + 1, 4), np.uint8)
        states = states_of(sheet)
        colours[1:, :3] = np.array([COLOURS[one] for one in states]).reshape(-1, 3)
        if mode == "g":
            g = np.nan_to_num(sheet.found.columns["g_ratio"])
            shades = cv2.applyColorMap(
                np.rint(np.clip((g - 0.3) / 0.6, 0, 1) * 255).astype(np.uint8)[:, None],
                cv2.COLORMAP_VIRIDIS,
            )
            colours[1:, :3] = shades[:, 0, ::-1] if len(g) else 0
        elif mode == "class":
            colours[1:, :3], of_class = 160, class_colours(sheet)
            for row, name in sheet.decided["classes"].items():
                colours[row + 1, :3] = of_class[name]
        elif mode != "state":
            raise ValueError("mode")
        colours[1:, 3] = SHEATH_ALPHA
        self.colours[mode] = colours
        return colours


def class_colours(sheet: Sheet) -> dict[str, tuple[int, int, int]]:
    """Return the colour of each class that was given in an image."""
    names = sorted(set(sheet.decided["classes"].values()))
    return dict(zip(names, itertools.cycle(CLASS_COLOURS)))


def states_of(sheet: Sheet) -> list[str]:
    """Return the state of each fiber: counted, border, doubtful or excluded."""
    open_doubts = {row for row, _ in sheet.doubts} - sheet.decided["kept"].keys()
    border = sheet.found.columns["touches_border"]
    return [
        "excluded"
        if row in sheet.decided["exclude"]
        else "doubtful"
        if row in open_doubts
        else "border"
        if border[row]
        else "counted"
        for row in range(len(sheet.found))
    ]


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


def thumbnail(image: np.ndarray) -> bytes:
    """Return a small JPEG of an image."""
    zoom = THUMB_PX / max(image.shape)
    size = tuple(max(round(length * zoom), 1) for length in image.shape[::-1])
    return encode(".jpg", background(cv2.resize(image, size, interpolation=cv2.INTER_AREA)))
