"""Draw the fibers of groups: g-ratio against diameter, size histograms, cumulative curves.

Colours are those of the groups. Thin lines and clouds of points are animals, thick lines groups.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from myelin.report.axes import Bins, choose_bins
from myelin.report.plots import (
    COLOURS,
    FONT,
    label,
    new_figure,
    plain,
    save,
    style,
    write_beyond,
    write_empty,
)
from myelin.statistics.regression import AGAINST
from myelin.statistics.study import Study
from myelin.statistics.units import Unit

PAGE_WIDTH_INCHES = 17 / 2.54
MAX_VECTOR_POINTS = 5000  # more are drawn as pixels in PDF and SVG too
CUMULATIVE_STEPS = 400
LIGHTEST = 0.45  # share of white in the colour of a group's last animal
NAMES = {"axon_diameter_um": "axon diameter (µm)", "fiber_diameter_um": "fiber diameter (µm)"}


def draw_study(folder: Path, study: Study, formats: Sequence[str] = ("png",)) -> None:
    """Draw `fibers_per_group.png`, and each of its panels as PNG and SVG in `panels/`."""
    panels = panels_of(study)
    figure = Figure(figsize=(PAGE_WIDTH_INCHES, PAGE_WIDTH_INCHES))
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.07, top=0.97, hspace=0.35, wspace=0.22)
    for axes, draw in zip(figure.subplots(3, 2).flat, panels.values(), strict=True):
        style(axes)
        draw(axes)
    save(figure, folder / "fibers_per_group.png", formats)
    for name, draw in panels.items():
        figure, (axes,) = new_figure(2.4, 1, layout=None)
        figure.subplots_adjust(left=0.16, right=0.97, bottom=0.17, top=0.93)
        draw(axes)
        save(figure, folder / "panels" / name, dict.fromkeys(("png", "svg", *formats)))


def panels_of(study: Study) -> dict[str, Callable[[Axes], None]]:
    """Return functions that draw the panels, by the name of their file."""
    animals = [unit for unit in study.units if unit.level == "animal"]
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
    groups = [unit for unit in study.units if unit.level == "group"]
    for index, group in enumerate(groups):
        animals = [
            unit
            for unit in study.units
            if (unit.level, unit.group) == ("animal", group.group) and len(unit.sizes["g_ratio"])
        ]
        yield group, COLOURS[index % len(COLOURS)], animals


def draw_clouds(panel: Axes, study: Study, name: str, bins: Bins) -> None:
    """Draw g-ratio against a diameter: a cloud and a line per animal, a thick line per group."""
    lines = {
        (row["level"], row["group"], row["animal"]): row
        for row in study.tables["regression"]
        if row["against"] == name
    }
    total = sum(len(group.sizes[name]) for group, _, _ in groups_of(study))
    size = float(np.clip(3000 / max(total, 1), 0.8, 6))
    for group, colour, animals in groups_of(study):
        for index, unit in enumerate(animals):
            light = LIGHTEST * index / max(len(animals) - 1, 1)
            shade = np.array(to_rgb(colour)) * (1 - light) + light
            raster = total > MAX_VECTOR_POINTS
            dots = {"s": size, "alpha": 0.4, "linewidths": 0, "rasterized": raster}
            panel.scatter(unit.sizes[name], unit.sizes["g_ratio"], color=[shade], **dots)
            ends, fitted = line_ends(lines["animal", unit.group, unit.animal], unit, name, bins)
            panel.plot(ends, fitted, color=shade, linewidth=0.5)
        ends, fitted = line_ends(lines["group", group.group, ""], group, name, bins)
        panel.plot(ends, fitted, color="white", linewidth=2.6)
        panel.plot(ends, fitted, color=colour, linewidth=1.4, label=title_of(group, animals))
    finish(panel, study, name, bins, "g-ratio", "lower right")
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
    for group, colour, animals in groups_of(study):
        curves = [percentages(unit.sizes[name], edges, cumulative) for unit in animals]
        looks = {"color": colour, "drawstyle": "steps-pre"}
        for curve in curves:
            panel.plot(edges, curve, linewidth=0.5, alpha=0.4, **looks)
        if curves:
            mean, title = np.mean(curves, axis=0), title_of(group, animals)
            panel.plot(edges, mean, linewidth=1.4, label=title, **looks)
    what = "fibers up to this diameter (%)" if cumulative else "fibers (%)"
    finish(panel, study, name, bins, what, "lower right" if cumulative else "upper right")
    panel.set_ylim(0, 100 if cumulative else None)


def percentages(values: np.ndarray, edges: np.ndarray, cumulative: bool) -> np.ndarray:
    """Return the percentage of values in the bin below each edge, or in all below it.

    The first edge has the value of the second.
    """
    percent = 100 * np.histogram(values, edges)[0] / len(values)
    percent = np.cumsum(percent) if cumulative else percent
    return np.append(percent[:1], percent)


def title_of(group: Unit, animals: list[Unit]) -> str:
    """Return a group's name and number of animals for the legend."""
    return f"{plain(group.group)}, n = {len(animals)}"


def finish(panel: Axes, study: Study, name: str, bins: Bins, y: str, place: str) -> None:
    """Set the axes of a panel and add its legend."""
    label(panel, NAMES[name], y)
    panel.set_xlim(0, bins.end)
    panel.xaxis.set_major_locator(MaxNLocator("auto", steps=(1, 2, 5, 10)))
    values = np.concatenate([group.sizes[name] for group, _, _ in groups_of(study)])
    if not len(values):
        write_empty(panel)
        return
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=FONT["size"], frameon=False, loc=place)
    write_beyond(panel, values, bins.end, 1.06)
