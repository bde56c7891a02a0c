"""Draw the images of `morphometry.py` and `evaluate.py`: overlays, histograms, comparisons.

All are PNG files of 300 dpi whose text is at least 6 points high when they are printed 8 cm wide.
Colours are viridis for values (cividis would vanish on grey images) and the Okabe-Ito set for
groups: both keep apart for readers with any common kind of colour blindness.
"""

import warnings

import cv2
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from myelin.files import replacing

DPI = 300
WIDTH_INCHES = 8 / 2.54  # the width of a column in a journal
FONT = {"size": 7}
# Okabe and Ito, Color Universal Design, 2008; without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# g-ratios outside are drawn in the colour of the nearer end: hardly any fiber lies outside.
G_RANGE = (0.3, 0.9)
TINT = 0.7  # share of the g-ratio's colour on myelin; the rest is the image below
# Larger overlays are drawn smaller: nobody prints them, and the memory goes up with the square.
MAX_OVERLAY_PX = 4000
MIN_INCHES = 0.2  # a image of few rows or columns is stretched: there must be something to see
MIN_REGRESSION = 3


def save(figure, path):
    """Write a figure as PNG, atomically."""
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # letters the font lacks are drawn as boxes
        figure.savefig(temporary, dpi=DPI, format="png")


def new_figure(height_inches, panels):
    """Return a figure one column wide with panels one above the other."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    for panel in axes:
        panel.tick_params(labelsize=FONT["size"], width=0.6, length=2.5)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plain(text):
    """Return a name as matplotlib shall show it: a pair of $ would start a formula."""
    return text.replace("$", r"\$")


def label(panel, x, y, title=None):
    """Write the names of the axes, and a title, in the one size used."""
    panel.set_xlabel(x, fontsize=FONT["size"])
    panel.set_ylabel(y, fontsize=FONT["size"])
    if title:
        panel.set_title(title, fontsize=FONT["size"], loc="left")


def say_empty(panel, why="no whole fiber"):
    """Say in an empty panel why it is empty."""
    panel.text(0.5, 0.5, why, ha="center", transform=panel.transAxes, fontsize=FONT["size"])


def scale_bar(width_um):
    """Return the length of a scale bar in µm: 1, 2 or 5 times a power of ten, near a fifth."""
    longest = width_um / 5 * (1 + 1e-9)  # a logarithm may round up to the next power of ten
    power = 10.0 ** np.floor(np.log10(width_um / 5))
    return max(step * power for step in (1, 2, 5) if step * power <= longest)


def paint(fibers, myelin, image):
    """Return the image with each sheath in the colour of its g-ratio, uint8 (rows, cols, 3)."""
    from matplotlib import colormaps

    grey = image if image is not None else np.where(myelin, 200, 40).astype(np.uint8)
    ratios = np.concatenate([[0], np.nan_to_num(fibers.columns["g_ratio"])])
    steps = np.clip((ratios - G_RANGE[0]) / (G_RANGE[1] - G_RANGE[0]), 0, 1)
    colours = (255 * colormaps["viridis"](steps)[:, :3]).astype(np.uint8)
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


def draw_overlay(path, fibers, myelin, image=None):
    """Draw the fibers over their image, coloured by g-ratio, with colour bar and scale bar.

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
    bar = 0.45 * unit
    figure = Figure(figsize=(width, height + bar))
    panel = figure.add_axes((0, bar / (height + bar), 1, height / (height + bar)))
    panel.imshow(canvas, interpolation="nearest", aspect="auto", extent=(0, cols, rows, 0))
    panel.axis("off")

    length_um = scale_bar(cols * fibers.pixel_size_um)
    share = length_um / fibers.pixel_size_um / cols
    base = bar / (height + bar)
    strip = figure.add_axes((0, 0, 1, base))
    strip.axis("off")
    strip.set(xlim=(0, 1), ylim=(0, 1))
    strip.plot(
        [0.04, 0.04 + share], [0.72, 0.72], color="black", linewidth=2 * unit, solid_capstyle="butt"
    )
    text = {"fontsize": FONT["size"] * unit, "va": "center"}
    strip.text(0.04, 0.3, f"{length_um:g} µm", **text)
    strip.text(0.46, 0.72, "g-ratio", ha="right", **text)
    scale = figure.add_axes((0.48, base * 0.6, 0.47, base * 0.24))
    colours = figure.colorbar(
        ScalarMappable(Normalize(*G_RANGE), "viridis"),
        cax=scale,
        orientation="horizontal",
        ticks=(0.3, 0.5, 0.7, 0.9),
    )
    colours.ax.tick_params(
        labelsize=FONT["size"] * unit, length=2 * unit, width=0.5 * unit, pad=unit
    )
    colours.outline.set_linewidth(0.5 * unit)
    save(figure, path)


def draw_sizes(path, columns, title):
    """Draw g-ratio against axon diameter, and histograms of diameter and thickness.

    Parameters
    ----------
    path : path
    columns : dict of str to array, (n,)
        Whole fibers' `axon_diameter_um`, `myelin_thickness_um`, `g_ratio`.
    title : str
    """
    figure, (scatter, diameters, thicknesses) = new_figure(6.3, 3)
    diameter, ratio = columns["axon_diameter_um"], columns["g_ratio"]
    count = len(diameter)
    label(scatter, "axon diameter (µm)", "g-ratio", f"{plain(title)}, {count} whole fibers")
    if count:
        size = float(np.clip(4000 / count, 0.8, 8))
        scatter.scatter(
            diameter, ratio, s=size, color=COLOURS[0], alpha=0.5, linewidths=0, rasterized=True
        )
        scatter.set_ylim(0, 1)
        scatter.set_xlim(0, None)
    else:
        say_empty(scatter)
    if count >= MIN_REGRESSION and np.ptp(diameter) > 0:
        slope, intercept = np.polyfit(diameter, ratio, 1)
        spread = np.std(ratio)
        fit = np.corrcoef(diameter, ratio)[0, 1] ** 2 if spread > 0 else 0.0
        ends = np.array([diameter.min(), diameter.max()])
        scatter.plot(ends, intercept + slope * ends, color=COLOURS[1], linewidth=1.2)
        scatter.text(
            0.98,
            0.04,
            f"g = {intercept:.3f} {'−' if slope < 0 else '+'} {abs(slope):.4f} d,  r² = {fit:.2f}",
            ha="right",
            transform=scatter.transAxes,
            fontsize=FONT["size"],
        )
    for panel, name, x in (
        (diameters, "axon_diameter_um", "axon diameter (µm)"),
        (thicknesses, "myelin_thickness_um", "myelin thickness (µm)"),
    ):
        values = columns[name]
        label(panel, x, "fibers")
        if not count:
            say_empty(panel)
            continue
        panel.hist(values, bins=int(np.clip(np.sqrt(count), 5, 40)), color=COLOURS[0])
        panel.axvline(np.median(values), color=COLOURS[1], linewidth=1.2)
        panel.text(
            0.98,
            0.92,
            f"median {np.median(values):.2f} µm",
            ha="right",
            va="top",
            transform=panel.transAxes,
            fontsize=FONT["size"],
        )
        panel.set_xlim(0, None)
        panel.set_ylim(0, 1.2 * panel.get_ylim()[1])  # room for the text
    save(figure, path)


def draw_groups(path, per_animal, per_group, bins):
    """Compare groups: animals as dots, means of animals as bars, g-ratio by axon diameter.

    Parameters
    ----------
    path : path
    per_animal, per_group, bins : lists of dict
        The tables of `groups.compare_groups`.
    """
    names = [row["group"] for row in per_group]
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    figure, axes = new_figure(8.4, 5)
    shown = (
        ("fiber_density_per_mm2", "fibers per mm²"),
        ("axon_diameter_um_mean", "axon diameter (µm)"),
        ("myelin_thickness_um_mean", "myelin thickness (µm)"),
        ("g_ratio_mean", "g-ratio"),
    )
    for panel, (column, y) in zip(axes[:4], shown, strict=True):
        for place, name in enumerate(names):
            values = [row[column] for row in per_animal if row["group"] == name]
            values = [value for value in values if value is not None]
            jitter = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
            panel.scatter(place + jitter[: len(values)], values, s=10, color=colours[name])
            mean = per_group[place][column.removesuffix("_mean") + "_mean"]
            if mean is not None:
                panel.hlines(mean, place - 0.25, place + 0.25, color="black", lw=1)
        panel.set_xticks(range(len(names)), map(plain, names))
        panel.set_xlim(-0.6, len(names) - 0.4)
        panel.margins(y=0.25)
        label(panel, "", y)
    axes[0].set_title("dots: animals, lines: their mean", fontsize=FONT["size"], loc="left")

    panel, named = axes[-1], set()
    edges = sorted({(row["axon_diameter_um_from"], row["axon_diameter_um_to"]) for row in bins})
    for offset, name in zip(
        np.linspace(-0.15, 0.15, len(names)) if len(names) > 1 else [0], names, strict=True
    ):
        for place, (low, _) in enumerate(edges):
            values = [
                row["g_ratio_mean"]
                for row in bins
                if row["group"] == name and row["axon_diameter_um_from"] == low
            ]
            values = [value for value in values if value is not None]
            if values:
                panel.errorbar(
                    place + offset,
                    np.mean(values),
                    np.std(values, ddof=1) if values[1:] else 0,
                    fmt="o",
                    markersize=3,
                    color=colours[name],
                    elinewidth=0.8,
                    capsize=1.5,
                    label=None if name in named else plain(name),
                )
                named.add(name)
    panel.set_xticks(range(len(edges)), [f"{low:g}–{high:g}" for low, high in edges])
    label(panel, "axon diameter (µm), mean ± SD of animals", "g-ratio")
    if named:
        panel.legend(fontsize=FONT["size"], frameon=False)
    else:
        say_empty(panel)
    save(figure, path)


def draw_bland_altman(path, panels):
    """Draw difference against mean of two ways to measure (Bland and Altman, Lancet 1986).

    Parameters
    ----------
    path : path
    panels : list of (title, unit, reference, predicted, limits)
        One panel each; values are arrays (n,), limits are those of `agreement.agreement`.
    """
    figure, axes = new_figure(2 * len(panels), len(panels))
    for panel, (title, unit, reference, predicted, limits) in zip(axes, panels, strict=True):
        unit = f" ({unit})" if unit else ""
        label(panel, f"mean of both{unit}", f"predicted − reference{unit}", title)
        if len(reference) == 0:
            say_empty(panel, "nothing to compare")
            continue
        difference = predicted - reference
        size = float(np.clip(4000 / len(difference), 0.8, 10))
        panel.scatter(
            (predicted + reference) / 2,
            difference,
            s=size,
            color=COLOURS[0],
            alpha=0.5,
            linewidths=0,
            rasterized=True,
        )
        bias, *ends = limits
        panel.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        panel.axhline(bias, color=COLOURS[1], linewidth=1.2)
        if None not in ends:
            for end in ends:
                panel.axhline(end, color=COLOURS[1], linewidth=0.8, linestyle="--")
            text = f"bias {bias:.3g}, 95 % limits {ends[0]:.3g} to {ends[1]:.3g}"
            panel.set_title(f"{title}\n{text}", fontsize=FONT["size"], loc="left")
    save(figure, path)
