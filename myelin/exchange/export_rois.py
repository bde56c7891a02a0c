"""Export measured fibers, or the fibers of masks, to ImageJ, QuPath or napari."""

import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myelin.exchange.drawing import EXCLUDED, FASCICLE, NERVE, Drawing, Outline
from myelin.exchange.geojson import write_geojson
from myelin.exchange.imagej_rois import MAX_COORDINATE, write_zip
from myelin.folders.image_tree import source_of
from myelin.folders.mask_record import read_run
from myelin.folders.mask_set import MaskSet, find_files, find_masks
from myelin.folders.naming import MORPHOMETRY
from myelin.folders.pixel_sizes import given_sizes
from myelin.folders.reader import Reader
from myelin.images.image import read_labels, read_record, write_image
from myelin.measure.exclude import SAME_PLACE_PX, mask_hash
from myelin.measure.fibers import Fibers
from myelin.measure.nerve import read_nerve
from myelin.pixels.labels import LabelImage
from myelin.pixels.outlines import trace
from myelin.runtime import tables
from myelin.runtime.cli import UserError, count_of, shortened_list


@dataclass
class Source:
    """One image to export."""

    name: str  # the image's id
    drawing: Drawing
    measurements: dict[int, dict[str, float]]  # columns of `<id>_fibers.csv` by fiber number
    pixel_size_um: float | None
    nerves: LabelImage | None = None  # numbers of fascicles
    excluded: Collection[int] = ()  # numbers of fibers that are left out of the statistics

    def outlines(self) -> list[Outline]:
        """Return the outlines of fibers, then those of nerves."""
        found = {} if self.nerves is None else trace(self.nerves.to_array())
        kind = FASCICLE if len(found) > 1 else NERVE
        return self.drawing.outlines(self.excluded) + [
            Outline(kind, f"{kind}_{number}", polygons) for number, polygons in found.items()
        ]

    @property
    def content(self) -> str:
        """The number of fibers in words."""
        text = count_of(len(np.unique(self.drawing.fibers[self.drawing.fibers > 0])), "fiber")
        return text + f", {len(self.excluded)} of them excluded" * bool(self.excluded)


# ---------------------------------------------------------------- what to export


def from_morphometry(ids: Collection[str]) -> Iterator[Source]:
    """Yield the images of the last run of `morphometry.py`; all if `ids` is empty."""
    from myelin.measure.cases import fibers_of, frame_of, make_cases  # late, for a fast --help

    path = MORPHOMETRY / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        folder, names, hashes = Path(run["masks"]), list(run["fibers"]), dict(run["mask_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: missing or damaged, run python morphometry.py") from None
    masks, reader = find_masks(folder, names=names) if folder.is_dir() else {}, Reader()
    found, source = MaskSet(folder, masks, run.get("segmentation")), run.get("image_folder")
    source = Path(source or source_of(found.run))
    find_files(found, source, reader)
    for name in chosen(ids, names, MORPHOMETRY):
        labels, axons = (MORPHOMETRY / f"{name}_{part}.tif" for part in ("labels", "axons"))
        fibers, mask = read_labels(labels), None
        if name in masks:
            mask, axon = reader.masks(masks[name])
            if mask_hash(mask, axon) != hashes.get(name):
                raise UserError(
                    f"{masks[name][0]}: changed since it was measured, run python morphometry.py"
                )
        else:
            print(f"note: {folder}: no mask of {name}, only its whole fibers are exported")
        axons = read_labels(axons, fibers.shape)
        size, _ = read_record(labels).pixel_size()
        table = read_measurements(MORPHOMETRY / f"{name}_fibers.csv")
        excluded = []
        if name in masks and any(row.get(EXCLUDED) for row in table.values()):
            (case,) = make_cases([{name: masks[name]}], found.images, found.nerves)
            case.pixel_size_um = run["pixel_sizes_um"][name]
            again = fibers_of(case, reader, frame_of(case, reader, run["whole_frame"]))
            if same_fibers(again, table):
                excluded = add_excluded((fibers, axons), table, again)
            else:
                print(f"note: {name}: without its excluded fibers, as its image is not in {source}")
        drawing = Drawing.of(fibers, axons, mask)
        nerve = found.nerves.get(name) and read_nerve(found.nerves[name])
        yield Source(name, drawing, table, size, nerve, excluded)


def add_excluded(
    drawing: tuple[np.ndarray, np.ndarray], table: dict[int, dict], found: Fibers
) -> list[int]:
    """Add the excluded fibers, which label images lack, and return their numbers.

    `drawing` is the label images of fibers and axons, which are changed; `found` the fibers of the
    table, measured again.
    """
    excluded = [number for number, row in table.items() if row.get(EXCLUDED)]
    numbers = np.array([0, *table])
    for labels, image in zip(drawing, (found.labels, found.axons), strict=True):
        again = numbers[image.to_array()]
        left_out = np.isin(again, excluded) & (labels == 0)
        labels[left_out] = again[left_out]
    return excluded


def same_fibers(found: Fibers, table: dict[int, dict]) -> bool:
    """Return whether fibers that were measured again have the places that a table records."""
    places = [[row.get("x_px", math.nan), row.get("y_px", math.nan)] for row in table.values()]
    now = np.stack([found.columns["x_px"], found.columns["y_px"]], axis=1)
    return len(now) == len(places) and np.allclose(now, places, atol=SAME_PLACE_PX)


def from_masks(
    folder: Path, ids: Collection[str], pixel_size: float | Path | None
) -> Iterator[Source]:
    """Measure a folder of masks, and yield its images; all if `ids` is empty.

    Images without a pixel size have no measurements.
    """
    from myelin.measure.cases import check_cases, fibers_of, frame_of, make_cases, nerve_of

    masks, reader, run = find_masks(folder), Reader(), read_run(folder)
    masks = {name: masks[name] for name in chosen(ids, masks, folder)}
    found = MaskSet(folder, masks, run)
    find_files(found, source_of(run), reader)
    cases = make_cases([masks], found.images, found.nerves)
    check_cases(cases, given_sizes(pixel_size, masks), reader, in_pixels=True)
    for case in cases:
        fibers = fibers_of(case, reader, frame_of(case, reader))
        rows = zip(*(values.tolist() for values in fibers.columns.values()), strict=True)
        table = measurements_of(fibers.columns, rows) if case.pixel_size_um else {}
        myelin, _ = reader.masks(case.masks[0])
        drawing = Drawing.of(fibers.labels.to_array(), fibers.axons.to_array(), myelin)
        yield Source(case.name, drawing, table, case.pixel_size_um, nerve_of(case, reader))


def chosen(ids: Collection[str], found: Collection[str], folder: Path) -> list[str]:
    """Return the requested ids, or all that were found if none is requested."""
    unknown = [name for name in ids if name not in found]
    if unknown:
        raise UserError(
            f"{shortened_list(unknown)}: not in {folder}, which has "
            f"{shortened_list(list(found))}; check the name"
        )
    return list(ids or found)


def read_measurements(path: Path) -> dict[int, dict[str, float]]:
    """Return the numbers in a table `<id>_fibers.csv` by fiber number."""
    try:
        return measurements_of(*tables.read_table(path))
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a table of fibers ({error}), run python morphometry.py"
        ) from None


def measurements_of(header: Collection[str], rows: Iterable) -> dict[int, dict[str, float]]:
    """Return the finite numbers of each row by its fiber number; yes and no become 1 and 0."""
    found = {}
    for row in rows:
        numbers = {}
        for name, value in zip(header, row, strict=False):
            value = bool(value) if name == EXCLUDED else value  # the reason
            try:
                number = float({"True": 1, "False": 0}.get(value, value))
            except (TypeError, ValueError):
                continue  # text, or an empty cell
            if math.isfinite(number):
                numbers[name] = number
        found[int(numbers["fiber"])] = numbers
    return found


# ---------------------------------------------------------------- writing


def export(source: Source, program: str, folder: Path) -> list[Path]:
    """Write one image for "imagej", "qupath" or "napari", and return the paths written.

    The rest of its mask goes to the label image `<id>_rest.tif`: 1 is myelin outside
    fibers, 2 a gap within a fiber.
    """
    if program == "napari":
        paths = write_napari(source, folder)
    elif program == "qupath":
        paths = [folder / f"{source.name}.geojson"]
        write_geojson(paths[0], source.outlines(), source.measurements, source.name)
    else:
        if max(source.drawing.fibers.shape) > MAX_COORDINATE:
            raise UserError(
                f"{source.name}: longer than {MAX_COORDINATE:,} pixels, the limit of ImageJ's "
                "outlines; use --format qupath"
            )
        paths = [folder / f"{source.name}.zip"]
        write_zip(paths[0], source.outlines())
    path, rest = folder / f"{source.name}_rest.tif", source.drawing.rest
    if rest.any():
        write_image(path, rest.astype(np.uint32), source.pixel_size_um)
        paths.append(path)
    else:
        path.unlink(missing_ok=True)  # of an earlier export
    return paths


def write_napari(source: Source, folder: Path) -> list[Path]:
    """Write label images and the table; napari takes only 32-bit images for labels."""
    parts = {"labels": source.drawing.fibers, "axons": source.drawing.axons}
    if source.nerves is not None:
        parts["nerve"] = source.nerves.to_array()
    paths = []
    for part, labels in parts.items():
        paths.append(folder / f"{source.name}_{part}.tif")
        write_image(paths[-1], labels.astype(np.uint32), source.pixel_size_um)
    if source.measurements:
        paths.append(folder / f"{source.name}_features.csv")
        columns = list(dict.fromkeys(itertools.chain(*source.measurements.values())))
        rows = ([number, *map(row.get, columns)] for number, row in source.measurements.items())
        tables.write_table(paths[-1], ["index", *columns], rows)
    return paths
