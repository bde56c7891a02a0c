"""Draw the fibers over their image, coloured by g-ratio: `<id>_overlay.png` of morphometry.py."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib import colormaps, get_data_path
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Stroke
from PIL import Image, ImageDraw, ImageFont

from myelin.measure.fibers import Fibers
from myelin.measure.nerve import line_around
from myelin.report.axes import NERVE_RGB, ColourRange, background, choose_colours, round_below
from myelin.report.plots import DPI, FONT, WIDTH_INCHES, save
from myelin.runtime.files import replacing

# Cividis, as safe for colour-blind readers, would hardly be visible on grey images.
COLOUR_MAP = "viridis"
TINT = 0.7  # weight of the g-ratio's colour on myelin; the rest is the image below
MAX_OVERLAY_PX = 4000  # longer side; larger overlays take much memory and are not printed
MAX_NUMBERED_PX = 8000  # the same for overlays with numbers
MIN_PX = 60  # shorter side; images of few rows or columns are stretched
STRIP_INCHES = 0.45  # height of the strip below an overlay of `WIDTH_INCHES`
STRIPES = (110, 150)  # grey values of the stripes outside the counting frame
NUMBER_PX = (14, 26)  # smallest and largest font size; digits are 0.73 of it high
MAX_NUMBER_WIDTH = 0.7  # of the fiber's diameter, if the fiber is large enough
DIGIT_WIDTH = 0.7  # of the font size


@dataclass(frozen=True)
class Legend:
    """Content of the strip below an overlay."""

    width_um: float  # of the image
    colours: ColourRange
    signs: str  # meaning of stripes and a line, if there are any


@dataclass
class Number:
    """Number of a fiber in an overlay: text, centre and font size in pixels."""

    text: str
    x: float
    y: float
    size: int


def draw_overlay(
    path: Path,
    fibers: Fibers,
    myelin: np.ndarray,
    image: np.ndarray | None = None,
    numbers: Sequence[int] | None = None,
    outside: np.ndarray | None = None,
    colours: ColourRange | None = None,
    formats: Sequence[str] = ("png",),
    nerve: np.ndarray | None = None,
) -> None:
    """Draw the fibers over their image, with colour bar and scale bar.

    Parameters
    ----------
    path, formats
        See `plots.save`.
    fibers : fibers.Fibers
    myelin : bool array, (rows, cols)
        Drawn if there is no image.
    image : uint8 array, (rows, cols), optional
    numbers : sequence of int, (n,), optional
        Number to write on each fiber (default: none).
    outside : bool array, (rows, cols), optional
        Pixels outside the counting frame, drawn striped.
    colours : axes.ColourRange, optional
        g-ratios beyond it get the colour of the nearer end (default: range of these fibers).
    nerve : uint8 array, (rows, cols), optional
        Fascicles of a found nerve, to be outlined.
    """
    colours = colours or choose_colours([fibers.columns["g_ratio"]])
    rows, cols = myelin.shape
    size = overlay_size(fibers, rows, cols, numbers)
    shown = myelin if image is None else image
    canvas = paint(fibers, shown, colours, outside, max(rows // size[1], 1))
    placed = []
    if numbers is not None:
        placed = place_numbers(fibers, numbers, size[0] / cols, size[1] / rows)
    signs = ["striped: outside"] if outside is not None and outside.any() else []
    enlarged = size[0] > canvas.shape[1] or size[1] > canvas.shape[0]
    method = cv2.INTER_NEAREST if enlarged else cv2.INTER_AREA
    canvas = cv2.resize(canvas, size, interpolation=method)
    if nerve is not None and nerve.min() != nerve.max():
        canvas[line_around(cv2.resize(nerve, size, interpolation=cv2.INTER_NEAREST))] = NERVE_RGB
        signs.append("line: nerve")
    legend = Legend(cols * fibers.pixel_size_um, colours, "\n".join(signs))
    # Matplotlib draws only the strip: for the whole overlay it would take ten times as long.
    strip = draw_strip(size[0], legend)
    with replacing(path.with_suffix(".png")) as temporary:
        # Level 1 takes a third of the default's time and a tenth more bytes.
        picture = Image.fromarray(np.concatenate([burn_numbers(canvas, placed), strip]))
        picture.save(temporary, compress_level=1, dpi=(DPI, DPI))
    vector_formats = [ending for ending in formats if ending != "png"]
    if vector_formats:
        save(draw_figure(canvas, placed, legend), path, vector_formats)


def overlay_size(
    fibers: Fibers, rows: int, cols: int, numbers: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return width and height of the overlay of an image, in pixels, without the strip below."""
    limit = MAX_OVERLAY_PX
    wanted = round(1600 / cols)
    if numbers is not None:
        limit = MAX_NUMBERED_PX
        wanted = max(wanted, math.ceil(legible_zoom(fibers, numbers)))
    longer = max(rows, cols)
    # Up to the limit, a pixel of the image is a whole number of pixels of the overlay.
    zoom = max(1, min(wanted, limit // longer)) if longer <= limit else limit / longer
    return max(round(cols * zoom), MIN_PX), max(round(rows * zoom), MIN_PX)


def paint(
    fibers: Fibers,
    shown: np.ndarray,
    colours: ColourRange,
    outside: np.ndarray | None,
    every: int = 1,
) -> np.ndarray:
    """Return an image or mask with sheaths coloured by g-ratio, uint8 (rows, cols, 3).

    `every` pixel of the labels is drawn, and of the image the mean of as many.
    """
    step = slice(None, None, every)
    labels, axons = fibers.labels[step, step], fibers.axons[step, step]
    grey = cv2.resize(background(shown), labels.shape[::-1], interpolation=cv2.INTER_AREA)
    ratios = np.nan_to_num(fibers.columns["g_ratio"])
    steps = np.clip((ratios - colours.low) / (colours.high - colours.low), 0, 1)
    tints = np.zeros((len(ratios) + 1, 3), np.float32)
    tints[1:] = 255 * TINT * colormaps[COLOUR_MAP](steps)[:, :3]
    sheath = np.flatnonzero((labels > 0) & (axons == 0))
    canvas = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    untinted = np.float32(1 - TINT) * grey.ravel()[sheath, None]
    canvas.reshape(-1, 3)[sheath] = tints[labels.ravel()[sheath]] + untinted
    # A dark line between fibers shows where touching sheaths were split.
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        border = (one != other) & (one > 0) & (other > 0)
        canvas[: border.shape[0], : border.shape[1]][border] = 0
    if outside is not None:
        outside = outside[step, step]
        canvas[outside] = stripes(outside.shape)[outside]
    return canvas


def stripes(shape: tuple[int, int]) -> np.ndarray:
    """Return oblique stripes in two greys, uint8 (rows, cols, 3)."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    dark = (rows + cols) // max(4, max(shape) // 100) % 2 == 1
    return np.where(dark, *STRIPES).astype(np.uint8)[..., None].repeat(3, axis=2)


# ---------------------------------------------------------------- numbers


def legible_zoom(fibers: Fibers, numbers: Sequence[int]) -> float:
    """Return the zoom at which at least half of the fibers have room for a legible number."""
    if not len(fibers):
        return 1.0
    diameter_px = np.median(fibers.columns["fiber_diameter_um"]) / fibers.pixel_size_um
    widest = DIGIT_WIDTH * NUMBER_PX[0] * len(str(max(numbers)))
    return widest / (MAX_NUMBER_WIDTH * diameter_px)


def place_numbers(
    fibers: Fibers, numbers: Sequence[int], zoom_x: float, zoom_y: float
) -> list[Number]:
    """Return the number of each fiber that is not excluded, at the centroid of its axon."""
    columns = fibers.columns
    rows, cols = np.multiply(fibers.labels.shape, (zoom_y, zoom_x))
    diameters = columns["fiber_diameter_um"] / fibers.pixel_size_um * min(zoom_x, zoom_y)
    placed = []
    for index in np.flatnonzero(fibers.kept):
        text = str(numbers[index])
        size = MAX_NUMBER_WIDTH * diameters[index] / (DIGIT_WIDTH * len(text))
        size = int(np.clip(size, *NUMBER_PX))
        # Fibers at the border have their number within the overlay.
        width = min(DIGIT_WIDTH * size * len(text) / 2 + 2, cols / 2)
        height = min(size / 2, rows / 2)
        x = np.clip((columns["x_px"][index] + 0.5) * zoom_x, width, cols - width)
        y = np.clip((columns["y_px"][index] + 0.5) * zoom_y, height, rows - height)
        placed.append(Number(text, float(x), float(y), size))
    return placed


@functools.cache
def bold_font(size: int) -> ImageFont.FreeTypeFont:
    """Return the bold font that comes with matplotlib, which is the same on every system."""
    return ImageFont.truetype(Path(get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf", size)


def burn_numbers(canvas: np.ndarray, placed: list[Number]) -> np.ndarray:
    """Return an overlay, uint8 (rows, cols, 3), with white numbers that have a black outline."""
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    outline = {"fill": "white", "stroke_width": 2, "stroke_fill": "black"}
    for number in placed:
        place = (number.x, number.y)
        draw.text(place, number.text, font=bold_font(number.size), anchor="mm", **outline)
    return np.asarray(picture)


def write_numbers(panel: Axes, placed: list[Number]) -> None:
    """Write the numbers into a panel in pixels, as text that can be edited."""
    point = 72 / DPI
    outline = [Stroke(linewidth=4 * point, foreground="black")]
    for number in placed:
        place = (number.x, number.y, number.text)
        text = {"fontsize": number.size * point, "fontweight": "bold", "ha": "center"}
        # A text with an outline is stored as a shape, so the outline is a text of its own.
        panel.text(*place, va="center_baseline", path_effects=outline, **text)
        panel.text(*place, va="center_baseline", color="white", **text)


# ---------------------------------------------------------------- strip and figure


@functools.lru_cache(1)  # most images of a run have the same strip
def draw_strip(width_px: int, legend: Legend) -> np.ndarray:
    """Return the strip below an overlay, uint8 (rows, width_px, 3)."""
    figure = Figure(figsize=(width_px / DPI, strip_px(width_px) / DPI), dpi=DPI)
    draw_legend(figure, 1, legend)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def text_scale(width_px: float) -> float:
    """Return the factor of all text, which has 7 points if the image is 8 cm wide."""
    return max(width_px / DPI, 1) / WIDTH_INCHES


def strip_px(width_px: int) -> int:
    """Return the height of the strip below an overlay."""
    return round(STRIP_INCHES * text_scale(width_px) * DPI)


def draw_figure(canvas: np.ndarray, placed: list[Number], legend: Legend) -> Figure:
    """Return the overlay as a figure with editable text; `canvas` has no numbers."""
    rows, cols = canvas.shape[:2]
    strip = strip_px(cols)
    base = strip / (rows + strip)
    figure = Figure(figsize=(cols / DPI, (rows + strip) / DPI))
    panel = figure.add_axes((0, base, 1, 1 - base))
    panel.imshow(canvas, interpolation="none", aspect="auto", extent=(0, cols, rows, 0))
    panel.axis("off")
    write_numbers(panel, placed)
    draw_legend(figure, base, legend)
    return figure


def draw_legend(figure: Figure, height: float, legend: Legend) -> None:
    """Draw scale bar, colour bar and the meaning of stripes into the lowest part of a figure.

    `height` is the height of that part, as a fraction of the figure.
    """
    unit = text_scale(figure.get_figwidth() * DPI)
    strip = figure.add_axes((0, 0, 1, height))
    strip.axis("off")
    strip.set(xlim=(0, 1), ylim=(0, 1))
    length_um = round_below(legend.width_um / 5)  # of the scale bar
    strip.plot(
        [0.04, 0.04 + length_um / legend.width_um],
        [0.72, 0.72],
        color="black",
        linewidth=2 * unit,
        solid_capstyle="butt",
    )
    text = {"fontsize": FONT["size"] * unit, "va": "center"}
    strip.text(0.04, 0.3, f"{length_um:g} µm", **text)
    strip.text(0.46, 0.72, "g-ratio", ha="right", **text)
    strip.text(0.41, 0.3, legend.signs, ha="right", **text)
    bar = figure.colorbar(
        ScalarMappable(Normalize(legend.colours.low, legend.colours.high), COLOUR_MAP),
        cax=figure.add_axes((0.48, height * 0.6, 0.45, height * 0.24)),
        orientation="horizontal",
    )
    ticks = np.linspace(legend.colours.low, legend.colours.high, 3)
    names = [f"{tick:.3g}" for tick in ticks]
    if legend.colours.below:
        names[0] = f"≤ {names[0]}"
    if legend.colours.above:
        names[-1] = f"≥ {names[-1]}"
    bar.set_ticks(ticks, labels=names)
    bar.ax.tick_params(labelsize=FONT["size"] * unit, length=2 * unit, width=0.5 * unit, pad=unit)
    bar.outline.set_linewidth(0.5 * unit)
