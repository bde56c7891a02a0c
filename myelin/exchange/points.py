"""Read fibers that persons marked or counted: multi-point ROIs, Cell Counter files, tables."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from myelin.exchange.imagej_rois import check_size, contents, reading
from myelin.runtime.cli import UserError
from myelin.runtime.files import stem_of
from myelin.runtime.tables import image_ids, read_rows

IMAGEJ_SUFFIXES = (".roi", ".zip", ".xml")
Points = dict[str, tuple[Path, np.ndarray]]  # by image id: the file, and x and y, float (n, 2)
Counts = dict[str, dict[str, float]]  # by image id and observer


def read_points(paths: Iterable[Path], names: Iterable[str]) -> Points:
    """Read the points that a person marked in images.

    Parameters
    ----------
    paths : iterable of path
        ROIs (`.roi`, `.zip`), Cell Counter files (`.xml`), and tables with the columns x, y and
        perhaps image. A file that does not name its image has the image's name.
    names : iterable of str
        Ids of the images that are measured.

    Returns
    -------
    dict of str to (Path, float array, (n, 2))
        File, and x and y, px from the outer corner of the top left pixel, by image id.

    Raises
    ------
    UserError
        A file cannot be read, or marks an image that has no mask or is marked already.
    """
    find, found = image_ids(names), {}
    for path in paths:
        for image, points in read_file(path).items():
            name = find(image)
            if name is None or name in found:
                problem = "which has no mask" if name is None else f"as {found[name][0]} does"
                raise UserError(
                    f"{path}: marks the image {image}, {problem}, give one file per image, named "
                    "after it"
                )
            found[name] = path, points
    return found


def read_file(path: Path) -> dict[str, np.ndarray]:
    """Return the points in a file by image; by its own name if it does not name an image."""
    if path.suffix.lower() not in IMAGEJ_SUFFIXES:
        points = {}
        for line, row in read_rows(path, ("x", "y"), "point"):
            place = [read_number(row[axis], f"{path}: line {line} has {axis}") for axis in "xy"]
            points.setdefault(row.get("image") or stem_of(path), []).append(place)
        return {image: np.array(places) for image, places in points.items()}
    with reading(path, "points", "in ImageJ with the ROI Manager or the Cell Counter"):
        check_size(path.stat().st_size)
        image, points = (read_markers if path.suffix.lower() == ".xml" else read_point_rois)(path)
        if not len(points) or not np.isfinite(points).all():
            raise ValueError("no points in it, or places that are not numbers")
    return {image: points}


def read_point_rois(path: Path) -> tuple[str, np.ndarray]:
    """Return the name of a file of ROIs and all points in it, float (n, 2); not its outlines."""
    from roifile import ROI_TYPE, ImagejRoi

    rois = [ImagejRoi.frombytes(content) for _, content in contents(path)]
    parts = [roi.coordinates() for roi in rois if roi.roitype == ROI_TYPE.POINT]
    return stem_of(path), np.concatenate([np.zeros((0, 2)), *parts])


def read_markers(path: Path) -> tuple[str, np.ndarray]:
    """Return the image of a Cell Counter file and its markers of all types, float (n, 2)."""
    root = ElementTree.fromstring(path.read_bytes())
    places = [
        [float(marker.findtext(f"Marker{axis}", "nan")) for axis in "XY"]
        for marker in root.iter("Marker")
    ]
    image = (root.findtext(".//Image_Filename") or "").strip() or stem_of(path)
    return image, np.array(places, float).reshape(-1, 2)


def read_number(cell: str, where: str, least: float = -np.inf) -> float:
    """Return the number in a cell of a table, with a decimal point or comma."""
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or value < least:
        what = "is below 0" if value < least else "is not a number"
        raise UserError(f"{where} {cell[:100]!r}, which {what}, correct or remove it")
    return value


def read_counts(path: Path, names: Iterable[str]) -> Counts:
    """Read how many fibers persons counted in images.

    Parameters
    ----------
    path : path
        Table with the columns image and count, and one more column per further observer.
    names : iterable of str
        Ids of the images that are measured.

    Returns
    -------
    dict of str to dict of str to float
        By image id, the counts by observer; NaN for empty cells.

    Raises
    ------
    UserError
        A cell is not a number of 0 or more; an image has no mask, or has a line already.
    """
    find, counts = image_ids(names), {}
    for line, row in read_rows(path, ("image", "count"), "image"):
        where, image = f"{path}: line {line}", row.pop("image")
        name = find(image)
        if name is None or name in counts:
            problem = "has no mask" if name is None else "has a line already"
            raise UserError(
                f"{where} names the image {image[:100]}, which {problem}, correct or remove "
                "the line"
            )
        counts[name] = {
            observer: read_number(cell, f"{where} has {observer}", 0) if cell else np.nan
            for observer, cell in row.items()
            if observer
        }
    return counts
