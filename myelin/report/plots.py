"""Draw the plots of `morphometry.py` and `evaluate.py`: histograms and comparisons.

All are PNG files of 300 dpi whose text is at least 6 points high when they are printed 8 cm wide;
on request also PDF or SVG, in which text stays text. Colours are the Okabe-Ito set: it keeps apart
for readers with any common kind of colour blindness.
"""

import warnings

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from myelin.runtime.files import replacing

DPI = 300
WIDTH_INCHES = 8 / 2.54  # the width of a column in a journal
FONT = {"size": 7}
# Okabe and Ito, Color Universal Design, 2008; without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MIN_REGRESSION = 3  # fewest fibers that get a line
MOST_VECTOR_DOTS = 20_000  # more are pixels in PDF and SVG too, which programs then still open
# Text as text, and no dates or random names, so that equal runs write equal files.
VECTOR_TEXT = {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "myelin"}
SAVING = {
    "png": {"pil_kwargs": {"compress_level": 1}},  # a third of the default's time
    "pdf": {"metadata": {"CreationDate": None}},
    "svg": {"metadata": {"Date": None}},
}


def save(figure, path, formats=("png",)):
    """Write a figure atomically.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        Its ending is replaced.
    formats : sequence of str
        "png", "pdf", "svg": a file each.
    """
    for ending in formats:
        with (
            replacing(path.with_suffix(f".{ending}")) as temporary,
            warnings.catch_warnings(),
            matplotlib.rc_context(VECTOR_TEXT),
        ):
            warnings.filterwarnings("ignore", "Glyph")  # letters the font lacks are drawn as boxes
            figure.savefig(temporary, dpi=DPI, format=ending, **SAVING[ending])


def new_figure(height_inches, panels, layout="constrained"):
    """Return a figure one column wide with panels one above the other."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout=layout)
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    for panel in axes:
        panel.tick_params(labelsize=FONT["size"], width=0.6, length=2.5)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plain(text):
    """Return a name escaped for matplotlib, where a pair of $ would start a formula."""
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


class SizesPlot:
    """g-ratio against axon diameter, and histograms of diameter and thickness.

    All drawn by one have the same axes, and share one figure, whose panels have fixed places: to
    find the best takes matplotlib as long as to draw.

    Parameters
    ----------
    diameters, thicknesses : axes.Bins
    """

    columns = "axon_diameter_um", "myelin_thickness_um"

    def __init__(self, diameters, thicknesses):
        self.bins = diameters, thicknesses
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

    def draw(self, path, columns, title, formats=("png",)):
        """Draw the fibers of one image, or of several.

        Parameters
        ----------
        path, formats
            As for `save`.
        columns : dict of str to array, (n,)
            Whole fibers' `axon_diameter_um`, `myelin_thickness_um`, `g_ratio`.
        title : str
        """
        diameter, ratio = columns["axon_diameter_um"], columns["g_ratio"]
        self.scatter.set_title(
            f"{plain(title)}, {len(diameter)} whole fibers", fontsize=FONT["size"], loc="left"
        )
        before = [set(panel.get_children()) for panel in self.figure.axes]
        if len(diameter):
            dots(self.scatter, diameter, ratio, largest=8)
            tell_beyond(self.scatter, diameter, self.bins[0].end, 0.98)
        else:
            say_empty(self.scatter)
        if len(diameter) >= MIN_REGRESSION and np.ptp(diameter) > 0:
            draw_regression(self.scatter, diameter, ratio)
        for panel, bins, name in zip(self.histograms, self.bins, self.columns, strict=True):
            draw_histogram(panel, columns[name], bins)
        save(self.figure, path, formats)
        for panel, kept in zip(self.figure.axes, before, strict=True):
            for artist in set(panel.get_children()) - kept:
                artist.remove()


def dots(panel, x, y, largest):
    """Draw a dot per fiber or image, the smaller the more there are."""
    size = float(np.clip(4000 / len(x), 0.8, largest))
    panel.scatter(
        x,
        y,
        s=size,
        color=COLOURS[0],
        alpha=0.5,
        linewidths=0,
        rasterized=len(x) > MOST_VECTOR_DOTS,
    )


def write(panel, x, y, text):
    """Write a text that ends at x, y, in parts of the panel."""
    panel.text(x, y, text, ha="right", va="top", transform=panel.transAxes, fontsize=FONT["size"])


def tell_beyond(panel, values, end, y):
    """Say at height y how many values lie beyond the end of the axis."""
    beyond = np.count_nonzero(values > end)
    if beyond:
        write(panel, 0.98, y, f"{beyond} beyond {end:g} µm")


def draw_regression(panel, diameter, ratio):
    """Draw the line of g-ratio on diameter, and its equation."""
    slope, intercept = np.polyfit(diameter, ratio, 1)
    fit = np.corrcoef(diameter, ratio)[0, 1] ** 2 if np.std(ratio) > 0 else 0.0
    ends = np.array([diameter.min(), diameter.max()])
    panel.plot(ends, intercept + slope * ends, color=COLOURS[1], linewidth=1.2)
    sign = "−" if slope < 0 else "+"
    text = f"g = {intercept:.3f} {sign} {abs(slope):.4f} d,  r² = {fit:.2f}"
    write(panel, 0.98, 0.12, text)


def draw_histogram(panel, values, bins):
    """Draw a histogram with its median."""
    if not len(values):
        say_empty(panel)
        return
    panel.stairs(np.histogram(values, bins.edges)[0], bins.edges, fill=True, color=COLOURS[0])
    panel.axvline(np.median(values), color=COLOURS[1], linewidth=1.2)
    write(panel, 0.98, 0.98, f"median {np.median(values):.2f} µm")
    tell_beyond(panel, values, bins.end, 0.84)


def draw_groups(path, tables, formats=("png",)):
    """Compare groups: animals as dots, means of animals as lines, g-ratio by axon diameter.

    Parameters
    ----------
    path, formats
        As for `save`.
    tables : groups.GroupTables
    """
    names = [row["group"] for row in tables.per_group]
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    figure, axes = new_figure(8.4, 5)
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
        write(panel, 1, 1.12, f"axis from {low:.1f}, not from 0" if low > 0 else "")
    axes[0].set_title("dots: animals, lines: their mean", fontsize=FONT["size"], loc="left")
    save(figure, path, formats)


def draw_animals(panel, tables, column, colours):
    """Draw one column of the animals as dots, beside each other by group, with the groups' means.

    A group of one animal has no mean to show. `colours` are {group: colour}, in the order of the
    groups.
    """
    ticks = []
    for place, group in enumerate(tables.per_group):
        name = group["group"]
        values = known(row[column] for row in tables.per_animal if row["group"] == name)
        panel.scatter(place + spread(len(values), 0.12), values, s=10, color=colours[name])
        if len(values) > 1:
            panel.hlines(np.mean(values), place - 0.25, place + 0.25, color="black", lw=1)
        ticks.append(f"{plain(name)}\nn = {len(values)}")
    panel.set_xticks(range(len(colours)), ticks)
    panel.set_xlim(-0.6, len(colours) - 0.4)
    panel.margins(y=0.25)


def spread(count, half_width):
    """Return places beside each other, symmetric about 0."""
    return np.linspace(-half_width, half_width, count) if count > 1 else np.zeros(count)


def draw_bins(panel, bins, colours):
    """Draw each group's g-ratio in the bins of axon diameter: animals, their mean and SD."""
    edges = sorted({(row["axon_diameter_um_from"], row["axon_diameter_um_to"]) for row in bins})
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
            if len(values) > 1:
                panel.errorbar(
                    place + offset,
                    np.mean(values),
                    np.std(values, ddof=1),
                    fmt="_",
                    markersize=6,
                    color=colour,
                    elinewidth=0.8,
                    capsize=1.5,
                )
    panel.set_xticks(range(len(edges)), [f"{low:g}–{high:g}" for low, high in edges])
    label(panel, "axon diameter (µm)", "g-ratio", "bars: mean ± SD")
    if named:
        panel.legend(fontsize=FONT["size"], frameon=False, markerscale=2)
    else:
        say_empty(panel)


def short(value):
    """Return a number with three digits, or all of those before the point, as in print."""
    value = round(value, 9) + 0.0  # of two equal means there may be left what computing rounds
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def known(values):
    """Return the values that are not None, as a list."""
    return [value for value in values if value is not None]


def draw_bland_altman(path, comparisons, formats=("png",)):
    """Draw difference against mean of two ways to measure (Bland and Altman, Lancet 1986).

    Parameters
    ----------
    path, formats
        As for `save`.
    comparisons : list of agreement.Comparison
        One panel each.
    """
    figure, axes = new_figure(2 * len(comparisons), len(comparisons))
    for panel, shown in zip(axes, comparisons, strict=True):
        unit = f" ({shown.unit})" if shown.unit else ""
        label(panel, f"mean of both{unit}", f"predicted − reference{unit}", shown.title)
        if len(shown.reference) == 0:
            say_empty(panel, "nothing to compare")
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
