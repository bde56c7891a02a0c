"""`rois.py export`: reads measured fibers or masks, writes for ImageJ, QuPath or napari."""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.exchange.drawing import FASCICLE, NERVE, Drawing, Outline
from myelin.exchange.geojson import write_geojson
from myelin.exchange.imagej_rois import MAX_COORDINATE, write_zip
from myelin.folders.image_tree import names_within, source_of, takes_of
from myelin.folders.naming import MORPHOMETRY, find_masks, is_id
from myelin.folders.ownership import read_run
from myelin.images.image import read_labels, read_mask, read_record, write_image
from myelin.measure.cases import Reader, images_of, read_cases
from myelin.measure.exclude import mask_hash
from myelin.measure.frame import find_frame
from myelin.measure.nerve import find_nerves, read_nerve
from myelin.pixels.outlines import trace
from myelin.runtime import tables
from myelin.runtime.cli import UserError, shortened_list


@dataclass
class Source:
    """One image to export.

    Attributes
    ----------
    name : str
        The image's id.
    drawing : drawing.Drawing
    measurements : dict of int to dict
        By fiber number, columns of `<id>_fibers.csv` with their values.
    pixel_size_um : float or None
    nerves : int32 array, (rows, cols), or None
        Numbers of fascicles, as from `nerve.read_nerve`.
    """

    name: str
    drawing: Drawing
    measurements: dict
    pixel_size_um: float | None
    nerves: np.ndarray | None = None

    def outlines(self):
        """Return all its `drawing.Outline`s, those of nerves last."""
        found = {} if self.nerves is None else trace(self.nerves)
        kind = FASCICLE if len(found) > 1 else NERVE
        return self.drawing.outlines() + [
            Outline(kind, f"{kind}_{number}", polygons) for number, polygons in found.items()
        ]

    @property
    def fiber_count(self):
        return np.count_nonzero(np.bincount(self.drawing.fibers.ravel())[1:])


# ---------------------------------------------------------------- what to export


def from_morphometry(ids):
    """Yield the `Source`s of the last run of `morphometry.py`; all where `ids` is empty."""
    path = MORPHOMETRY / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        folder, names, hashes = Path(run["masks"]), list(run["fibers"]), run["mask_sha256"]
        if not all(map(is_id, names)):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not there or not whole, run python morphometry.py") from None
    masks = find_masks(folder, names=names) if folder.is_dir() else {}
    nerves = find_nerves(names, folder, source_of(run.get("segmentation")))
    for name in chosen(ids, names, MORPHOMETRY):
        labels, axons = (MORPHOMETRY / f"{name}_{part}.tif" for part in ("labels", "axons"))
        fibers, mask = read_labels(labels), None
        if name in masks:
            mask, axon = (path and read_mask(path) for path in masks[name])
            if mask_hash(mask, axon) != hashes.get(name) or mask.shape != fibers.shape:
                raise UserError(
                    f"{masks[name][0]}: changed since it was measured, run python morphometry.py"
                )
        else:
            print(f"note: no mask of {name} in {folder}, outlines of whole fibers alone")
        drawing = Drawing.of(fibers, read_labels(axons, fibers.shape), mask)
        size, _ = read_record(labels).pixel_size()
        table = read_table(MORPHOMETRY / f"{name}_fibers.csv")
        yield Source(name, drawing, table, size, nerves.get(name) and read_nerve(nerves[name]))


def from_masks(folder, ids, pixel_size_um):
    """Yield the `Source`s of a folder of masks, measured now; all where `ids` is empty.

    Without a pixel size there are no measurements, as these are in µm.
    """
    from myelin.measure.fibers import measure_fibers

    masks = find_masks(folder, names=names_within(folder))
    masks = {name: masks[name] for name in chosen(ids, masks, folder)}
    source = source_of(read_run(folder))
    images = images_of(masks, source) if source.is_dir() else {}
    reader = Reader()
    reader.takes = takes_of(read_run(folder), images.values())
    nerves = find_nerves(masks, folder, source)
    for case in read_cases([masks], images, pixel_size_um, reader, in_pixels=True, nerves=nerves):
        myelin, axon = map(reader.mask, case.masks[0])
        size, image = case.pixel_size_um, reader.image(case.image)
        frame = find_frame(myelin, image, reader.nerve(case.nerve))
        fibers = measure_fibers(myelin, size or 1.0, axon, image, frame=frame)
        rows = zip(*(values.tolist() for values in fibers.columns.values()), strict=True)
        rows = (dict(zip(fibers.columns, row, strict=True)) for row in rows)
        table = {row["fiber"]: numbers(row) for row in rows} if size else {}
        drawing = Drawing.of(fibers.labels[:], fibers.axons[:], myelin)
        yield Source(case.name, drawing, table, size, reader.nerve(case.nerve))


def chosen(ids, found, folder):
    """Return the ids asked for, or all."""
    unknown = [name for name in ids if name not in found]
    if unknown:
        raise UserError(
            f"{shortened_list(unknown)}: not in {folder}, which has "
            f"{shortened_list(list(found))}; check the name"
        )
    return ids or list(found)


def read_table(path):
    """Return a table `<id>_fibers.csv` as `Source.measurements`."""
    try:
        header, rows = tables.read_table(path)
    except ValueError as error:
        raise UserError(f"{path}: no table ({error}), run python morphometry.py") from None
    rows = [numbers(dict(zip(header, row, strict=False))) for row in rows]
    return {int(row["fiber"]): row for row in rows if "fiber" in row}


def numbers(row):
    """Return the cells of a table's row that are numbers, as floats; yes and no are 1 and 0."""
    found = {}
    for name, value in row.items():
        try:
            value = float({"True": 1, "False": 0}.get(value, value))
        except (TypeError, ValueError):
            continue  # text, or an empty cell
        if math.isfinite(value):
            found[name] = value
    return found


# ---------------------------------------------------------------- writing


def export(source, kind, folder):
    """Write one image for "imagej", "qupath" or "napari"; return the paths written.

    What its mask has besides fibers is the label image `<id>_rest.tif`: 1 is myelin of no fiber,
    2 a gap within one.
    """
    write = {"imagej": write_imagej, "qupath": write_qupath, "napari": write_napari}[kind]
    paths, rest = write(source, folder), folder / f"{source.name}_rest.tif"
    if not source.drawing.rest.any():
        rest.unlink(missing_ok=True)  # of an earlier mask
        return paths
    write_image(rest, source.drawing.rest.astype(np.uint32), source.pixel_size_um)
    return [*paths, rest]


def write_imagej(source, folder):
    if max(source.drawing.fibers.shape) > MAX_COORDINATE:
        raise UserError(
            f"{source.name}: longer than the {MAX_COORDINATE:,} pixels that ImageJ's outlines "
            "reach, take --format qupath"
        )
    path = folder / f"{source.name}.zip"
    write_zip(path, source.outlines())
    return [path]


def write_qupath(source, folder):
    path = folder / f"{source.name}.geojson"
    write_geojson(path, source.outlines(), source.measurements, source.name)
    return [path]


def write_napari(source, folder):
    """Write label images, of 32 bits as napari takes others for images, and the table."""
    parts = {"labels": source.drawing.fibers, "axons": source.drawing.axons}
    if source.nerves is not None:
        parts["nerve"] = source.nerves
    paths = [folder / f"{source.name}_{part}.tif" for part in parts]
    for path, labels in zip(paths, parts.values(), strict=True):
        write_image(path, labels.astype(np.uint32), source.pixel_size_um)
    if not source.measurements:
        return paths
    table = folder / f"{source.name}_features.csv"
    columns = list(dict.fromkeys(itertools.chain(*source.measurements.values())))
    rows = ([number, *map(row.get, columns)] for number, row in source.measurements.items())
    tables.write_table(table, ["index", *columns], rows)
    return [*paths, table]
