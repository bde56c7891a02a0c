"""Plots of the fibers of groups."""

import itertools

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from myelin.measure.summary import SIZES
from myelin.report import study_plots
from myelin.report.study_plots import draw_animals, draw_groups, draw_study, panels_of, percentages
from myelin.statistics.study import make_study
from myelin.statistics.units import Measured

ANIMALS = {("wild$", "A"): ["a"], ("wild$", "B"): ["b"], ("mild", "C"): ["c"], ("mild", "D"): ["d"]}


def study_of(fibers):
    """Return a study of four animals with a number of fibers each."""
    sizes = {
        "axon_diameter_um": np.linspace(1, 6, fibers),
        "fiber_diameter_um": np.linspace(2, 9, fibers),
        "myelin_thickness_um": np.linspace(0.5, 1.5, fibers),
        "g_ratio": np.linspace(0.5, 0.7, fibers),
    }
    measured = {name: Measured(sizes, fibers, 0.01) for name in "abcd"}
    return make_study(ANIMALS, measured, (0, 1), (0, 1))


def test_panels_show_groups_and_animals():
    panels = panels_of(study_of(40))
    assert len(panels) == 6
    axes = Figure().subplots()
    panels["g_ratio_against_fiber_diameter.png"](axes)
    assert len(axes.collections) == 4, "a cloud per animal"
    assert axes.get_xlabel() == "fiber diameter (µm)"
    axes = Figure().subplots()
    panels["axon_diameter_histogram.png"](axes)
    assert axes.lines[-1].get_ydata()[1:].sum() == pytest.approx(100)


def test_percentages():
    edges, values = np.array([0.0, 1, 2, 4]), np.array([0.5, 1.5, 1.6, 5])
    assert percentages(values, edges, cumulative=False).tolist() == [25, 25, 50, 0]
    assert percentages(values, edges, cumulative=True).tolist() == [25, 25, 75, 75]


@pytest.mark.slow
@pytest.mark.parametrize("fibers", [0, 1, 30])
def test_each_panel_is_a_file_too(tmp_path, fibers, recwarn):
    draw_study(tmp_path, study_of(fibers), ("png", "pdf"))
    names = {path.name for path in (tmp_path / "panels").iterdir()}
    assert len(names) == 18 and "fiber_diameter_cumulative.svg" in names
    assert cv2.imread(str(tmp_path / "fibers_per_group.png")).shape[1] > 1900
    assert (tmp_path / "fibers_per_group.pdf").exists() and not recwarn.list


def test_a_group_of_one_animal_has_a_dot_and_no_mean():
    panel = Figure().subplots()
    animals = [{"group": name, "g": g} for name, g in (("many", 0.6), ("many", 0.7), ("one", 0.5))]
    assert draw_animals(panel, animals, "g", {"many": "k", "one": "k"}) == [0, 1, 3]
    (mean,) = panel.lines
    assert mean.get_ydata() == pytest.approx([0.65, 0.65])


@pytest.mark.parametrize("groups, animals", [(2, 2), (4, 13), (1, 1)])
def test_animals_are_named_in_the_order_of_groups_and_no_text_overlaps(
    tmp_path, monkeypatch, groups, animals
):
    figures = []
    monkeypatch.setattr(study_plots, "save", lambda figure, *_: figures.append(figure))
    measured, listed = {}, {}
    for number in range(groups * animals):
        group, animal = f"{number % groups} weeks of treatment", f"animal number {number}"
        sizes = {size: np.full(9, 1 + number % 3 / 10) for size in SIZES}
        sizes["g_ratio"] = sizes["g_ratio"] / 2
        measured[animal] = Measured(sizes, 9, 0.01)
        listed[group, animal] = [animal]
    edges = (0, 0.25, 0.5, 0.75, 1, 1.05, 1.15, 1.25)
    draw_groups(tmp_path / "x.png", make_study(listed, measured, edges, (0, 1)))
    (figure,) = figures
    figure.draw_without_rendering()
    boxes = [(text.get_window_extent(), text.get_text()) for text in figure.legends[0].get_texts()]
    titles = [text for box, text in sorted(boxes, key=lambda one: (-round(one[0].y0), one[0].x0))]
    assert titles == [f"{k} weeks of treatment, n = {animals}" for k in range(groups)]
    names = [text.get_text() for text in figure.axes[3].get_xticklabels()]
    order = sorted(range(groups * animals), key=lambda number: number % groups)
    assert [name[-2:].strip() for name in names] == [str(number) for number in order]
    shown = [*figure.legends[0].get_texts()]
    for panel in figure.axes:
        shown += [*panel.texts, *panel.get_xticklabels(), panel.xaxis.label, panel.yaxis.label]
        low, high = panel.get_ylim()
        shown += [tick for tick in panel.get_yticklabels() if low <= tick.get_position()[1] <= high]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown if text.get_text()]
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        assert not Bbox.intersection(box, second), (one, other)
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, one
