"""Plots of the fibers of groups."""

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from myelin.report.study_plots import draw_study, panels_of, percentages
from myelin.statistics.groups import Measured
from myelin.statistics.study import make_study

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
    titles = [text.get_text() for text in axes.get_legend().get_texts()]
    assert titles == [r"wild\$, n = 2", "mild, n = 2"]
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
