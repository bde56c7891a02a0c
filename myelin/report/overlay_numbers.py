"""Where the numbers of fibers go in an overlay, and drawing them there."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

# Height of the letters' line in pixels of the overlay. The digits are 0.73 of it: 10 to 19 pixels,
# read without enlarging.
SIZES_PX = (14, 26)
NUMBER_SHARE = 0.7  # widest number, of the diameter of its fiber, where the fiber is large enough
LETTER_WIDTH = 0.7  # of a digit of the font, of its size
LETTER_HEIGHT = 0.73
# Where a number goes when its place is taken: steps of its own width and height from the middle.
STEPS = sorted(
    ((x / 2, y) for x in range(-6, 7) for y in range(-6, 7)), key=lambda step: np.hypot(*step)
)


@dataclass
class Number:
    """A number in an overlay: its text, its middle and size in pixels, its fiber's middle."""

    text: str
    x: float
    y: float
    size: int
    fiber_x: float
    fiber_y: float

    @property
    def moved(self):
        return (self.x, self.y) != (self.fiber_x, self.fiber_y)


def legible_zoom(fibers, numbers):
    """Return how many pixels of the overlay one of the image needs for legible numbers.

    At least half of the fibers are then wide enough for theirs.
    """
    if not len(fibers):
        return 1.0
    diameter_px = np.median(fibers.columns["fiber_diameter_um"]) / fibers.pixel_size_um
    widest = LETTER_WIDTH * SIZES_PX[0] * len(str(max(numbers)))
    return widest / (NUMBER_SHARE * diameter_px)


def place_numbers(fibers, numbers, zoom, shape):
    """Find a place for the number of each fiber that no other number hides.

    Parameters
    ----------
    fibers : fibers.Fibers
    numbers : sequence of int
        One of each fiber.
    zoom : pair of float
        Pixels of the overlay per pixel of the image, along x and along y.
    shape : pair of int
        Rows and columns of the overlay.

    Returns
    -------
    list of Number
        Without those for which there was no room.
    """
    middles = (middle_points(fibers) + 0.5) * zoom
    diameters = fibers.columns["fiber_diameter_um"] / fibers.pixel_size_um * min(zoom)
    taken = np.zeros(shape, bool)
    placed = []
    # The largest first: they have their number inside, and those of small ones give way.
    for index in np.argsort(-diameters, kind="stable"):
        if not fibers.kept[index]:
            continue
        text = str(numbers[index])
        fitting = NUMBER_SHARE * diameters[index] / (LETTER_WIDTH * len(text))
        size = int(np.clip(fitting, *SIZES_PX))
        # With room for the outlines.
        width, height = LETTER_WIDTH * size * len(text) + 3, LETTER_HEIGHT * size + 3
        fiber_x, fiber_y = middles[index]
        for step_x, step_y in STEPS:
            x, y = fiber_x + step_x * width, fiber_y + step_y * height
            x0, x1 = round(x - width / 2), round(x + width / 2)
            y0, y1 = round(y - height / 2), round(y + height / 2)
            if x0 < 0 or y0 < 0 or x1 > shape[1] or y1 > shape[0] or taken[y0:y1, x0:x1].any():
                continue
            taken[y0:y1, x0:x1] = True
            placed.append(Number(text, x, y, size, fiber_x, fiber_y))
            break
    return placed


def middle_points(fibers):
    """Return x and y of a point on each fiber, pixels, (n, 2): the middle of its axon mostly."""
    points = np.stack([fibers.columns["x_px"], fibers.columns["y_px"]], axis=1)
    rows, cols = fibers.labels.shape
    nearest = np.clip(np.rint(points).astype(int), 0, (cols - 1, rows - 1)).reshape(-1, 2)
    fiber = np.arange(1, len(points) + 1)
    # The middle of a bent axon may lie on a neighbour.
    elsewhere = fibers.labels.at(nearest[:, 1], nearest[:, 0]) != fiber
    for index in np.flatnonzero(elsewhere & fibers.kept):
        y, x = fibers.axons.pixels(index + 1)
        if len(x):
            best = np.argmin(np.hypot(x - points[index, 0], y - points[index, 1]))
            points[index] = x[best], y[best]
    return points


@cache
def font(size):
    """Return the bold font that comes with matplotlib: the same on every system."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(Path(get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf", size)


def burn_numbers(canvas, placed):
    """Return an overlay, uint8 (rows, cols, 3), with its numbers: white with a black outline.

    The outline keeps them legible on any ground. A number beside its fiber has a line to it.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for number in placed:
        if number.moved:
            line = (number.fiber_x, number.fiber_y, number.x, number.y)
            draw.line(line, fill="black", width=3)
            draw.line(line, fill="white", width=1)
    for number in placed:
        draw.text(
            (number.x, number.y),
            number.text,
            fill="white",
            font=font(number.size),
            anchor="mm",
            stroke_width=2,
            stroke_fill="black",
        )
    return np.asarray(picture)


def write_numbers(panel, placed, dpi):
    """Write the numbers into a panel of matplotlib in pixels, as text that can be edited."""
    from matplotlib.patheffects import Stroke

    for number in placed:
        if number.moved:
            for colour, width in (("black", 3), ("white", 1)):
                panel.plot(
                    (number.fiber_x, number.x),
                    (number.fiber_y, number.y),
                    color=colour,
                    linewidth=width * 72 / dpi,
                )
    for number in placed:
        text = {"fontsize": number.size * 72 / dpi, "fontweight": "bold", "ha": "center"}
        # The outline is a shape of its own: with it, the text itself would become one.
        outline = panel.text(number.x, number.y, number.text, va="center_baseline", **text)
        outline.set_path_effects([Stroke(linewidth=4 * 72 / dpi, foreground="black")])
        panel.text(number.x, number.y, number.text, va="center_baseline", color="white", **text)
