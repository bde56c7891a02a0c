"""Draw the plots of `morphometry.py` and `evaluate.py`: histograms and comparisons.

PNG files have 300 dpi, and text of at least 6 points if printed 8 cm wide. PDF and SVG keep text as
text. The colours of Okabe and Ito can be told apart with any common colour blindness.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
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
from myelin.statistics.groups import GroupTables
from myelin.statistics.regression import line

DPI = 300
WIDTH_INCHES = 8 / 2.54  # the width of a column in a journal
FONT = {"size": 7}
NAME_SIZE = 6  # of the names of animals, points
MAX_NAME = 16  # letters
# Okabe and Ito, Color Universal Design, 2008; without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MAX_VECTOR_DOTS = 20_000  # more are drawn as pixels in PDF and SVG too
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
    height_inches: float, panels: int, layout: str | None = "constrained"
) -> tuple[Figure, np.ndarray]:
    """Return a figure one column wide, and its panels from top to bottom."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout=layout)
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    for panel in axes:
        style(panel)
    return figure, axes


def style(panel: Axes) -> None:
    """Give a panel small ticks, and lines at the left and below alone."""
    panel.tick_params(labelsize=FONT["size"], width=0.6, length=2.5)
    panel.spines[["top", "right"]].set_visible(False)


def plain(text: str) -> str:
    """Return a name escaped for matplotlib, which reads formulas between dollar signs."""
    return text.replace("$", r"\$")


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

    All images of a run share one figure, and so its axes. Its layout is fixed: finding the best one
    takes matplotlib as long as drawing.

    Parameters
    ----------
    diameters, thicknesses : axes.Bins
    """

    columns = ("axon_diameter_um", "myelin_thickness_um")

    def __init__(self, diameters: Bins, thicknesses: Bins) -> None:
        self.bins = (diameters, thicknesses)
        self.figure, (self.scatter, *self.histograms) = new_figure(6.3, 3, layout=None)
        self.figure.subplots_adjust(left=0.19, right=0.96, bottom=0.06, top=0.965, hspace=0.33)
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
        self.scatter.set_title(f"{plain(title)}, {count}", fontsize=FONT["size"], loc="left")
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


def dots(panel: Axes, x: np.ndarray, y: np.ndarray, largest: float) -> None:
    """Draw a dot for each fiber or image, smaller if there are many."""
    size = float(np.clip(4000 / len(x), 0.8, largest))
    panel.scatter(
        x,
        y,
        s=size,
        color=COLOURS[0],
        alpha=0.5,
        linewidths=0,
        rasterized=len(x) > MAX_VECTOR_DOTS,
    )


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


def draw_groups(path: Path, tables: GroupTables, formats: Sequence[str] = ("png",)) -> None:
    """Compare groups: animals as dots with their names, mean and SD, g-ratio by axon diameter.

    The figure is as large as its names need.
    """
    names = [row["group"] for row in tables.per_group]
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    most = max(Counter(row["group"] for row in tables.per_animal).values())
    figure, axes = new_figure(8.4 * max(1, most / 11), 5)
    figure.set_figwidth(max(WIDTH_INCHES, width_for_names(tables) / 72))
    shown = (
        ("fiber_density_per_mm2", "fibers per mm²"),
        ("axon_diameter_um_mean", "axon diameter (µm)"),
        ("myelin_thickness_um_mean", "myelin thickness (µm)"),
        ("g_ratio_mean", "g-ratio"),
    )
    for panel, (column, y) in zip(axes[:4], shown, strict=True):
        draw_animals(panel, tables, column, colours)
        label(panel, "", y)
    draw_bins(axes[4], tables.per_g_ratio_bin, colours)
    for panel in axes[:3]:
        panel.set_ylim(0, None)
    for panel in axes[3:]:
        low = max(np.floor(panel.get_ylim()[0] * 10) / 10, 0)
        panel.set_ylim(low, None)
        if low > 0:
            write(panel, 1, 1.12, f"axis from {low:.1f}, not from 0")
    axes[0].set_title("dots: animals, bars: mean ± SD", fontsize=FONT["size"], loc="left")
    figure.draw_without_rendering()  # from here on the panels have their sizes
    for panel, (column, _) in zip(axes[:4], shown, strict=True):
        name_animals(panel, tables, column)
    save(figure, path, formats)


def draw_animals(panel: Axes, tables: GroupTables, column: str, colours: dict[str, str]) -> None:
    """Draw one column of the animals as dots by group, with mean and SD of several animals.

    `colours` are {group: colour}, in the order of the groups.
    """
    ticks = []
    for place, group in enumerate(tables.per_group):
        name = group["group"]
        values = known(row[column] for row in tables.per_animal if row["group"] == name)
        panel.scatter(np.full(len(values), place - 0.35), values, s=10, color=colours[name])
        draw_mean(panel, place - 0.2, values, "black")
        ticks.append(f"{plain(name)}\nn = {len(values)}")
    panel.set_xticks(range(len(colours)), ticks)
    panel.set_xlim(-0.6, len(colours) - 0.4)
    panel.margins(y=0.25)


def draw_mean(panel: Axes, x: float, values: list[float], colour: str) -> None:
    """Draw mean and standard deviation of several values."""
    if len(values) > 1:
        panel.errorbar(
            x,
            np.mean(values),
            np.std(values, ddof=1),
            fmt="_",
            markersize=6,
            color=colour,
            elinewidth=0.8,
            capsize=1.5,
        )


def name_animals(panel: Axes, tables: GroupTables, column: str) -> None:
    """Write the names of animals beside their dots, moved apart so that none overlap."""
    height = panel.get_window_extent().height / panel.figure.dpi * 72
    low, high = panel.get_ylim()
    line = 1.1 * NAME_SIZE / height
    for place, group in enumerate(tables.per_group):
        dots = sorted(
            (row[column], animal_name(row))
            for row in tables.per_animal
            if row["group"] == group["group"] and row[column] is not None
        )
        y = moved_apart([(value - low) / (high - low) for value, _ in dots], line)
        for (value, name), fraction in zip(dots, y, strict=True):
            panel.annotate(
                name,
                (place - 0.35, value),
                (place - 0.1, low + fraction * (high - low)),
                fontsize=NAME_SIZE,
                va="center",
                arrowprops={"arrowstyle": "-", "lw": 0.3, "color": "0.6", "shrinkB": 3},
            )


def moved_apart(places: list[float], distance: float) -> np.ndarray:
    """Return rising places, moved so that neighbours have a distance and all lie in 0 to 1.

    >>> moved_apart([0.5, 0.5, 0.9], 0.2).round(2).tolist()
    [0.5, 0.7, 0.9]
    """
    steps = np.arange(len(places)) * distance
    free = np.maximum.accumulate(np.asarray(places, float) - steps)  # rising is far enough apart
    lowest = distance / 2
    return np.clip(free, lowest, max(lowest, 1 - lowest - steps.max(initial=0))) + steps


def animal_name(row: dict) -> str:
    """Return the name of an animal for a plot, shortened if it is long."""
    name = row["animal"]
    return plain(name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…")


def width_for_names(tables: GroupTables) -> float:
    """Return the width in points that `draw_groups` needs for its names and bins."""
    animals = max(len(animal_name(row)) for row in tables.per_animal) * NAME_SIZE / 0.6
    groups = max(len(row["group"]) for row in tables.per_group) * FONT["size"]
    bins = {row["axon_diameter_um_from"] for row in tables.per_g_ratio_bin}
    ticks = max(len(f"{low:g}") for low in bins) * 2 * FONT["size"] + 3
    letter = 0.6  # of the size, its usual width
    return 50 + letter * max(len(tables.per_group) * (max(animals, groups) + 9), len(bins) * ticks)


def spread(count: int, half_width: float) -> np.ndarray:
    """Return evenly spaced places, symmetric about 0."""
    return np.linspace(-half_width, half_width, count) if count > 1 else np.zeros(count)


def draw_bins(panel: Axes, bins: list[dict], colours: dict[str, str]) -> None:
    """Draw g-ratio by group in bins of axon diameter: animals, their mean and SD."""
    seen = [row for row in bins if row["g_ratio_mean"] is not None]
    edges = sorted({(row["axon_diameter_um_from"], row["axon_diameter_um_to"]) for row in seen})
    named = set()
    for offset, (name, colour) in zip(spread(len(colours), 0.2), colours.items(), strict=True):
        for place, (low, _) in enumerate(edges):
            values = known(
                row["g_ratio_mean"]
                for row in bins
                if row["group"] == name and row["axon_diameter_um_from"] == low
            )
            if not values:
                continue
            title = None if name in named else plain(name)
            named.add(name)
            x = place + offset + spread(len(values), 0.06)
            panel.scatter(x, values, s=4, color=colour, linewidths=0, label=title)
            draw_mean(panel, place + offset, values, colour)
    ticks = [f"{low:g}–{high:g}" if high else f"≥ {low:g}" for low, high in edges]
    panel.set_xticks(range(len(edges)), ticks)
    label(panel, "axon diameter (µm)", "g-ratio")
    if named:
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.32), "ncols": min(len(named), 3)}
        panel.legend(fontsize=FONT["size"], frameon=False, markerscale=2, **below)
    else:
        write_empty(panel)


def short(value: float) -> str:
    """Return a number with three digits, or all those before the point, and a real minus sign."""
    value = round(value, 9) + 0.0  # the difference of two equal means may be a rounding error
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def known(values: Iterable[float | None]) -> list[float]:
    """Return the values that are not None."""
    return [value for value in values if value is not None]


def draw_bland_altman(
    path: Path, comparisons: list[Comparison], formats: Sequence[str] = ("png",)
) -> None:
    """Draw difference against mean of two measurements, a panel for each comparison.

    Bland and Altman, Lancet 1986.
    """
    figure, axes = new_figure(2 * len(comparisons), len(comparisons))
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
