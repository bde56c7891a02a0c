"""Draw the fibers over their image, coloured by g-ratio: `<id>_overlay.png` of morphometry.py."""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from myelin.pixels.regions import row_bands
from myelin.report.axes import ColourRange, choose_colours, ground, round_below
from myelin.report.overlay_numbers import burn_numbers, legible_zoom, place_numbers, write_numbers
from myelin.report.plots import DPI, FONT, WIDTH_INCHES, save
from myelin.runtime.files import replacing

# Cividis, as safe for colour-blind readers, would vanish on grey images.
COLOUR_MAP = "viridis"
TINT = 0.7  # share of the g-ratio's colour on myelin; the rest is the image below
# Larger overlays are drawn smaller: nobody prints them, and the memory goes up with the square.
MAX_OVERLAY_PX = 4000
MAX_NUMBERED_PX = 8000  # numbers need more room
MIN_PX = 60  # an image of few rows or columns is stretched: there must be something to see
STRIP_INCHES = 0.45  # height of the strip below an overlay of `WIDTH_INCHES`
STRIPES = (110, 150)  # grey values of what is outside


@dataclass(frozen=True)
class Legend:
    """What the strip below an overlay says.

    Attributes
    ----------
    width_um : float
        Width of the image.
    colours : axes.ColourRange
    striped : bool
        Whether a part of the image is outside.
    """

    width_um: float
    colours: ColourRange
    striped: bool


def draw_overlay(
    path, fibers, myelin, image=None, numbers=None, outside=None, colours=None, formats=("png",)
):
    """Draw the fibers over their image, with colour bar and scale bar.

    Parameters
    ----------
    path, formats
        As for `plots.save`.
    fibers : fibers.Fibers
    myelin : bool array, (rows, cols)
        Drawn instead of the image where that is missing.
    image : uint8 array, (rows, cols), optional
    numbers : sequence of int, (n,), optional
        The number to write on each fiber; without it none is written.
    outside : bool array, (rows, cols), optional
        What is no tissue: drawn striped.
    colours : axes.ColourRange, optional
        g-ratios beyond it get the colour of the nearer end (default: that of these fibers).

    Returns
    -------
    int
        How many fibers should have a number and found no room for it.
    """
    colours = colours or choose_colours([fibers.columns["g_ratio"]])
    rows, cols = myelin.shape
    size = overlay_size(fibers, rows, cols, numbers)
    canvas = paint_whole(fibers, myelin, colours, image, outside, max(rows // size[1], 1))
    placed = []
    if numbers is not None:
        zoom = size[0] / cols, size[1] / rows
        placed = place_numbers(fibers, numbers, zoom, size[::-1])
    striped = outside is not None and bool(outside.any())
    legend = Legend(cols * fibers.pixel_size_um, colours, striped)
    larger = size[0] > canvas.shape[1] or size[1] > canvas.shape[0]
    canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_NEAREST if larger else cv2.INTER_AREA)
    # Matplotlib draws the strip alone: on the whole it would spend ten times as long.
    strip = draw_strip(size[0], legend)
    with replacing(path.with_suffix(".png")) as temporary:
        # Level 1 takes a third of the default's time for a tenth more bytes.
        picture = Image.fromarray(np.concatenate([burn_numbers(canvas, placed), strip]))
        picture.save(temporary, compress_level=1, dpi=(DPI, DPI))
    vector = [ending for ending in formats if ending != "png"]
    if vector:
        save(draw_figure(canvas, placed, legend), path, vector)
    return 0 if numbers is None else int(np.count_nonzero(fibers.kept)) - len(placed)


def overlay_size(fibers, rows, cols, numbers=None):
    """Return width and height of the overlay of an image, pixels, without the strip below."""
    limit, wanted = MAX_OVERLAY_PX, round(1600 / cols)
    if numbers is not None:
        limit = MAX_NUMBERED_PX
        wanted = max(wanted, math.ceil(legible_zoom(fibers, numbers)))
    longer = max(rows, cols)
    # One pixel of the image is one or more of the file, up to the limit.
    zoom = max(1, min(wanted, limit // longer)) if longer <= limit else limit / longer
    return tuple(max(round(length * zoom), MIN_PX) for length in (cols, rows))


def paint_whole(fibers, myelin, colours, image=None, outside=None, shrink=1):
    """Return what `paint` does of all rows, in bands that are made `shrink` times smaller each."""
    rows, cols = myelin.shape
    step = rows
    if shrink > 1:
        step = shrink * max(next(row_bands(myelin.shape)).stop // shrink, 1)
    parts = []
    for row in range(0, rows, step):
        part = paint(fibers, myelin, colours, image, outside, slice(row, min(row + step, rows)))
        if shrink > 1:
            size = tuple(max(round(length / shrink), 1) for length in (cols, len(part)))
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        parts.append(part)
    return np.concatenate(parts)


def paint(fibers, myelin, colours, image=None, outside=None, rows=slice(None)):
    """Return the image with each sheath in the colour of its g-ratio, uint8 (rows, cols, 3).

    The parameters are those of `draw_overlay`; `rows` is a slice.
    """
    shape, (first, last, _) = myelin.shape, rows.indices(len(myelin))
    myelin, image, outside = (
        part if part is None else part[rows] for part in (myelin, image, outside)
    )
    grey = ground(image, myelin)
    ratios = np.nan_to_num(fibers.columns["g_ratio"])
    steps = np.clip((ratios - colours.low) / (colours.high - colours.low), 0, 1)
    tints = np.zeros((len(ratios) + 1, 3), np.float32)
    tints[1:] = 255 * TINT * colormaps[COLOUR_MAP](steps)[:, :3]
    below = fibers.labels[first : last + 1]  # and the next row
    labels = below[: last - first]
    sheath = np.flatnonzero((labels > 0) & (fibers.axons[rows] == 0))
    canvas = cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2RGB)
    ground_share = np.float32(1 - TINT) * grey.ravel()[sheath, None]
    canvas.reshape(-1, 3)[sheath] = tints[labels.ravel()[sheath]] + ground_share
    # A dark line between fibers shows where touching sheaths were split.
    for one, other in ((labels[:, :-1], labels[:, 1:]), (below[:-1], below[1:])):
        border = (one != other) & (one > 0) & (other > 0)
        canvas[: border.shape[0], : border.shape[1]][border] = 0
    if outside is not None:
        canvas[outside] = stripes(shape, rows)[outside]
    return canvas


def stripes(shape, rows=slice(None)):
    """Return rows, a slice, of oblique stripes in two greys, seen on black and on white.

    uint8 (rows, cols, 3).
    """
    first, last, _ = rows.indices(shape[0])
    rows, cols = np.ogrid[first:last, : shape[1]]
    width = max(4, max(shape) // 100)
    dark = (rows + cols) // width % 2 == 1
    return np.where(dark, *STRIPES).astype(np.uint8)[..., None].repeat(3, axis=2)


@functools.lru_cache(1)  # the images of a run often share it
def draw_strip(width_px, legend):
    """Return the strip below an overlay, uint8 (rows, width_px, 3)."""
    figure = Figure(figsize=(width_px / DPI, strip_px(width_px) / DPI), dpi=DPI)
    draw_legend(figure, 1, legend)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def text_scale(width_px):
    """Return the factor of all text, which has 7 points when the image is 8 cm wide."""
    return max(width_px / DPI, 1) / WIDTH_INCHES


def strip_px(width_px):
    """Return the height of the strip below an overlay."""
    return round(STRIP_INCHES * text_scale(width_px) * DPI)


def draw_figure(canvas, placed, legend):
    """Return the same as a figure whose text is text.

    Parameters
    ----------
    canvas : uint8 array, (rows, cols, 3)
        Of the final size, without numbers.
    placed : list of fiber_numbers.Number
    legend : Legend
    """
    rows, cols = canvas.shape[:2]
    strip = strip_px(cols)
    base = strip / (rows + strip)
    figure = Figure(figsize=(cols / DPI, (rows + strip) / DPI))
    panel = figure.add_axes((0, base, 1, 1 - base))
    panel.imshow(canvas, interpolation="none", aspect="auto", extent=(0, cols, rows, 0))
    panel.axis("off")
    write_numbers(panel, placed, DPI)
    draw_legend(figure, base, legend)
    return figure


def draw_legend(figure, height, legend):
    """Draw scale bar, colour bar and what the stripes are into the lowest part, `height` of 1."""
    unit = text_scale(figure.get_figwidth() * DPI)
    strip = figure.add_axes((0, 0, 1, height))
    strip.axis("off")
    strip.set(xlim=(0, 1), ylim=(0, 1))
    length_um = scale_bar(legend.width_um)
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
    if legend.striped:
        strip.text(0.41, 0.3, "striped: outside", ha="right", **text)
    bar = figure.colorbar(
        ScalarMappable(Normalize(legend.colours.low, legend.colours.high), COLOUR_MAP),
        cax=figure.add_axes((0.48, height * 0.6, 0.45, height * 0.24)),
        orientation="horizontal",
    )
    ticks = np.linspace(legend.colours.low, legend.colours.high, 3)
    names = [f"{tick:.3g}" for tick in ticks]
    names[0] = "≤ " * legend.colours.below + names[0]
    names[-1] = "≥ " * legend.colours.above + names[-1]
    bar.set_ticks(ticks, labels=names)
    bar.ax.tick_params(labelsize=FONT["size"] * unit, length=2 * unit, width=0.5 * unit, pad=unit)
    bar.outline.set_linewidth(0.5 * unit)


def scale_bar(width_um):
    """Return the length of a scale bar in µm: 1, 2 or 5 times a power of ten, near a fifth."""
    return round_below(width_um / 5)
