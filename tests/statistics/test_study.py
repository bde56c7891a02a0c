"""Tables of a study whose fibers are known: classes, regression, all fibers, columns for Prism."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from measuring import fails, read_table, rings, save
from scipy import stats

import morphometry
from myelin.statistics.diameter_classes import classify
from myelin.statistics.long_tables import FIRST
from myelin.statistics.regression import line
from myelin.statistics.study import make_study
from myelin.statistics.units import Measured, units_of

ANIMALS = {
    ("wild", "A"): ["a1", "a2"],
    ("wild", "B"): ["b"],
    ("wild", "C"): ["c"],
    ("mild", "D"): ["d"],
    ("mild", "E"): ["e"],
    ("mild", "F"): ["f"],
}


def sizes_of(seed, fibers=60):
    """Return sizes of random fibers."""
    rng = np.random.default_rng(seed)
    axon = rng.lognormal(0.8, 0.6, fibers)
    ratio = np.clip(0.5 + 0.02 * axon + rng.normal(0, 0.05, fibers), 0.2, 0.9)
    fiber = axon / ratio
    return {
        "axon_diameter_um": axon,
        "fiber_diameter_um": fiber,
        "myelin_thickness_um": (fiber - axon) / 2,
        "g_ratio": ratio,
    }


@pytest.fixture(scope="module")
def measured():
    """Seven images, and one outside the groups."""
    names = [name for images in ANIMALS.values() for name in images] + ["other"]
    return {name: Measured(sizes_of(k), 70, 0.01 + 0.001 * k) for k, name in enumerate(names)}


def pooled(measured, names, size):
    return np.concatenate([measured[name].sizes[size] for name in names])


@pytest.mark.parametrize("diameter", ["axon", "fiber"])
@pytest.mark.parametrize(
    "level, animal, images",
    [("image", "B", ["b"]), ("animal", "A", ["a1", "a2"]), ("group", "", ["a1", "a2", "b", "c"])],
)
def test_classes_of_images_animals_and_groups(measured, level, animal, images, diameter):
    edges = (0, 1, 2.5, 5, 99)
    rows = classify(units_of(ANIMALS, measured), edges)
    assert len(rows) == (8 + 6 + 2) * 2 * len(edges)
    unit = {"level": level, "group": "wild", "animal": animal, "diameter": diameter}
    own = [row for row in rows if unit.items() <= row.items()]
    assert [row["high_um"] for row in own] == [*edges[1:], None]
    values = pooled(measured, images, f"{diameter}_diameter_um")
    ratios = pooled(measured, images, "g_ratio")
    density = 70 * len(images) / sum(measured[name].area_mm2 for name in images)
    for row, low, high in zip(own, edges, [*edges[1:], np.inf], strict=True):
        inside = (values >= low) & (values < high)
        assert row["count"] == inside.sum()
        assert row["percent"] == pytest.approx(100 * inside.mean())
        assert row["cumulative_percent"] == pytest.approx(100 * (values < high).mean())
        assert row["density_per_mm2"] == pytest.approx(inside.mean() * density)
        mean = ratios[inside].mean() if inside.any() else None
        assert row["g_ratio_mean"] == pytest.approx(mean)


def test_regression_is_that_of_scipy(measured):
    sizes = measured["a1"].sizes
    for against in ("axon_diameter_um", "fiber_diameter_um"):
        found = line(sizes[against], sizes["g_ratio"])
        fit = stats.linregress(sizes[against], sizes["g_ratio"])
        expected = (60, fit.slope, fit.stderr, fit.intercept, fit.intercept_stderr, fit.rvalue)
        assert tuple(found.values()) == pytest.approx(expected, rel=1e-9)
        assert list(found) == ["n", "slope", "slope_se", "intercept", "intercept_se", "r"]


def test_too_few_or_equal_fibers_have_no_line():
    for x in ([1.0, 2.0], [2.0, 2.0, 2.0], []):
        found = line(np.array(x), np.array(x))
        assert found.pop("n") == len(x) and set(found.values()) == {None}
    assert line(np.arange(4.0), np.ones(4))["slope"] == 0


def test_measures_of_animals_are_tested(measured):
    study = make_study(ANIMALS, measured, (0, 1), (0, 2.5, 5, 30))
    tested = {row["measure"]: row for row in study.tables["tests"]}
    animals = {row["animal"]: row for row in study.tables["per_animal"]}
    rare, share = "axon_diameter_from_30_um_percent", "axon_diameter_0_to_2.5_um_percent"
    assert rare in animals["A"] and rare not in tested and share in tested
    for measure, row in tested.items():
        wild, mild = ([animals[name][measure] for name in names] for names in ("ABC", "DEF"))
        assert row["p"] == pytest.approx(stats.ttest_ind(wild, mild, equal_var=False).pvalue)
    x, y = (pooled(measured, ["a1", "a2"], n) for n in ("fiber_diameter_um", "g_ratio"))
    slope = animals["A"]["g_ratio_slope_fiber_diameter_per_um"]
    assert slope == pytest.approx(stats.linregress(x, y).slope)
    assert study.facts()["tests"]["tests"] == ["Welch's t-test"]


def test_density_is_that_of_the_nerve_if_an_image_has_an_outline(measured):
    nerve = dict(measured, b=replace(measured["b"], nerve_counted=60, nerve_area_mm2=0.004))
    study = make_study(ANIMALS, nerve, (0, 1), (0, 2))
    measures = [row["measure"] for row in study.tables["tests"]]
    assert "fiber_density_nerve_per_mm2" in measures and "fiber_density_per_mm2" not in measures
    animals = {row["animal"]: row for row in study.tables["per_animal"]}
    assert animals["B"]["fiber_density_nerve_per_mm2"] == pytest.approx(15000)
    assert animals["B"]["fiber_density_per_mm2"] == pytest.approx(70 / measured["b"].area_mm2)
    for name in "ACDEF":
        row = animals[name]
        assert row["fiber_density_nerve_per_mm2"] == pytest.approx(row["fiber_density_per_mm2"])
    (wild, _), measure = study.tables["per_group"], "fiber_density_nerve_per_mm2"
    densities = [animals[name][measure] for name in "ABC"]
    assert wild[f"{measure}_mean"] == pytest.approx(np.mean(densities))
    assert wild[f"{measure}_sd_of_animals"] == pytest.approx(np.std(densities, ddof=1))
    own = [row for row in study.tables["per_diameter_class"] if row["image"] == "b"]
    share = own[1]
    assert share["density_per_mm2"] == pytest.approx(share["percent"] / 100 * 15000)


@pytest.mark.parametrize("nerve", ["auto", "none"])
def test_classes_of_fibers_per_image_animal_and_group(folder, nerve):
    """A class that is left out still counts; fibers cut by the border count but for density."""
    # The third fiber is cut at the right, where it counts.
    save(Path("preds/b_mask.tif"), rings((120, 260), [(50, 60), (130, 60), (250, 60)], 19, 32))
    Path("classes.csv").write_text(
        "image,fiber,class\na,1,thin\nb,1,swollen\nb,2,thin\nd,3,=x\n", encoding="utf-8"
    )
    call = "--pixel-size 0.1 --no-pictures --groups g.csv --classes classes.csv".split()
    morphometry.main([*call, "--nerve", nerve, "--leave-out-class", "thin"])
    rows = read_table("morphometry/per_class.csv")
    assert len(rows) == (4 + 2 + 2) * 4
    images = {row["image"]: row for row in read_table("morphometry/summary.csv")}
    area = {k: float(v["nerve_area_mm2"] or v["area_mm2"]) for k, v in images.items()}
    expected = {"'=x": [0, 0], "swollen": [0, 1], "thin": [1, 1], "": [1, 1]}
    for unit, own in ({"image": "b"}, "b"), ({"level": "group", "group": "'=wild"}, "ab"):
        found = [row for row in rows if unit.items() <= row.items()]
        assert [row["class"] for row in found] == list(expected)
        counts = {name: sum(count["ab".index(k)] for k in own) for name, count in expected.items()}
        for row in found:
            share, density = (
                counts[row["class"]] / whole
                for whole in (sum(counts.values()), sum(area[k] for k in own))
            )
            assert int(row["count"]) == counts[row["class"]]
            assert float(row["percent"]) == pytest.approx(100 * share, rel=1e-5)
            assert float(row["density_per_mm2"]) == pytest.approx(density, rel=1e-5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four masks of two or three fibers in preds/; three of them in groups."""
    monkeypatch.chdir(tmp_path)
    centers = [(50, 60), (130, 60), (210, 60)]
    for k, name in enumerate("abcd"):
        save(Path(f"preds/{name}_mask.tif"), rings((120, 260), centers[: 2 + k % 2], 18 + k, 32))
    save(Path("preds/d_nerve.tif"), np.ones((120, 260), bool))
    Path("g.csv").write_text(
        "image,group,animal\na,=wild,A\nb,=wild,A\nd,mild,D\n", encoding="utf-8"
    )
    return tmp_path


def test_all_fibers_in_one_table_and_columns_for_prism(folder, capsys):
    call = "--pixel-size 0.1 --no-pictures --groups g.csv --max-axon-diameter 4".split()
    morphometry.main(call)
    assert ": =wild 1, mild 1" in capsys.readouterr().out
    rows = read_table("morphometry/fibers.csv")
    own = read_table("morphometry/d_fibers.csv")
    header = list(rows[0])
    assert header == [*FIRST, *(name for name in own[0] if name not in FIRST)]
    last = rows[-1]
    assert (last["group"], last["animal"], last["image"]) == ("mild", "D", "d")
    assert {name: last[name] for name in own[-1]} == own[-1] and last["fascicle"] == "1"
    assert last["excluded"] and last["class"] == ""
    assert [row["group"] for row in rows] == ["'=wild"] * 5 + [""] * 2 + ["mild"] * 3
    images = read_table("morphometry/summary.csv")
    assert list(images[0])[-2:] == ["group", "animal"] and images[2]["animal"] == ""

    def columns(name):
        with open(f"morphometry/prism/{name}.csv", encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))

    assert columns("fibers_g_ratio")[0] == ["'=wild", "mild"]
    kept = [row["g_ratio"] for row in rows if not row["excluded"]]
    assert [row[0] for row in columns("fibers_g_ratio")[1:]] == kept[:5]
    pairs = columns("g_ratio_against_axon_diameter_um")
    assert pairs[0] == ["axon_diameter_um", "'=wild", "mild"]
    assert [row[1] for row in pairs[1:6]] == kept[:5] and pairs[1][2] == ""
    (animals,) = columns("animals_g_ratio_mean")[1:]
    assert float(animals[0]) == pytest.approx(np.mean([float(g) for g in kept[:5]]), rel=1e-5)


def test_tables_without_groups_have_images_only(folder):
    morphometry.main("--pixel-size 0.1 --no-pictures --diameter-classes 0 3.9".split())
    rows = read_table("morphometry/per_diameter_class.csv")
    assert {row["level"] for row in rows} == {"image"} and len(rows) == 4 * 2 * 2
    assert [row["count"] for row in rows[:2]] == ["2", "0"] and rows[1]["high_um"] == ""
    assert len(read_table("morphometry/regression.csv")) == 8
    assert len(read_table("morphometry/fibers.csv")) == 10
    assert not Path("morphometry/tests.csv").exists() and not Path("morphometry/prism").exists()


def test_one_group_is_named(folder, capsys):
    Path("g.csv").write_text("image,group,animal\na,wild,A\nb,wild,B\n", encoding="utf-8")
    morphometry.main("--pixel-size 0.1 --no-pictures --groups g.csv".split())
    assert "only one group, wild" in capsys.readouterr().out
    assert not Path("morphometry/tests.csv").exists()


@pytest.mark.parametrize("edges", [["3", "2"], ["-1", "2"], ["nan"]])
def test_bad_classes(folder, capsys, edges):
    said = fails(morphometry.main, capsys, "--pixel-size", "1", "--diameter-classes", *edges)
    assert "--diameter-classes" in said and not Path("morphometry").exists()
