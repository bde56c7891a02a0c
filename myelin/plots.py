"""Draw the plots of `morphometry.py` and `evaluate.py`: histograms and comparisons.

All are PNG files of 300 dpi whose text is at least 6 points high when they are printed 8 cm wide.
Colours are the Okabe-Ito set: it keeps apart for readers with any common kind of colour blindness.
"""

import warnings

import numpy as np
from matplotlib.figure import Figure

from myelin.files import replacing

DPI = 300
WIDTH_INCHES = 8 / 2.54  # the width of a column in a journal
FONT = {"size": 7}
# Okabe and Ito, Color Universal Design, 2008; without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MIN_REGRESSION = 3  # fewest fibers that get a line


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
        dots(scatter, diameter, ratio, largest=8)
        scatter.set_ylim(0, 1)
        scatter.set_xlim(0, None)
    else:
        say_empty(scatter)
    if count >= MIN_REGRESSION and np.ptp(diameter) > 0:
        draw_regression(scatter, diameter, ratio)
    draw_histogram(diameters, diameter, "axon diameter (µm)")
    draw_histogram(thicknesses, columns["myelin_thickness_um"], "myelin thickness (µm)")
    save(figure, path)


def dots(panel, x, y, largest):
    """Draw a dot per fiber or image, the smaller the more there are."""
    size = float(np.clip(4000 / len(x), 0.8, largest))
    panel.scatter(x, y, s=size, color=COLOURS[0], alpha=0.5, linewidths=0, rasterized=True)


def draw_regression(panel, diameter, ratio):
    """Draw the line of g-ratio on diameter, and its equation."""
    slope, intercept = np.polyfit(diameter, ratio, 1)
    fit = np.corrcoef(diameter, ratio)[0, 1] ** 2 if np.std(ratio) > 0 else 0.0
    ends = np.array([diameter.min(), diameter.max()])
    panel.plot(ends, intercept + slope * ends, color=COLOURS[1], linewidth=1.2)
    panel.text(
        0.98,
        0.04,
        f"g = {intercept:.3f} {'−' if slope < 0 else '+'} {abs(slope):.4f} d,  r² = {fit:.2f}",
        ha="right",
        transform=panel.transAxes,
        fontsize=FONT["size"],
    )


def draw_histogram(panel, values, x):
    """Draw a histogram with its median."""
    label(panel, x, "fibers")
    if not len(values):
        say_empty(panel)
        return
    panel.hist(values, bins=int(np.clip(np.sqrt(len(values)), 5, 40)), color=COLOURS[0])
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


def draw_groups(path, tables):
    """Compare groups: animals as dots, means of animals as lines, g-ratio by axon diameter.

    Parameters
    ----------
    path : path
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
    axes[0].set_title("dots: animals, lines: their mean", fontsize=FONT["size"], loc="left")
    draw_bins(axes[-1], tables.per_g_ratio_bin, colours)
    save(figure, path)


def draw_animals(panel, tables, column, colours):
    """Draw one column of the animals as dots, beside each other by group, with the groups' means.

    `colours` are {group: colour}, in the order of the groups.
    """
    for place, group in enumerate(tables.per_group):
        name = group["group"]
        values = known(row[column] for row in tables.per_animal if row["group"] == name)
        jitter = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
        panel.scatter(place + jitter[: len(values)], values, s=10, color=colours[name])
        mean = group[column.removesuffix("_mean") + "_mean"]
        if mean is not None:
            panel.hlines(mean, place - 0.25, place + 0.25, color="black", lw=1)
    panel.set_xticks(range(len(colours)), map(plain, colours))
    panel.set_xlim(-0.6, len(colours) - 0.4)
    panel.margins(y=0.25)


def draw_bins(panel, bins, colours):
    """Draw each group's g-ratio in the bins of axon diameter, with the spread of its animals."""
    edges = sorted({(row["axon_diameter_um_from"], row["axon_diameter_um_to"]) for row in bins})
    offsets = np.linspace(-0.15, 0.15, len(colours)) if len(colours) > 1 else [0]
    named = set()
    for offset, (name, colour) in zip(offsets, colours.items(), strict=True):
        for place, (low, _) in enumerate(edges):
            values = known(
                row["g_ratio_mean"]
                for row in bins
                if row["group"] == name and row["axon_diameter_um_from"] == low
            )
            if values:
                panel.errorbar(
                    place + offset,
                    np.mean(values),
                    np.std(values, ddof=1) if values[1:] else 0,
                    fmt="o",
                    markersize=3,
                    color=colour,
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


def known(values):
    """Return the values that are not None, as a list."""
    return [value for value in values if value is not None]


def draw_bland_altman(path, comparisons):
    """Draw difference against mean of two ways to measure (Bland and Altman, Lancet 1986).

    Parameters
    ----------
    path : path
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
        mean = (shown.predicted + shown.reference) / 2
        dots(panel, mean, shown.predicted - shown.reference, largest=10)
        panel.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        panel.axhline(shown.bias, color=COLOURS[1], linewidth=1.2)
        if shown.lower is not None:
            for end in (shown.lower, shown.upper):
                panel.axhline(end, color=COLOURS[1], linewidth=0.8, linestyle="--")
            text = f"bias {shown.bias:.3g}, 95 % limits {shown.lower:.3g} to {shown.upper:.3g}"
            panel.set_title(f"{shown.title}\n{text}", fontsize=FONT["size"], loc="left")
    save(figure, path)
