"""rois.py: measured fibers to ImageJ, QuPath and napari."""

import json
import uuid
import zipfile
from pathlib import Path

import numpy as np
import pytest
from measuring import fails, read_table, save
from nerves import SHAPE, drawn_mask, fiber_areas_px, measure_drawn
from roifile import ImagejRoi
from tifffile import imread

import morphometry
import rois
from myelin.images.image import read_mask, read_record, write_image


def cells_of(*options):
    """Export for QuPath, and return the features that are cells."""
    rois.main(["export", "--format", "qupath", *options])
    features = json.loads(Path("rois/one.geojson").read_text(encoding="utf-8"))["features"]
    return [found for found in features if found["properties"]["objectType"] == "cell"]


def test_imagej_gets_two_named_coloured_outlines_per_fiber(folder, capsys):
    measure_drawn()
    rois.main(["export"])
    areas = fiber_areas_px()
    assert f"one: {len(areas) // 2} fibers in" in capsys.readouterr().out
    found = {roi.name: roi for roi in ImagejRoi.fromfile("rois/one.zip")}
    assert set(found) == set(areas) and len(areas) == 10
    with zipfile.ZipFile("rois/one.zip") as archive:
        assert set(archive.namelist()) == {f"{name}.roi" for name in found}
    colours = {name[5:]: found[name].stroke_color for name in areas}
    assert len(set(colours.values())) == 2 and all(colours.values())
    labels = imread("morphometry/one_labels.tif")
    rows, cols = np.nonzero(labels == 1)
    roi = found["0001_fiber"]
    assert (roi.top, roi.bottom) == (rows.min(), rows.max() + 1)
    assert (roi.left, roi.right) == (cols.min(), cols.max() + 1)


def test_the_same_fibers_give_the_same_bytes(folder):
    measure_drawn()
    for path, calls in (
        ("rois/one.zip", ("", "one", "--masks preds")),  # measured before, or now
        ("rois/one.geojson", ("--format qupath", "--format qupath one")),
    ):
        written = set()
        for call in calls:
            rois.main(["export", *call.split()])
            written.add(Path(path).read_bytes())
        assert len(written) == 1


def test_fibers_of_masks_are_those_that_are_measured(folder):
    measure_drawn()
    nerve = np.zeros(SHAPE, bool)
    nerve[:, :110] = True
    save(Path("preds/one_nerve.tif"), nerve)
    morphometry.main(["--pixel-size", "0.1", "--no-pictures"])
    cells = cells_of("--masks", "preds", "--pixel-size", "0.1")
    assert 0 < len(cells) == len(read_table("morphometry/one_fibers.csv")) < 5
    assert all("g_ratio" in cell["properties"]["measurements"] for cell in cells)
    cells = cells_of("--masks", "preds")
    assert not any(cell["properties"]["measurements"] for cell in cells)  # the scale is unknown


def test_excluded_fibers_are_exported_named_and_coloured(folder, capsys):
    measure_drawn()
    everything = imread("morphometry/one_labels.tif")
    Path("exclude.csv").write_text("image,fiber,reason\none,2,wrong\n", encoding="utf-8")
    measure_drawn("--exclude", "exclude.csv")
    rois.main(["export"])
    assert "one: 5 fibers, 1 of them excluded in" in capsys.readouterr().out
    found = {roi.name: roi.stroke_color for roi in ImagejRoi.fromfile("rois/one.zip")}
    assert len(found) == 10
    assert found["0002_fiber_excluded"] == found["0002_axon_excluded"]
    assert found["0002_fiber_excluded"] not in (found["0001_fiber"], found["0001_axon"])
    (cell,) = (c["properties"] for c in cells_of() if "excluded" in c["properties"]["name"])
    assert cell["classification"]["name"] == "excluded fiber"
    assert cell["measurements"]["excluded"] == 1
    rois.main(["export", "--format", "napari"])
    assert (imread("rois/one_labels.tif") == everything).all()
    flags = {row["index"]: float(row["excluded"]) for row in read_table("rois/one_features.csv")}
    assert flags == {"1": 0, "2": 1, "3": 0, "4": 0, "5": 0}
    Path("raw/test/one.tif").unlink()  # measured again without the image, it is the same here
    rois.main(["export"])
    table = Path("morphometry/one_fibers.csv")
    table.write_text(table.read_text("utf-8-sig").replace(",wrong", ",wrong\n9,5,5"), "utf-8-sig")
    capsys.readouterr()
    rois.main(["export"])
    assert "note: one: without its excluded fibers" in capsys.readouterr().out


def test_qupath_gets_cells_whose_nucleus_is_the_axon(folder):
    geometry = pytest.importorskip("shapely.geometry")
    measure_drawn()
    cells = cells_of()
    rows = {row["fiber"]: row for row in read_table("morphometry/one_fibers.csv")}
    assert len(cells) == len(rows)
    for cell in cells:
        fiber, axon = geometry.shape(cell["geometry"]), geometry.shape(cell["nucleusGeometry"])
        numbers = cell["properties"]["measurements"]
        row = rows[f"{numbers['fiber']:.0f}"]
        assert fiber.is_valid and axon.is_valid and axon.within(fiber)
        assert fiber.area * 0.01 == pytest.approx(float(row["fiber_area_um2"]), rel=1e-5)
        assert axon.area * 0.01 == pytest.approx(float(row["axon_area_um2"]), rel=1e-5)
        assert numbers["g_ratio"] == float(row["g_ratio"])
        assert "confidence" not in numbers  # empty in the table
        # QuPath counts from the corner of the first pixel, the table from its centre.
        assert (numbers["x_px"], numbers["y_px"]) == pytest.approx(axon.centroid.coords[0], 1e-4)
        assert cell["properties"]["classification"]["name"] == "fiber"
    assert len({uuid.UUID(cell["id"]) for cell in cells}) == len(cells)


def test_napari_gets_label_images_of_32_bits_with_the_pixel_size(folder):
    measure_drawn()
    rois.main(["export", "--format", "napari"])
    for part in ("labels", "axons"):
        written = imread(f"rois/one_{part}.tif")
        assert written.dtype == np.uint32
        assert (written == imread(f"morphometry/one_{part}.tif")).all()
        assert read_record(f"rois/one_{part}.tif").pixel_size()[0] == pytest.approx(0.1)
    mask, rest = read_mask("preds/one_mask.tif"), imread("rois/one_rest.tif")
    assert set(np.unique(rest)) == {0, 1, 2}
    assert ((rest == 1) == (mask & (imread("rois/one_labels.tif") == 0))).all()
    table = read_table("rois/one_features.csv")
    assert [row["index"] for row in table] == [row["fiber"] for row in table]
    assert {row["index"] for row in table} == set(map(str, range(1, len(table) + 1)))


def test_an_image_without_fibers_gives_empty_files(folder):
    save(Path("masks/empty_mask.tif"), np.zeros((20, 30), bool))
    for kind in ("imagej", "qupath", "napari"):
        rois.main(["export", "--masks", "masks", "--format", kind])
    with zipfile.ZipFile("rois/empty.zip") as archive:
        assert archive.namelist() == []
    assert json.loads(Path("rois/empty.geojson").read_text(encoding="utf-8"))["features"] == []
    assert not imread("rois/empty_labels.tif").any()


def test_mistakes_in_export(folder, capsys):
    def said(*options):
        return fails(rois.main, capsys, "export", *options).replace("\\", "/")

    assert "morphometry/run.json: missing" in said()
    measure_drawn()
    assert "error: two: not in morphometry, which has one" in said("two")
    assert "error: --pixel-size: " in said("--pixel-size", "0.2")
    assert "error: --out preds: " in said("--out", "preds")
    assert "ACTION" in fails(rois.main, capsys)
    mask = drawn_mask()
    mask[:60, :60] = False
    for changed in (drawn_mask()[:-1], mask):
        save(Path("preds/one_mask.tif"), changed)
        assert "preds/one_mask.tif: changed since it was measured" in said()
    save(Path("preds/one_mask.tif"), drawn_mask())
    for content in (np.full((150, 220), 0.5, np.float32), np.zeros((150, 220, 3), np.uint8)):
        write_image(Path("morphometry/one_axons.tif"), content)
        assert "morphometry/one_axons.tif: " in said()
    Path("morphometry/one_axons.tif").write_bytes(b"II*\0")
    assert "morphometry/one_axons.tif: cannot be read" in said()
    assert not Path("rois").exists()
    save(Path("masks/long_mask.tif"), np.zeros((1, 2**15), bool))
    assert "--format qupath" in said("--masks", "masks")  # beyond ImageJ's coordinates


def test_the_mask_that_was_measured_may_be_gone(folder, capsys):
    measure_drawn()
    Path("preds/one_mask.tif").unlink()
    save(Path("preds/two_mask.tif"), drawn_mask())
    rois.main(["export"])
    assert "note: preds: no mask of one" in capsys.readouterr().out
    names = {roi.name for roi in ImagejRoi.fromfile("rois/one.zip")}
    assert names == set(fiber_areas_px())
