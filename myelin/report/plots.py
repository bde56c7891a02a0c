"""Draw the plots of `morphometry.py` and `evaluate.py`: histograms and comparisons.

PNG files have 300 dpi, and text of at least 6 points if printed 8 cm wide. PDF and SVG keep text as
text. The colours of Okabe and Ito can be told apart with any common colour blindness.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from myelin.measure.agreement import Comparison
from myelin.report.axes import Bins
from myelin.runtime.cli import count_of
from myelin.runtime.files import replacing
from myelin.statistics.regression import line

DPI = 300
WIDTH_INCHES = 8 / 2.54  # the width of a column in a journal
FONT = {"size": 7}
# Okabe and Ito, Color Universal Design, 2008; without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MAX_VECTOR_DOTS = 5000  # more are drawn as pixels in PDF and SVG too
# Text as text; no dates or random names, so that equal runs write equal files.
VECTOR_TEXT = {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "myelin"}
SAVING = {
    "png": {"pil_kwargs": {"compress_level": 1}},  # a third of the default's time
    "pdf": {"metadata": {"CreationDate": None}},
    "svg": {"metadata": {"Date": None}},
}


def save(figure: Figure, path: Path, formats: Sequence[str] = ("png",)) -> None:
    """Write a figure in each of some formats ("png", "pdf", "svg"), which replace the extension."""
    for ending in formats:
        with (
            replacing(path.with_suffix(f".{ending}")) as temporary,
            warnings.catch_warnings(),
            matplotlib.rc_context(VECTOR_TEXT),
        ):
            warnings.filterwarnings("ignore", "Glyph")  # the font lacks some letters
            figure.savefig(temporary, dpi=DPI, format=ending, **SAVING[ending])


def new_figure(
    rows: int,
    height: float,
    columns: int = 1,
    width: float = WIDTH_INCHES,
    above: float = 0.2,
    hspace: float = 0.35,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its panels, row by row; sizes are in inches.

    The layout is fixed: finding the best one takes matplotlib as long as drawing. `above` is the
    room for titles and legends, and `hspace` that between rows, relative to the height of a panel.
    """
    figure = Figure(figsize=(width, height))
    inner = {"left": 0.58 / width, "right": 1 - 0.12 / width, "wspace": 0.22}
    figure.subplots_adjust(bottom=0.38 / height, top=1 - above / height, hspace=hspace, **inner)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.tick_params(labelsize=FONT["size"], width=0.6, length=2.5)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def shortened(name: str, letters: int) -> str:
    """Return a name for matplotlib, with an ellipsis in its middle if it has too many letters."""
    half = letters // 2
    name = name if len(name) <= letters else f"{name[:half]}…{name[1 - half :]}"
    return name.replace("$", r"\$")  # which begins a formula


def label(panel: Axes, x: str, y: str, title: str | None = None) -> None:
    """Write the names of the axes, and a title."""
    panel.set_xlabel(x, fontsize=FONT["size"])
    panel.set_ylabel(y, fontsize=FONT["size"])
    if title:
        panel.set_title(title, fontsize=FONT["size"], loc="left")


def write_empty(panel: Axes, why: str = "no whole fiber") -> None:
    """Write into an empty panel why it is empty."""
    panel.text(0.5, 0.5, why, ha="center", transform=panel.transAxes, fontsize=FONT["size"])


class SizesPlot:
    """g-ratio against axon diameter, and histograms of diameter and thickness.

    All images of a run share one figure, and so its axes.

    Parameters
    ----------
    diameters, thicknesses : axes.Bins
    """

    columns = ("axon_diameter_um", "myelin_thickness_um")

    def __init__(self, diameters: Bins, thicknesses: Bins) -> None:
        self.bins = (diameters, thicknesses)
        self.figure, (self.scatter, *self.histograms) = new_figure(3, 6.3)
        label(self.scatter, "axon diameter (µm)", "g-ratio", " ")
        self.scatter.set(xlim=(0, diameters.end), ylim=(0, 1))
        names = ("axon diameter (µm)", "myelin thickness (µm)")
        for panel, bins, name in zip(self.histograms, self.bins, names, strict=True):
            label(panel, name, "fibers")
            panel.set(xlim=(0, bins.end), ylim=(0, 1.25 * bins.tallest))  # room for the text
            panel.yaxis.set_major_locator(
                MaxNLocator("auto", steps=(1, 2, 5, 10), integer=True, min_n_ticks=1)
            )
        for panel in (self.scatter, *self.histograms):
            panel.xaxis.set_major_locator(MaxNLocator("auto", steps=(1, 2, 5, 10)))

    def draw(
        self,
        path: Path,
        columns: dict[str, np.ndarray],
        title: str,
        formats: Sequence[str] = ("png",),
    ) -> None:
        """Draw the fibers of one or several images.

        Parameters
        ----------
        path, formats
            See `save`.
        columns : dict of str to array, (n,)
            `axon_diameter_um`, `myelin_thickness_um` and `g_ratio` of whole fibers.
        title : str
        """
        diameter = columns["axon_diameter_um"]
        ratio = columns["g_ratio"]
        count = count_of(len(diameter), "whole fiber")
        self.scatter.set_title(
            f"{shortened(title, 36)}, {count}", fontsize=FONT["size"], loc="left"
        )
        before = [set(panel.get_children()) for panel in self.figure.axes]
        if len(diameter):
            dots(self.scatter, diameter, ratio, largest=8)
            write_beyond(self.scatter, diameter, self.bins[0].end, 0.98)
        else:
            write_empty(self.scatter)
        draw_regression(self.scatter, diameter, ratio)
        for panel, bins, name in zip(self.histograms, self.bins, self.columns, strict=True):
            draw_histogram(panel, columns[name], bins)
        save(self.figure, path, formats)
        for panel, kept in zip(self.figure.axes, before, strict=True):
            for artist in set(panel.get_children()) - kept:
                artist.remove()


def dots(
    panel: Axes,
    x: np.ndarray,
    y: np.ndarray,
    largest: float,
    colour: str = COLOURS[0],
    total: int | None = None,
) -> None:
    """Draw a dot for each fiber or image, smaller if there are many in the panel, `total`."""
    total = len(x) if total is None else total
    size = float(np.clip(4000 / max(total, 1), 0.8, largest))
    raster = total > MAX_VECTOR_DOTS
    panel.scatter(x, y, s=size, color=colour, alpha=0.5, linewidths=0, rasterized=raster)


def write(panel: Axes, x: float, y: float, text: str) -> None:
    """Write a text whose upper right corner is at x and y, as fractions of the panel."""
    panel.text(x, y, text, ha="right", va="top", transform=panel.transAxes, fontsize=FONT["size"])


def write_beyond(panel: Axes, values: np.ndarray, end: float, y: float) -> None:
    """Write at height y how many values lie beyond the end of the axis."""
    beyond = np.count_nonzero(values > end)
    if beyond:
        write(panel, 0.98, y, f"{beyond} beyond {end:g} µm")


def draw_regression(panel: Axes, diameter: np.ndarray, ratio: np.ndarray) -> None:
    """Draw the regression line of g-ratio on diameter, if there is one, with its equation."""
    fit = line(diameter, ratio)
    slope, intercept, r = fit["slope"], fit["intercept"], fit["r"] or 0.0
    if slope is None:
        return
    ends = np.array([diameter.min(), diameter.max()])
    panel.plot(ends, intercept + slope * ends, color=COLOURS[1], linewidth=1.2)
    sign = "−" if slope < 0 else "+"
    text = f"g = {intercept:.3f} {sign} {abs(slope):.4f} d,  r² = {r**2:.2f}"
    write(panel, 0.98, 0.12, text)


def draw_histogram(panel: Axes, values: np.ndarray, bins: Bins) -> None:
    """Draw a histogram with its median."""
    if not len(values):
        write_empty(panel)
        return
    panel.stairs(np.histogram(values, bins.edges)[0], bins.edges, fill=True, color=COLOURS[0])
    panel.axvline(np.median(values), color=COLOURS[1], linewidth=1.2)
    write(panel, 0.98, 0.98, f"median {np.median(values):.2f} µm")
    write_beyond(panel, values, bins.end, 0.84)


def short(value: float) -> str:
    """Return a number with three digits, or all those before the point, and a real minus sign."""
    value = round(value, 9) + 0.0  # the difference of two equal means may be a rounding error
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def draw_bland_altman(
    path: Path, comparisons: list[Comparison], formats: Sequence[str] = ("png",)
) -> None:
    """Draw difference against mean of two measurements, a panel for each comparison.

    Bland and Altman, Lancet 1986.
    """
    figure, axes = new_figure(len(comparisons), 2 * len(comparisons), above=0.32, hspace=0.6)
    for panel, shown in zip(axes, comparisons, strict=True):
        unit = f" ({shown.unit})" if shown.unit else ""
        label(panel, f"mean of both{unit}", f"predicted − reference{unit}", shown.title)
        if len(shown.reference) == 0:
            write_empty(panel, "nothing to compare")
            continue
        panel.xaxis.set_major_locator(MaxNLocator(5))
        mean = (shown.predicted + shown.reference) / 2
        dots(panel, mean, shown.predicted - shown.reference, largest=10)
        panel.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        panel.axhline(shown.bias, color=COLOURS[1], linewidth=1.2)
        if shown.lower is not None:
            for end in (shown.lower, shown.upper):
                panel.axhline(end, color=COLOURS[1], linewidth=0.8, linestyle="--")
            bias, lower, upper = map(short, (shown.bias, shown.lower, shown.upper))
            text = f"bias {bias}, 95 % limits {lower} to {upper}"
            panel.set_title(f"{shown.title}\n{text}", fontsize=FONT["size"], loc="left")
    save(figure, path, formats)
