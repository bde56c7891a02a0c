"""rois.py import and restore: corrected outlines to masks, and nothing of the user's lost."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from measuring import fails, read_table
from nerves import SHAPE
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi
from tifffile import imread, imwrite

import morphometry
import rois
from myelin.images.image import read_mask, write_image
from myelin.runtime.lock import holding


def exported(kind="imagej"):
    rois.main(["export", "--format", kind])
    return {"imagej": "rois/one.zip", "qupath": "rois/one.geojson"}.get(kind)


def exported_files():
    return [str(path) for path in Path("rois").iterdir() if path.suffix != ".csv"]


def rewrite(path, change):
    """Change the list of ROIs of a zip, as a person does in the ROI Manager."""
    kept = change(ImagejRoi.fromfile(path))
    Path(path).unlink()
    for roi in kept:
        roi.tofile(path, mode="a")


def import_without(count):
    """Import the exported outlines without the first ones; return their file."""
    path = exported()
    rewrite(path, lambda found: found[count:])
    rois.main(["import", path])
    return path


def circle(x, y, radius, name=""):
    angle = np.linspace(0, 2 * np.pi, 100)
    points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    return ImagejRoi.frompoints(points, name=name)


def disc(x, y, radius):
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    return np.hypot(cols - x, rows - y) < radius


def zip_of(*parts, path="one.zip"):
    for index, roi in enumerate(parts):
        roi.tofile(path, name=roi.name or f"{index}", mode="a" if index else "w")
    return path


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("kind", ["imagej", "qupath", "napari"])
def test_what_is_not_changed_comes_back_to_the_pixel(measured, kind, capsys):
    exported(kind)
    before = read_table("morphometry/one_fibers.csv")
    rois.main(["import", *exported_files(), "--train"])
    out = capsys.readouterr().out
    assert "one: 5 fibers, 5 axons, rois" in out
    assert out.count("warning") == 1 and "unchanged by hand" in out
    assert (read_mask("raw/train/one_mask.tif") == measured).all()
    assert (read_mask("preds/one_mask.tif") == measured).all()
    assert (read_mask("preds/one_axon.tif") == (imread("morphometry/one_axons.tif") > 0)).all()
    morphometry.main(["--pixel-size", "0.1", "--no-pictures"])
    after = read_table("morphometry/one_fibers.csv")
    assert [row["fiber_area_um2"] for row in after] == [row["fiber_area_um2"] for row in before]


def test_axons_that_touch_at_a_corner_stay_two(folder):
    labels = np.zeros((20, 20), np.uint32)
    labels[2:10, 2:10], labels[10:18, 10:18] = 1, 2
    axons = np.zeros_like(labels)
    axons[5:10, 5:10], axons[10:15, 10:15] = 1, 2
    write_image(Path("raw/test/one.tif"), np.zeros((20, 20), np.uint8))
    for part, image in (("labels", labels), ("axons", axons)):
        imwrite(f"one_{part}.ome.tif", image)
    rois.main(["import", "one_labels.ome.tif", "one_axons.ome.tif"])
    assert (read_mask("preds/one_mask.tif") == ((labels > 0) & (axons == 0))).all()
    assert not read_mask("preds/one_axon.tif")[10, 10]
    assert read_mask("preds/one_axon.tif").sum() == 49


# ---------------------------------------------------------------- corrections


def test_deleted_moved_and_added_outlines(measured, capsys):
    path = exported()

    def correct(found):
        kept = [roi for roi in found if not roi.name.startswith("0001_")]
        for roi in kept:
            if roi.name.startswith("0002_"):
                roi.left, roi.right = roi.left + 1, roi.right + 1
        return [*kept, circle(40, 120, 20), circle(40, 120, 10)]  # the new ones without a name

    labels, axons = (imread(f"morphometry/one_{part}.tif") for part in ("labels", "axons"))
    rewrite(path, correct)
    rois.main(["import", path])
    assert "one: 5 fibers, 5 axons" in capsys.readouterr().out
    mask, axon = read_mask("preds/one_mask.tif"), read_mask("preds/one_axon.tif")
    gone = (labels == 1) & ~np.roll(labels == 2, 1, axis=1)
    assert not mask[gone & ~disc(40, 120, 22)].any()
    assert axon[disc(40, 120, 9.5)].all() and not mask[disc(40, 120, 9.5)].any()
    assert mask[disc(40, 120, 19.5) & ~disc(40, 120, 10.5)].all()
    assert (axon & (labels == 2) == np.roll(axons == 2, 1, axis=1) & (labels == 2)).all()
    morphometry.main(["--pixel-size", "0.1", "--no-pictures"])
    assert len(read_table("morphometry/one_fibers.csv")) == 5


def test_kinds_of_outlines_that_imagej_draws(folder):
    write_image(Path("raw/test/one.tif"), np.zeros(SHAPE, np.uint8))
    rectangle, oval, line = ImagejRoi(), ImagejRoi(), ImagejRoi()
    rectangle.roitype, oval.roitype, line.roitype = ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.LINE
    for roi, x in ((rectangle, 5), (oval, 50)):
        roi.left, roi.top, roi.right, roi.bottom = x, 10, x + 30, 40
    rectangle.name, oval.name, line.name = "fiber 1", "fibre 2", "a scale bar"
    rectangle.options |= ROI_OPTIONS.OVERLAY_LABELS
    ring = ImagejRoi(roitype=ROI_TYPE.RECT, name="Fiber 3", left=100, top=10, right=140, bottom=50)
    path = [0, 100, 10, 1, 140, 10, 1, 140, 50, 1, 100, 50, 4]  # a square with a square hole
    path += [0, 110, 20, 1, 130, 20, 1, 130, 40, 1, 110, 40, 4]
    ring.multi_coordinates, ring.shape_roi_size = np.array(path, np.float32), len(path)
    rois.main(["import", zip_of(rectangle, oval, line, ring)])
    mask = read_mask("preds/one_mask.tif")
    assert mask[10:40, 5:35].all() and mask[:, :45].sum() == 900
    assert mask[10:40, 45:90].sum() == pytest.approx(np.pi * 15**2, rel=0.02)
    assert mask[:, 100:150].sum() == 1600 - 400


def test_doubts_are_named(measured, capsys):
    path = exported()
    added = [
        circle(200, 140, 30, "fiber 90"),  # leaves the image, has no axon
        circle(20, 140, 5, "axon 91"),  # has no fiber
        circle(82, 60, 20, "fiber 92"),  # overlaps fiber 2
        ImagejRoi(roitype=ROI_TYPE.LINE, name="scale bar"),
    ]
    rewrite(path, lambda found: [*found, *added])
    rois.main(["import", path])
    lines = capsys.readouterr().out.splitlines()
    warnings = [line.rpartition(": ") for line in lines if line.startswith("warning: one: ")]
    assert [named for _, _, named in warnings] == [
        "scale bar",
        "fiber 90",
        "0003_fiber and fiber 92",
        "axon 91",
        "fiber 90, fiber 92",
    ]
    assert not read_mask("preds/one_axon.tif")[disc(20, 140, 5)].any()


def test_edited_label_images(measured, capsys):
    exported("napari")
    labels, axons = (imread(f"rois/one_{part}.tif") for part in ("labels", "axons"))
    labels[labels == 1] = 0  # erased; its axon was forgotten
    labels[disc(40, 120, 20)], axons[disc(40, 120, 10)] = 77, 77
    imwrite("one_labels.tif", labels.astype(np.int32))
    imwrite("one_axons.tif", axons.astype(np.float32))  # as ImageJ saves 32 bits
    rois.main(["import", "one_labels.tif", "one_axons.tif"])
    assert "axons without a fiber, left out: 1\n" in capsys.readouterr().out
    expected = (axons > 0) & (labels > 0)
    assert (read_mask("preds/one_axon.tif") == expected).all()
    rest = imread("rois/one_rest.tif")
    myelin = (labels > 0) & ~expected & (rest != 2) | (labels == 0) & (rest == 1)
    assert (read_mask("preds/one_mask.tif") == myelin).all()
    Path("rois/one_rest.tif").unlink()  # then a mask is its fibers alone
    rois.main(["import", "one_labels.tif", "one_axons.tif"])
    assert (read_mask("preds/one_mask.tif") == ((labels > 0) & ~expected)).all()


def test_numbers_in_several_pieces_are_several_fibers(folder, capsys):
    """Numbers above 255 began again: two rings have one number; a third lies beyond its fiber."""
    write_image(Path("raw/test/one.tif"), np.zeros(SHAPE, np.uint8))
    labels, axons = np.zeros(SHAPE, np.int64), np.zeros(SHAPE, np.int64)
    for x, number in ((40, 7), (110, 7), (170, 9)):
        labels[disc(x, 70, 25)], axons[disc(x, 70, 12)] = number, number
    axons[disc(110, 130, 6)] = 7
    for part, image in (("labels", labels), ("axons", axons)):
        imwrite(f"one_{part}.tif", image[None])  # as napari saves them
    rois.main(["import", "one_labels.tif", "one_axons.tif"])
    said = capsys.readouterr().out
    assert "axons without a fiber, left out: 7" in said and "one: 3 fibers, 3 axons" in said
    assert (read_mask("preds/one_axon.tif") == (axons > 0) & (labels > 0)).all()


def test_an_import_of_one_outline_is_refused(measured, capsys):
    path = exported()
    rewrite(path, lambda found: found[:1])  # as ImageJ saves while one outline is selected
    said = fails(rois.main, capsys, "import", path, "--train")
    assert "one.zip: 0 fibers, but one had 5; was one outline selected" in said
    assert (read_mask("preds/one_mask.tif") == measured).all()
    assert not Path("raw/train/one_mask.tif").exists()
    shutil.rmtree("morphometry")  # the mask is known
    assert "but one had 5" in fails(rois.main, capsys, "import", path)
    rois.main(["import", path, "--force"])


def test_qupath_features_of_every_kind(folder):
    write_image(Path("raw/test/one.tif"), np.zeros((60, 60), np.uint8))

    def polygon(low, high):
        ring = [[low, low], [high, low], [high, high], [low, high], [low, low]]
        return {"type": "Polygon", "coordinates": [ring]}

    def feature(label, low, high, **more):
        properties = {"classification": label}
        return {"type": "Feature", "geometry": polygon(low, high), "properties": properties} | more

    features = [
        feature({"name": "Fiber"}, 2, 10, nucleusGeometry=polygon(4, 8)),
        feature({"names": ["Fibre", "doubtful"]}, 20, 30),
        feature("Axon", 22, 28),
        feature(None, 40, 50),  # drawn without a class: fiber, and in it axon
        feature(None, 42, 48),
        feature({"name": "Fascicle"}, 0, 55),
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
    ]
    for content in (features, {"type": "FeatureCollection", "features": features}):
        Path("one.geojson").write_text(json.dumps(content), encoding="utf-8")
        rois.main(["import", "one.geojson"])
        axon, mask = read_mask("preds/one_axon.tif"), read_mask("preds/one_mask.tif")
        expected = np.zeros((60, 60), bool)
        for low, high in ((4, 8), (22, 28), (42, 48)):
            expected[low:high, low:high] = True
        assert (axon == expected).all()
        assert mask.sum() == 64 - 16 + 2 * (100 - 36)
        assert read_mask("preds/one_nerve.tif").sum() == 55**2


# ---------------------------------------------------------------- nerves


def test_an_outline_of_the_nerve_leaves_the_masks_alone(measured, capsys):
    rois.main(["import", zip_of(circle(100, 70, 60), path="one_nerve.zip")])
    assert (read_mask("preds/one_nerve.tif") == disc(100, 70, 60)).mean() > 0.999
    assert (read_mask("preds/one_mask.tif") == measured).all()
    assert not Path("preds/one_axon.tif").exists()
    outside = zip_of(circle(900, 70, 60), path="one_nerve.zip")
    assert "one_nerve.zip: the nerve has no pixel" in fails(rois.main, capsys, "import", outside)
    rois.main(["import", "--force", zip_of(circle(100, 70, 900), path="one_nerve.zip")])
    assert (imread("preds/one_nerve.tif") == 255).all()


def test_fascicles_are_numbered_and_a_nerve_around_them_is_left_out(measured, capsys):
    zip_of(circle(100, 70, 60, "nerve"), circle(70, 70, 20, "Fascicle a"), path="one_nerve.zip")
    zip_of(circle(120, 70, 25, "fascicle b"), path="one.zip")
    rois.main(["import", "one.zip", "one_nerve.zip"])
    assert "2 fascicles -> preds" in capsys.readouterr().out
    numbers = imread("preds/one_nerve.tif")
    assert ((numbers == 1) == disc(120, 70, 25)).mean() > 0.999
    assert ((numbers == 2) == disc(70, 70, 20) & (numbers != 1)).mean() > 0.999
    rois.main(["import", "one.zip", "one_nerve.zip"])
    assert "the same as before" in capsys.readouterr().out
    rois.main(["import", "one.zip"])
    assert (imread("preds/one_nerve.tif") > 0).sum() == (numbers == 1).sum()


@pytest.mark.parametrize("kind", ["imagej", "qupath", "napari"])
@pytest.mark.parametrize("numbers", [(255, 255), (7, 3)])
def test_outlines_of_nerves_go_there_and_come_back(measured, kind, numbers):
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[:80, :110], drawn[:80, 110:200] = numbers
    write_image(Path("preds/one_nerve.tif"), drawn)
    morphometry.main(["--pixel-size", "0.1", "--no-pictures"])
    exported(kind)
    for name in ("preds/one_nerve.tif", "preds/one_mask.tif"):
        Path(name).unlink()
    rois.main(["import", *exported_files()])
    assert (imread("preds/one_nerve.tif") == drawn).all()
    assert (read_mask("preds/one_mask.tif") == measured).all()


# ---------------------------------------------------------------- nothing lost


def test_the_models_mask_is_restored(measured, capsys):
    path = import_without(4)
    corrected = read_mask("preds/one_mask.tif")
    assert (corrected != measured).any()
    assert (read_mask("preds/model/one_mask.tif") == measured).all()
    rois.main(["restore", "one"])
    assert (read_mask("preds/one_mask.tif") == measured).all()
    assert not Path("preds/one_axon.tif").exists()
    assert (read_mask("preds/corrected/one_mask.tif") == corrected).all()
    assert "preds/corrected" in capsys.readouterr().out.replace("\\", "/")
    assert "is the model's own mask" in fails(rois.main, capsys, "restore", "one")
    rois.main(["import", path])  # and forth again
    assert (read_mask("preds/one_mask.tif") == corrected).all()


def test_the_models_mask_is_restored_from_its_probability(measured, capsys):
    write_image(Path("preds/one_pred.png"), np.where(measured, 128, 127).astype(np.uint8))
    import_without(4)
    Path("preds/model/one_mask.tif").unlink()
    rois.main(["restore", "one"])
    assert (read_mask("preds/one_mask.tif") == measured).all()
    Path("preds/one_pred.png").unlink()
    Path("preds/one_mask.tif").unlink()
    assert "one: no mask of the model" in fails(rois.main, capsys, "restore", "one")


def test_restore_names_the_id_of_an_image_in_a_tree(measured, capsys):
    run = {"threshold": 0.5, "images": {"control/a1/one": {}, "two": {}}}
    Path("preds/run.json").write_text(json.dumps(run), encoding="utf-8")
    assert "control/a1/one" in fails(rois.main, capsys, "restore", "one")
    said = fails(rois.main, capsys, "restore", "three")
    assert "three: not an image of the run in preds, use an id such as control/a1/one, two" in said
    Path("preds/run.json").unlink()
    said = fails(rois.main, capsys, "restore", "three")
    assert "three: no mask of the model" in said


def test_what_was_made_by_hand_is_replaced_only_by_force(measured, capsys):
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[:9] = 255
    write_image(Path("raw/train/one_mask.png"), drawn)
    said = fails(rois.main, capsys, "import", exported(), "--train").replace("\\", "/")
    assert "raw/train/one_mask.png: " in said and "--force" in said
    assert not Path("preds/one_axon.tif").exists()  # nothing half done
    path = import_without(4)
    first = read_mask("preds/one_mask.tif")
    rois.main(["import", path])
    assert "the same as before" in capsys.readouterr().out
    for part in ("mask", "axon"):  # saved by another program, which drops the record
        image = imread(f"preds/one_{part}.tif")
        image[:3, :3] = 255
        imwrite(f"preds/one_{part}.tif", image)
    first = read_mask("preds/one_mask.tif")
    rewrite(path, lambda found: found[2:])
    said = fails(rois.main, capsys, "import", path).splitlines()
    assert len(said) == 2 and all("with --force" in line for line in said)
    assert (read_mask("preds/one_mask.tif") == first).all()
    rois.main(["import", path, "--train", "--force"])
    assert (read_mask("raw/train/corrected/one_mask.png") == (drawn > 0)).all()
    assert not Path("raw/train/one_mask.png").exists()
    assert (read_mask("raw/train/one_mask.tif") == read_mask("preds/one_mask.tif")).all()
    assert Path("raw/train/one.tif").read_bytes() == Path("raw/test/one.tif").read_bytes()
    assert (read_mask("preds/one_mask.tif") != first).any()
    assert (read_mask("preds/corrected/one_mask.tif") == first).all()
    assert (read_mask("preds/model/one_mask.tif") == measured).all()


# ---------------------------------------------------------------- bad files


def entry(name, content=b"Iout"):
    def write(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)

    return write


def text(content):
    return lambda path: Path(path).write_text(content, encoding="utf-8")


def polygon(points):
    return text(json.dumps({"type": "Polygon", "coordinates": [points]}))


ZIGZAG = [[0, 0], *[[1, 1e6], [1, -1e6]] * 40_000, [0, 0]]
BAD = {
    "no zip": ("one.zip", lambda path: Path(path).write_bytes(b"PK\3\4 not"), "BadZipFile"),
    "no ROI in it": ("one.zip", entry("readme.txt"), "no ROIs"),
    "a cut ROI": ("one.zip", entry("a.roi"), "too short"),
    "a bomb": ("one.zip", entry("a.roi", bytes(2**28 + 1)), "268,435,457 bytes"),
    "an unknown image": ("other.zip", entry("a.roi"), "no image of that name"),
    "no such kind": ("one.docx", text(""), "not a ROI zip"),
    "no JSON": ("one.geojson", text("{"), "cannot be read as GeoJSON"),
    "JSON of something else": ("one.geojson", text('{"a": 1}'), "feature 1: "),
    "nested without end": ("one.geojson", text("[" * 10**5), "RecursionError"),
    "an open ring": ("one.geojson", polygon([[0, 0], [5, 0], [5, 5], [0, 5]]), "a ring is open"),
    "no number": ("one.geojson", polygon([[0, float("nan")]]), "not two numbers"),
    "up and down": ("one.geojson", polygon(ZIGZAG), "goes up and down"),
    "nothing in it": ("one.geojson", text('{"features": []}'), "no outlines"),
    "another size": (
        "one_labels.tif",
        lambda path: imwrite(path, np.zeros((9, 9), np.uint16)),
        "9 x 9 pixels instead of 150 x 220",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_one_clear_error(folder, capsys, what):
    write_image(Path("raw/test/one.tif"), np.zeros(SHAPE, np.uint8))
    name, write, expected = BAD[what]
    Path("in").mkdir()
    write(f"in/{name}")
    said = fails(rois.main, capsys, "import", f"in/{name}")
    assert said.count("error: ") == said.count("\n") == 1
    assert expected in said and name in said
    assert not Path("preds").exists()


def test_files_are_named_by_a_pattern_or_with_the_image(measured, capsys):
    exported()
    rois.main(["import", "rois/*.zip"])  # as PowerShell leaves it
    assert "one: 5 fibers" in capsys.readouterr().out
    shutil.copy("rois/one.zip", "RoiSet.zip")
    rewrite("rois/one.zip", lambda found: found[4:])
    said = fails(rois.main, capsys, "import", "rois/one.zip", "rois/*.roi", "missing.geojson")
    assert said.count("no such file") == 2  # and nothing is imported
    assert (read_mask("preds/one_mask.tif") == measured).all()
    assert "--id" in fails(rois.main, capsys, "import", "RoiSet.zip")
    rois.main(["import", "RoiSet.zip", "--id", "one"])
    imwrite("edited.tif", np.zeros(SHAPE, np.uint16))
    said = fails(rois.main, capsys, "import", "edited.tif", "--id", "one")
    assert "call it one_labels.tif or one_axons.tif" in said
    assert "--id two: " in fails(rois.main, capsys, "import", "RoiSet.zip", "--id", "two")


def test_nobody_else_writes_meanwhile(measured, capsys):
    path = exported()
    with holding(Path("preds")):
        assert "preds: in use by" in fails(rois.main, capsys, "import", path)
        assert "preds: in use by" in fails(rois.main, capsys, "restore", "one")
    with holding(Path("morphometry")):
        assert "morphometry: in use by" in fails(rois.main, capsys, "export")
