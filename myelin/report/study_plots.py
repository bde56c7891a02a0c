"""Draw groups: their animals in `per_group.png`, their fibers in `fibers_per_group.png`.

Colours are those of the groups. Thin lines and clouds of points are animals, thick lines groups.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from myelin.report.axes import Bins, choose_bins
from myelin.report.plots import (
    COLOURS,
    FONT,
    WIDTH_INCHES,
    dots,
    label,
    new_figure,
    save,
    shortened,
    write,
    write_beyond,
    write_empty,
)
from myelin.statistics.regression import AGAINST
from myelin.statistics.study import FRAME_DENSITY, NERVE_DENSITY, Study
from myelin.statistics.units import Unit

PAGE_WIDTH_INCHES = 17 / 2.54
LINE_INCHES = 10 / 72  # of a legend
LETTER_INCHES = 0.53 * FONT["size"] / 72  # usual width
PANEL_INCHES, GAP_INCHES = 1.15, 0.25  # height of a panel of `per_group.png`, and below it
NAME_SIZE = 6  # of the names of animals, points
MAX_ANIMAL_NAME = 16  # letters
CUMULATIVE_STEPS = 400
LIGHTEST = 0.45  # share of white in the colour of a group's last animal
NAMES = {"axon_diameter_um": "axon diameter (µm)", "fiber_diameter_um": "fiber diameter (µm)"}
# The measures in `per_group.png`, and the names of their axes.
SHOWN = {
    NERVE_DENSITY: "fibers/mm² of nerve",
    FRAME_DENSITY: "fibers per mm²",
    "axon_diameter_um_mean": "axon diameter (µm)",
    "myelin_thickness_um_mean": "myelin thickness (µm)",
    "g_ratio_mean": "g-ratio",
}


def colours_of(study: Study) -> dict[str, str]:
    """Return the colour of each group."""
    groups = (unit.group for unit in study.at("group"))
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(groups)}


def new_group_figure(
    study: Study, width: float, height: float, rows: int, columns: int = 1
) -> tuple[Figure, np.ndarray]:
    """Return a figure with panels, and a legend of the groups above them.

    Parameters
    ----------
    study : Study
    width, height : float
        Size in inches, without the legend.
    rows, columns : int
        Number of panels.

    Returns
    -------
    figure : Figure
    panels : array of Axes, (rows * columns,)
    """
    animals = [unit.group for unit in study.at("animal")]
    handles = [
        Line2D([], [], color=colour, linewidth=3, label=f"{title}, n = {animals.count(name)}")
        for name, colour in colours_of(study).items()
        for title in [shortened(name, int(width / LETTER_INCHES) - 15)]
    ]
    widest = max(len(handle.get_label()) for handle in handles) + 7  # the line and a gap
    beside = max(1, min(len(handles), int(width / (widest * LETTER_INCHES))))
    handles = [handle for column in range(beside) for handle in handles[column::beside]]
    legend = math.ceil(len(handles) / beside) * LINE_INCHES + 0.06
    figure, panels = new_figure(rows, height + legend, columns, width, legend + 0.2)
    text = {"fontsize": FONT["size"], "handlelength": 1.2, "labelspacing": 0.3, "columnspacing": 1}
    figure.legend(handles=handles, loc="upper left", ncols=beside, frameon=False, **text)
    return figure, panels


# ---------------------------------------------------------------- animals


def draw_groups(path: Path, study: Study, formats: Sequence[str] = ("png",)) -> None:
    """Draw the animals of each group with their mean and SD, and g-ratio by axon diameter.

    The figure is as wide as the names of the animals need.
    """
    animals = study.tables["per_animal"]
    density = NERVE_DENSITY if NERVE_DENSITY in animals[0] else FRAME_DENSITY
    columns = [name for name in SHOWN if name in (density, *list(SHOWN)[2:])]
    colours = colours_of(study)
    ordered = [row for name in colours for row in animals if row["group"] == name]
    names = [shortened(row["animal"], MAX_ANIMAL_NAME) for row in ordered]
    below = max(map(len, names)) * LETTER_INCHES + 0.15  # room for the names
    wide = max(WIDTH_INCHES, 0.68 + (len(ordered) + len(colours)) * LINE_INCHES)
    height = 0.45 + below + len(SHOWN) * (PANEL_INCHES + GAP_INCHES)
    figure, panels = new_group_figure(study, wide, height, len(SHOWN))
    for panel, column in zip(panels, columns, strict=False):
        ticks = draw_animals(panel, ordered, column, colours)
        panel.set_xticks(ticks, names if column == columns[-1] else [], fontsize=NAME_SIZE)
        panel.tick_params(axis="x", rotation=90)
        label(panel, "", SHOWN[column])
    draw_bins(panels[-1], study.tables["per_g_ratio_bin"], colours)
    bottom = height - 0.2
    for panel in panels:
        bottom -= PANEL_INCHES + (below + 0.1 if panel is panels[-1] else 0)
        box = panel.get_position()
        inches = figure.get_figheight()
        panel.set_position((box.x0, bottom / inches, box.width, PANEL_INCHES / inches))
        bottom -= GAP_INCHES
        low, high = panel.get_ylim()
        low = 0 if panel in panels[:3] else max(np.floor(low * 10) / 10, 0)
        panel.set_ylim(low, high + 0.08 * (high - low))
        if low > 0:
            write(panel, 1, 1.15, f"axis from {low:.1f}, not from 0")
    panels[0].set_title(
        "dots: animals, lines and bands: mean ± SD", loc="left", fontsize=FONT["size"]
    )
    save(figure, path, formats)


def draw_animals(
    panel: Axes, animals: list[dict], column: str, colours: dict[str, str]
) -> list[float]:
    """Draw a measure of animals as dots side by side; return the place of each animal.

    `animals` are sorted by group. Several animals of a group get their mean and SD.
    """
    places, start = [], 0.0
    for name, colour in colours.items():
        own = [row[column] for row in animals if row["group"] == name]
        x, values = start + np.arange(len(own)), np.array(own, float)  # NaN without fibers
        panel.scatter(x, values, s=10, color=colour, linewidths=0, zorder=3)
        known = values[~np.isnan(values)]
        if len(known) > 1:
            mean, sd = known.mean(), known.std(ddof=1)
            ends = (x[0] - 0.4, x[-1] + 0.4)
            panel.fill_between(ends, mean - sd, mean + sd, color=colour, alpha=0.2, linewidth=0)
            panel.plot(ends, (mean, mean), color=colour, linewidth=1)
        places += x.tolist()
        start += len(own) + 1
    panel.set_xlim(-1, start - 1)
    panel.margins(y=0.15)
    return places


def draw_bins(panel: Axes, bins: list[dict], colours: dict[str, str]) -> None:
    """Draw g-ratio by group in bins of axon diameter: animals, their mean and SD."""
    edges = sorted({row["axon_diameter_um_from"] for row in bins})
    for offset, (name, colour) in zip(spread(len(colours), 0.25), colours.items(), strict=True):
        for place, low in enumerate(edges):
            own = [r for r in bins if (r["group"], r["axon_diameter_um_from"]) == (name, low)]
            values = [row["g_ratio_mean"] for row in own if row["g_ratio_mean"] is not None]
            x = place + 0.5 + offset
            panel.scatter(x + spread(len(values), 0.06), values, s=4, color=colour, linewidths=0)
            if len(values) > 1:
                mean, sd = np.mean(values), np.std(values, ddof=1)
                panel.errorbar(x, mean, sd, fmt="_", markersize=6, color=colour, elinewidth=0.8)
    panel.set_xticks(range(len(edges)), [f"{low:g}" for low in edges])
    panel.set_xlim(0, len(edges))
    label(panel, "axon diameter (µm), last bin open", "g-ratio")


def spread(count: int, half_width: float) -> np.ndarray:
    """Return evenly spaced places, symmetric about 0."""
    return np.linspace(-half_width, half_width, count) if count > 1 else np.zeros(count)


# ---------------------------------------------------------------- fibers


def draw_study(folder: Path, study: Study, formats: Sequence[str] = ("png",)) -> None:
    """Draw `fibers_per_group.png`, and each of its panels as PNG and SVG in `panels/`."""
    panels = panels_of(study)
    figure, axes = new_group_figure(study, PAGE_WIDTH_INCHES, 6.6, 3, 2)
    for panel, draw in zip(axes, panels.values(), strict=True):
        draw(panel)
    save(figure, folder / "fibers_per_group.png", formats)
    for name, draw in panels.items():
        figure, (panel,) = new_group_figure(study, WIDTH_INCHES, 2.3, 1)
        draw(panel)
        save(figure, folder / "panels" / name, dict.fromkeys(("png", "svg", *formats)))


def panels_of(study: Study) -> dict[str, Callable[[Axes], None]]:
    """Return functions that draw the panels, by the name of their file."""
    animals = study.at("animal")
    bins = {name: choose_bins([unit.sizes[name] for unit in animals]) for name in AGAINST}
    kinds = {
        "g_ratio_against_{}.png": draw_clouds,
        "{}_histogram.png": partial(draw_curves, cumulative=False),
        "{}_cumulative.png": partial(draw_curves, cumulative=True),
    }
    return {
        file.format(name.removesuffix("_um")): partial(
            draw, study=study, name=name, bins=bins[name]
        )
        for file, draw in kinds.items()
        for name in AGAINST
    }


def groups_of(study: Study) -> Iterator[tuple[Unit, str, list[Unit]]]:
    """Yield each group, its colour, and its animals that have whole fibers."""
    for group, colour in zip(study.at("group"), colours_of(study).values(), strict=True):
        own = [unit for unit in study.at("animal") if unit.group == group.group]
        yield group, colour, [unit for unit in own if len(unit.sizes["g_ratio"])]


def draw_clouds(panel: Axes, study: Study, name: str, bins: Bins) -> None:
    """Draw g-ratio against a diameter: a cloud and a line per animal, a thick line per group."""
    lines = {
        (row["level"], row["group"], row["animal"]): row
        for row in study.tables["regression"]
        if row["against"] == name
    }
    total = sum(len(group.sizes[name]) for group, _, _ in groups_of(study))
    for group, colour, animals in groups_of(study):
        for index, unit in enumerate(animals):
            light = LIGHTEST * index / max(len(animals) - 1, 1)
            shade = to_hex(np.array(to_rgb(colour)) * (1 - light) + light)
            dots(panel, unit.sizes[name], unit.sizes["g_ratio"], 6, shade, total)
            ends, fitted = line_ends(lines["animal", unit.group, unit.animal], unit, name, bins)
            panel.plot(ends, fitted, color=shade, linewidth=0.5)
        ends, fitted = line_ends(lines["group", group.group, ""], group, name, bins)
        panel.plot(ends, fitted, color="white", linewidth=2.6)
        panel.plot(ends, fitted, color=colour, linewidth=1.4)
    finish(panel, study, name, bins, "g-ratio")
    panel.set_ylim(0, 1)


def line_ends(line: dict, unit: Unit, name: str, bins: Bins) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the ends of a regression line; empty without a line."""
    if line["slope"] is None:
        return np.empty(0), np.empty(0)
    x = unit.sizes[name]
    ends = np.array([x.min(), min(x.max(), bins.end)])
    return ends, line["intercept"] + line["slope"] * ends


def draw_curves(panel: Axes, study: Study, name: str, bins: Bins, cumulative: bool) -> None:
    """Draw a histogram of a diameter in percent, or in fine steps its cumulative percentage.

    The line of a group is the mean of its animals.
    """
    edges = np.linspace(0, bins.end, CUMULATIVE_STEPS + 1) if cumulative else bins.edges
    for _, colour, animals in groups_of(study):
        curves = [percentages(unit.sizes[name], edges, cumulative) for unit in animals]
        looks = {"color": colour, "drawstyle": "steps-pre"}
        for curve in curves:
            panel.plot(edges, curve, linewidth=0.5, alpha=0.4, **looks)
        if curves:
            panel.plot(edges, np.mean(curves, axis=0), linewidth=1.4, **looks)
    what = "fibers up to this diameter (%)" if cumulative else "fibers (%)"
    finish(panel, study, name, bins, what)
    panel.set_ylim(0, 100 if cumulative else None)


def percentages(values: np.ndarray, edges: np.ndarray, cumulative: bool) -> np.ndarray:
    """Return the percentage of values in the bin below each edge, or in all below it.

    The first edge has the value of the second.
    """
    percent = 100 * np.histogram(values, edges)[0] / len(values)
    percent = np.cumsum(percent) if cumulative else percent
    return np.append(percent[:1], percent)


def finish(panel: Axes, study: Study, name: str, bins: Bins, y: str) -> None:
    """Set the axes of a panel."""
    label(panel, NAMES[name], y)
    panel.set_xlim(0, bins.end)
    panel.xaxis.set_major_locator(MaxNLocator("auto", steps=(1, 2, 5, 10)))
    values = np.concatenate([group.sizes[name] for group, _, _ in groups_of(study)])
    if not len(values):
        write_empty(panel)
    write_beyond(panel, values, bins.end, 1.08)
