"""Draw the fibers over their image, coloured by g-ratio: `<id>_overlay.png` of morphometry.py."""

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from myelin.plots import DPI, FONT, WIDTH_INCHES, save

# Cividis, as safe for colour-blind readers, would vanish on grey images.
COLOUR_MAP = "viridis"
# g-ratios outside are drawn in the colour of the nearer end: hardly any fiber lies outside.
G_RANGE = (0.3, 0.9)
TINT = 0.7  # share of the g-ratio's colour on myelin; the rest is the image below
# Larger overlays are drawn smaller: nobody prints them, and the memory goes up with the square.
MAX_OVERLAY_PX = 4000
MIN_INCHES = 0.2  # an image of few rows or columns is stretched: there must be something to see


def draw_overlay(path, fibers, myelin, image=None):
    """Draw the fibers over their image, with colour bar and scale bar.

    Parameters
    ----------
    path : path
    fibers : fibers.Fibers
    myelin : bool array, (rows, cols)
        Drawn instead of the image where that is missing.
    image : uint8 array, (rows, cols), optional
    """
    canvas = paint(fibers, myelin, image)
    rows, cols = canvas.shape[:2]
    # One pixel of the image is one or more of the file, up to the limit.
    zoom = min(max(1, round(1600 / cols)), max(1, MAX_OVERLAY_PX // max(rows, cols)))
    if max(rows, cols) > MAX_OVERLAY_PX:
        zoom = MAX_OVERLAY_PX / max(rows, cols)
        size = (max(1, round(cols * zoom)), max(1, round(rows * zoom)))
        canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    width, height = (max(length * zoom / DPI, MIN_INCHES) for length in (cols, rows))
    # Text in proportion to the width, so that it has 7 points when the image is 8 cm wide.
    unit = max(width, 1) / WIDTH_INCHES
    strip = 0.45 * unit
    base = strip / (height + strip)
    figure = Figure(figsize=(width, height + strip))
    panel = figure.add_axes((0, base, 1, height / (height + strip)))
    panel.imshow(canvas, interpolation="nearest", aspect="auto", extent=(0, cols, rows, 0))
    panel.axis("off")
    draw_scales(figure, base, unit, cols * fibers.pixel_size_um)
    save(figure, path)


def paint(fibers, myelin, image):
    """Return the image with each sheath in the colour of its g-ratio, uint8 (rows, cols, 3)."""
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
    return canvas


def draw_scales(figure, height, unit, width_um):
    """Draw scale bar and colour bar into the lowest part of a figure, `height` of 1.

    `unit` is the size of the figure relative to one of `WIDTH_INCHES`; `width_um` is the width of
    the image.
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
