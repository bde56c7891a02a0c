"""Measuring fibers, against drawn shapes whose right answer can be computed."""

import doctest
import math

import numpy as np
import pytest
from measuring import FIBER_COLUMNS, SHAPE_COLUMNS, ring, rings
from skimage.measure import regionprops

from myelin.measure import fibers
from myelin.measure.fibers import measure_fibers


@pytest.mark.parametrize("diameter", [16, 17, 24, 40, 63, 90, 120])
@pytest.mark.parametrize("g_ratio", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("squeeze, angle", [(1, 0), (0.8, 0.3), (0.6, 1.1)])
def test_sizes_of_drawn_shapes(diameter, g_ratio, squeeze, angle):
    """Axons 16 to 120 px wide: diameters and g-ratio within 2 % of the geometry.

    Thickness is the difference of two diameters, each known to a tenth of a pixel or so.
    """
    inner = diameter / 2 / squeeze
    outer = inner / g_ratio
    side = int(2 * outer) + 12
    myelin, axon = ring((side, side), side / 2 + 0.3, side / 2 - 0.2, inner, outer, squeeze, angle)
    columns = measure_fibers(myelin, 0.5).columns
    assert len(columns["fiber"]) == 1
    root = math.sqrt(squeeze)
    # A sheath of one pixel may have a corner open, which costs a pixel.
    open_um2 = 0.25 if outer - inner < 2 else 0
    assert 0 <= axon.sum() / 4 - columns["axon_area_um2"][0] <= open_um2
    assert columns["axon_diameter_um"][0] == pytest.approx(inner * root, rel=0.02)
    assert columns["fiber_diameter_um"][0] == pytest.approx(outer * root, rel=0.02)
    assert columns["g_ratio"][0] == pytest.approx(g_ratio, rel=0.02)
    thickness = (outer - inner) * root / 2  # µm, at 0.5 µm per pixel
    assert columns["myelin_thickness_um"][0] == pytest.approx(thickness, rel=0.02, abs=0.07)
    assert columns["axon_major_axis_um"][0] == pytest.approx(inner, rel=0.03)
    assert columns["axon_minor_axis_um"][0] == pytest.approx(inner * squeeze, rel=0.03)
    assert columns["x_px"][0] == pytest.approx(side / 2 + 0.3, abs=0.3)
    assert not columns["touches_border"][0]
    assert columns["roundness"][0] == pytest.approx(squeeze, abs=0.02)
    turn = (1 - squeeze) / (1 + squeeze)  # Ramanujan's perimeter of an ellipse
    round_um = (1 + squeeze) / 2 * (1 + 3 * turn**2 / (10 + math.sqrt(4 - 3 * turn**2)))
    for part, radius in (("axon", inner), ("fiber", outer)):
        for name, true, error in (
            ("minor_axis", squeeze, {"rel": 0.02}),
            ("min_feret", squeeze, {"abs": 0.5}),  # one pixel
            ("perimeter_diameter", round_um, {"rel": 0.016}),
        ):
            assert columns[f"{part}_{name}_um"][0] == pytest.approx(radius * true, **error)


@pytest.mark.parametrize("angle", [0, 0.2, math.pi / 4, 1.3])
def test_shapes_of_a_turned_rectangle(angle):
    rows, cols = np.mgrid[:220, :220]
    along = (cols - 110.3) * math.cos(angle) + (rows - 109.8) * math.sin(angle)
    across = (rows - 109.8) * math.cos(angle) - (cols - 110.3) * math.sin(angle)
    fiber, axon = (
        (abs(along) < length / 2) & (abs(across) < width / 2)
        for length, width in ((180, 60), (150, 30))
    )
    columns = {k: v[0] for k, v in measure_fibers(fiber & ~axon, 1).columns.items()}
    assert columns["roundness"] == pytest.approx(4 * 60 / (math.pi * 180 * 4 / 3), rel=0.02)
    for name, in_axon, in_fiber, error in (
        ("minor_axis", 30 * 2 / math.sqrt(3), 60 * 2 / math.sqrt(3), 1),
        ("min_feret", 30, 60, 1),
        ("perimeter_diameter", 360 / math.pi, 480 / math.pi, 3.5),
    ):
        assert columns[f"axon_{name}_um"] == pytest.approx(in_axon, abs=error)
        assert columns[f"fiber_{name}_um"] == pytest.approx(in_fiber, abs=error)
        thickness = (columns[f"fiber_{name}_um"] - columns[f"axon_{name}_um"]) / 2
        assert columns[f"myelin_thickness_{name}_um"] == pytest.approx(thickness)
        ratio = columns[f"axon_{name}_um"] / columns[f"fiber_{name}_um"]
        assert columns[f"g_ratio_{name}"] == pytest.approx(ratio)


def test_columns_agree_with_each_other_and_scikit_image():
    myelin = rings((300, 300), [(60, 60), (160, 70), (90, 200)], 21, 33)
    myelin |= ring((300, 300), 220, 200, 25, 45, 0.6, 0.7)[0]
    found = measure_fibers(myelin, 0.2)
    columns = found.columns
    assert list(columns) == FIBER_COLUMNS + SHAPE_COLUMNS
    axons = regionprops(found.axons.to_array())
    for name, expected in (
        ("axon_solidity", [axon.solidity for axon in axons]),
        ("axon_eccentricity", [axon.eccentricity for axon in axons]),
        ("fiber_solidity", [f.solidity for f in regionprops(found.labels.to_array())]),
        ("axon_major_axis_um", [0.2 * axon.axis_major_length for axon in axons]),
        ("fiber_perimeter_um", [0.2 * f.perimeter for f in regionprops(found.labels.to_array())]),
        ("g_ratio", columns["axon_diameter_um"] / columns["fiber_diameter_um"]),
        ("myelin_area_um2", columns["fiber_area_um2"] - columns["axon_area_um2"]),
    ):
        assert columns[name] == pytest.approx(expected), name


def test_pixel_size_scales_and_turning_changes_nothing():
    myelin = rings((200, 260), [(60, 60), (131, 71), (180, 140)], 20, 36)
    probability = np.where(myelin, 200, 30).astype(np.uint8)
    one, ten = (measure_fibers(myelin, size, None, None, probability).columns for size in (0.1, 1))
    for name in FIBER_COLUMNS[3:] + SHAPE_COLUMNS:
        power = 2 if name.endswith("um2") else 1 if name.endswith("_um") else 0
        assert ten[name] == pytest.approx(one[name] * 10**power, nan_ok=True)
    turned = measure_fibers(np.rot90(myelin), 0.1).columns
    for name in ("axon_area_um2", "axon_perimeter_um", "axon_solidity", *SHAPE_COLUMNS[3:13]):
        assert sorted(turned[name]) == pytest.approx(sorted(one[name]))


def test_confidence_is_that_of_the_sheath_times_that_of_the_axon():
    """0.8 on the sheath and 0.2 in the axon give 0.8 x 0.8; what lies around does not matter."""
    parts = [ring((200, 200), x, y, 15, 25) for x, y in ((60, 60), (140, 60), (0, 150))]
    probability = np.full((200, 200), 99, np.uint8)
    for (myelin, axon), (on_sheath, on_axon) in zip(
        parts, ((204, 51), (255, 0), (153, 0)), strict=True
    ):
        probability[myelin], probability[axon] = on_sheath, on_axon
    mask = np.any([myelin for myelin, _ in parts], axis=0)
    plain, rated = (measure_fibers(mask, 1, probability=p).columns for p in (None, probability))
    assert rated["confidence"] == pytest.approx([0.64, 1, 0.6])
    assert np.isnan(plain["confidence"]).all()
    for name in set(FIBER_COLUMNS) - {"confidence"}:
        assert (plain[name] == rated[name]).all()
    empty = np.zeros((40, 50), np.uint8)
    assert len(measure_fibers(empty > 0, 1, probability=empty).columns["confidence"]) == 0


@pytest.mark.parametrize("drawn", [6, 15, 24])
def test_a_shrunken_axon_keeps_its_fiber(drawn):
    myelin, _ = ring((100, 100), 50, 50, 25, 32)
    _, axon = ring((100, 100), 50, 50, drawn, drawn)
    axon[5:15, 5:15] = True  # an axon without myelin
    found = measure_fibers(myelin, 1, axon)
    assert found.columns["g_ratio"] == pytest.approx([drawn / 32], rel=0.02)


def test_a_gap_between_sheaths_does_not_bridge_them():
    """Two sheaths enclose a gap where they meet at corners, and an axon reaches it through a hole.

    Counted as space within the fiber, the gap would give it a part of the thick sheath beside it.
    """
    myelin, axon = np.zeros((60, 100), bool), np.zeros((60, 100), bool)
    myelin[10:50, 10:40] = myelin[10:50, 42:90] = True
    myelin[[26, 31], 40] = myelin[27:31, 41] = True
    axon[12:48, 12:38] = axon[16:44, 64:84] = True
    alone = measure_fibers(myelin, 1.0, axon)
    assert alone.columns["fiber_area_um2"].tolist() == [40 * 30 + 2, 40 * 48 + 4]
    axon[28, 38:40] = True  # the hole
    found = measure_fibers(myelin, 1.0, axon)
    assert (found.labels[:] == alone.labels[:]).all()


def test_the_example_in_the_docstring():
    assert doctest.testmod(fibers).failed == 0
