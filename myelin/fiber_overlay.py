"""Draw the fibers over their image, coloured by g-ratio: `<id>_overlay.png` of morphometry.py."""

import math

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from myelin.fiber_numbers import burn_numbers, legible_zoom, place_numbers
from myelin.files import replacing
from myelin.plots import DPI, FONT, WIDTH_INCHES

# Cividis, as safe for colour-blind readers, would vanish on grey images.
COLOUR_MAP = "viridis"
# g-ratios outside are drawn in the colour of the nearer end: hardly any fiber lies outside.
G_RANGE = (0.3, 0.9)
TINT = 0.7  # share of the g-ratio's colour on myelin; the rest is the image below
# Larger overlays are drawn smaller: nobody prints them, and the memory goes up with the square.
MAX_OVERLAY_PX = 4000
MAX_NUMBERED_PX = 8000  # numbers need more room
MIN_PX = 60  # an image of few rows or columns is stretched: there must be something to see
STRIP_INCHES = 0.45  # height of the strip below an overlay of `WIDTH_INCHES`
STRIPES = (110, 150)  # grey values of what is outside


def draw_overlay(path, fibers, myelin, image=None, numbers=None, outside=None):
    """Draw the fibers over their image, with colour bar and scale bar.

    Parameters
    ----------
    path : path
    fibers : fibers.Fibers
    myelin : bool array, (rows, cols)
        Drawn instead of the image where that is missing.
    image : uint8 array, (rows, cols), optional
    numbers : sequence of int, (n,), optional
        The number to write on each fiber; without it none is written.
    outside : bool array, (rows, cols), optional
        What is no tissue: drawn striped.
    """
    canvas = paint(fibers, myelin, image, outside)
    rows, cols = canvas.shape[:2]
    size = overlay_size(fibers, rows, cols, numbers)
    larger = size[0] > cols or size[1] > rows
    canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_NEAREST if larger else cv2.INTER_AREA)
    if numbers is not None:
        zoom = size[0] / cols, size[1] / rows
        canvas = burn_numbers(canvas, place_numbers(fibers, numbers, zoom, canvas.shape[:2]))
    strip = draw_strip(size[0], cols * fibers.pixel_size_um, outside is not None and outside.any())
    with replacing(path) as temporary:
        # Level 1 takes a third of the default's time for a tenth more bytes.
        picture = Image.fromarray(np.concatenate([canvas, strip]))
        picture.save(temporary, compress_level=1, dpi=(DPI, DPI))


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


def paint(fibers, myelin, image, outside=None):
    """Return the image with each sheath in the colour of its g-ratio, uint8 (rows, cols, 3).

    The parameters are those of `draw_overlay`.
    """
    grey = image if image is not None else np.where(myelin, 200, 40).astype(np.uint8)
    ratios = np.concatenate([[0], np.nan_to_num(fibers.columns["g_ratio"])])
    steps = np.clip((ratios - G_RANGE[0]) / (G_RANGE[1] - G_RANGE[0]), 0, 1)
    colours = (255 * colormaps[COLOUR_MAP](steps)[:, :3]).astype(np.uint8)
    sheath = (fibers.labels > 0) & (fibers.axons == 0)
    canvas = np.repeat(grey[..., None], 3, axis=2)
    tinted = TINT * colours[fibers.labels[sheath]] + (1 - TINT) * canvas[sheath]
    canvas[sheath] = tinted.astype(np.uint8)
    # A dark line between fibers shows where touching sheaths were split.
    labels = fibers.labels
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        border = (labels[one] != labels[other]) & (labels[one] > 0) & (labels[other] > 0)
        canvas[one][border] = 0
    if outside is not None:
        canvas[outside] = stripes(canvas.shape[:2])[outside]
    return canvas


def stripes(shape):
    """Return oblique stripes in two greys, seen on black and on white, uint8 (rows, cols, 3)."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    width = max(4, max(shape) // 100)
    dark = (rows + cols) // width % 2 == 1
    return np.where(dark, *STRIPES).astype(np.uint8)[..., None].repeat(3, axis=2)


def draw_strip(width_px, width_um, striped):
    """Return the strip below an overlay: scale bar, colour bar, and what the stripes are.

    Parameters
    ----------
    width_px : int
    width_um : float
        Width of the image.
    striped : bool
        Whether a part is outside.

    Returns
    -------
    uint8 array, (rows, width_px, 3)
    """
    # Text in proportion to the width, so that it has 7 points when the image is 8 cm wide.
    unit = max(width_px / DPI, 1) / WIDTH_INCHES
    figure = Figure(figsize=(width_px / DPI, round(STRIP_INCHES * unit * DPI) / DPI), dpi=DPI)
    draw_scales(figure, 1, unit, width_um, striped)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def draw_scales(figure, height, unit, width_um, striped=False):
    """Draw scale bar and colour bar into the lowest part of a figure, `height` of 1.

    `unit` is the size of the figure relative to one of `WIDTH_INCHES`; the rest is as in
    `draw_strip`.
    """
    strip = figure.add_axes((0, 0, 1, height))
    strip.axis("off")
    strip.set(xlim=(0, 1), ylim=(0, 1))
    length_um = scale_bar(width_um)
    strip.plot(
        [0.04, 0.04 + length_um / width_um],
        [0.72, 0.72],
        color="black",
        linewidth=2 * unit,
        solid_capstyle="butt",
    )
    text = {"fontsize": FONT["size"] * unit, "va": "center"}
    strip.text(0.04, 0.3, f"{length_um:g} µm", **text)
    strip.text(0.46, 0.72, "g-ratio", ha="right", **text)
    if striped:
        strip.text(0.46, 0.3, "striped: outside", ha="right", **text)
    bar = figure.colorbar(
        ScalarMappable(Normalize(*G_RANGE), COLOUR_MAP),
        cax=figure.add_axes((0.48, height * 0.6, 0.47, height * 0.24)),
        orientation="horizontal",
        ticks=(0.3, 0.5, 0.7, 0.9),
    )
    bar.ax.tick_params(labelsize=FONT["size"] * unit, length=2 * unit, width=0.5 * unit, pad=unit)
    bar.outline.set_linewidth(0.5 * unit)


def scale_bar(width_um):
    """Return the length of a scale bar in µm: 1, 2 or 5 times a power of ten, near a fifth."""
    longest = width_um / 5 * (1 + 1e-9)  # a logarithm may round up to the next power of ten
    power = 10.0 ** np.floor(np.log10(width_um / 5))
    return max(step * power for step in (1, 2, 5) if step * power <= longest)
