"""Outlines as ImageJ stores them: a zip of ROI files, the format of the ROI Manager.

An outline of one ring is written as a traced polygon, one of several rings as a composite. Every
kind of ROI that encloses an area is read.
"""

from __future__ import annotations

import contextlib
import logging
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from myelin.exchange.drawing import Outline, kind_of
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing

if TYPE_CHECKING:
    from roifile import ImagejRoi

MAX_COORDINATE = 2**15 - 1  # ImageJ stores whole coordinates in 16 bits
MAX_BYTES = 2**28  # of the ROIs in a file, unpacked
# Number of points of each kind of segment of a composite.
MOVE_TO, LINE_TO, QUADRATIC_TO, CUBIC_TO, CLOSE = range(5)
POINTS = {MOVE_TO: 1, LINE_TO: 1, QUADRATIC_TO: 2, CUBIC_TO: 3, CLOSE: 0}
CURVE_PIECES = 16  # straight pieces that replace a curve of a composite


# ---------------------------------------------------------------- writing


def write_zip(path: Path, outlines: list[Outline]) -> None:
    """Write outlines with whole coordinates up to `MAX_COORDINATE` as one ROI zip."""
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for outline in outlines:
            entry = zipfile.ZipInfo(f"{outline.name}.roi")  # with a fixed date
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, to_roi(outline).tobytes())


def to_roi(outline: Outline) -> ImagejRoi:
    """Return an outline as a `roifile.ImagejRoi`."""
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    rings = outline.rings
    roi = ImagejRoi.frompoints(rings[0] if len(rings) == 1 else np.concatenate(rings))
    roi.name = outline.name
    roi.stroke_color = bytes([255, *outline.colour])
    roi.options = ROI_OPTIONS.NONE
    # ImageJ's bounds include the last pixel.
    roi.right, roi.bottom = roi.right - 1, roi.bottom - 1
    if len(rings) == 1:
        roi.roitype = ROI_TYPE.TRACED
        return roi
    roi.roitype, roi.n_coordinates, roi.integer_coordinates = ROI_TYPE.RECT, 0, None
    path = []
    for ring in rings:
        steps = np.full((len(ring), 3), LINE_TO, np.float32)
        steps[0, 0], steps[:, 1:] = MOVE_TO, ring
        path += [steps.ravel(), [CLOSE]]
    roi.multi_coordinates = np.concatenate(path).astype(np.float32)
    roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


# ---------------------------------------------------------------- reading


def read_rois(path: Path) -> tuple[list[Outline], list[str]]:
    """Read a ROI zip, or one ROI; the second list has the names of lines, points and texts."""
    outlines, without_area = [], []
    with reading(path, "ImageJ ROIs", "with the ROI Manager"):
        for name, content in contents(path):
            outline = from_bytes(content, name)
            if outline.polygons:
                outlines.append(outline)
            else:
                without_area.append(outline.name)
        if not outlines and not without_area:
            raise ValueError("no ROIs in it")
    return outlines, without_area


@contextlib.contextmanager
def reading(path: Path, what: str, where: str) -> Iterator[None]:
    """Raise a UserError for any error in reading a file; `where` it can be saved again."""
    try:
        yield
    except Exception as error:  # a damaged file can raise anything in zipfile, zlib and roifile
        raise UserError(
            f"{path}: cannot be read as {what} ({type(error).__name__}: {error}), save them again "
            f"{where}"
        ) from None


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each ROI in a file; nothing is unpacked to the disk."""
    if path.suffix.lower() == ".roi":
        check_size(path.stat().st_size)
        yield path.stem, path.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
        check_size(sum(entry.file_size for entry in entries))
        for entry in entries:
            yield Path(entry.filename).stem, archive.read(entry)


def check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"{size:,} bytes of outlines, the limit is {MAX_BYTES:,}")


def raise_instead_of_log(record: logging.LogRecord) -> bool:
    """Raise what roifile logs about damaged ROIs; drop its message about an unknown kind of ROI."""
    if "cannot handle" not in record.getMessage():
        raise ValueError(record.getMessage())
    return False


def from_bytes(content: bytes, name: str) -> Outline:
    """Return one ROI as an `Outline`, without polygons if it encloses no area."""
    from roifile import ImagejRoi

    logging.getLogger("roifile").addFilter(raise_instead_of_log)  # added once, however often called
    roi = ImagejRoi.frombytes(content)
    name = roi.name or name
    rings = [ring for ring in rings_of(roi) if len(ring) >= 3]
    if not all(np.isfinite(ring).all() for ring in rings):
        raise ValueError(f"{name} has coordinates that are not numbers")
    return Outline(kind_of(name), name, [rings] if rings else [])


def rings_of(roi: ImagejRoi) -> list[np.ndarray]:
    """Return the rings of a ROI; none if its kind encloses no area."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE, ROI_SUBTYPE.ARROW):
        return []
    if roi.composite:
        return path_rings(roi.multi_coordinates.tolist())
    if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        return [roi.coordinates()]
    if roi.subpixelrect:
        corner, size = (roi.xd, roi.yd), (roi.widthd, roi.heightd)
    else:
        corner, size = (roi.left, roi.top), (roi.right - roi.left, roi.bottom - roi.top)
    if roi.roitype == ROI_TYPE.RECT:
        unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    elif roi.roitype == ROI_TYPE.OVAL:
        points = 4 * max(int(sum(size)), 8)
        angle = np.linspace(0, 2 * math.pi, points, endpoint=False)
        unit = (np.stack([np.cos(angle), np.sin(angle)], axis=1) + 1) / 2
    else:
        return []
    return [unit * size + corner]


def path_rings(path: list[float]) -> list[np.ndarray]:
    """Return the rings of a composite's path, each curve as `CURVE_PIECES` straight pieces."""
    rings, ring, place = [], [], 0
    while place < len(path):
        kind = int(path[place])
        values = path[place + 1 : place + 1 + 2 * POINTS[kind]]
        points = [np.array(pair) for pair in zip(values[::2], values[1::2], strict=True)]
        place += 1 + len(values)
        if kind in (MOVE_TO, CLOSE):
            rings.append(ring)
            ring = points
        else:
            ring += bezier([ring[-1], *points]) if len(points) > 1 else points
    return [np.array(ring) for ring in [*rings, ring] if len(ring) > 0]


def bezier(points: list[np.ndarray]) -> list[np.ndarray]:
    """Return the points along a Bézier curve of 3 or 4 points, without the first."""
    along = np.linspace(0, 1, CURVE_PIECES + 1)[1:, None]
    degree = len(points) - 1
    return list(
        sum(
            math.comb(degree, i) * along**i * (1 - along) ** (degree - i) * point
            for i, point in enumerate(points)
        )
    )
