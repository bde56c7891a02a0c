"""Outlines as ImageJ keeps them: a zip of ROI files, as the ROI Manager of ImageJ and Fiji saves.

An outline that is one ring becomes a traced polygon, one of several rings a composite. Of those
that a person draws, every kind that encloses an area is read.
"""

import logging
import math
import zipfile
from pathlib import Path

import numpy as np

from myelin.exchange.drawing import COLOURS, Outline, kind_of
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing

# ImageJ keeps whole coordinates in 16 bits.
MAX_COORDINATE = 2**15 - 1
# Segments of a composite: how many points each has.
MOVE_TO, LINE_TO, QUADRATIC_TO, CUBIC_TO, CLOSE = range(5)
POINTS = {MOVE_TO: 1, LINE_TO: 1, QUADRATIC_TO: 2, CUBIC_TO: 3, CLOSE: 0}
# Pieces that a curve of a composite is cut into.
CURVE_PIECES = 16
# Outlines shrink to a third or so in a zip; what shrinks more than this is made to fill a memory.
MAX_EXPANSION = 100
MAX_ENTRIES = 200_000
MAX_BYTES = 2**28  # of a file, and of what is in it


# ---------------------------------------------------------------- writing


def write_zip(path, outlines):
    """Write outlines as one ROI zip, atomically.

    Parameters
    ----------
    path : path
    outlines : list of drawing.Outline
        Their rings have whole coordinates up to `MAX_COORDINATE`.
    """
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for outline in outlines:
            entry = zipfile.ZipInfo(f"{outline.name}.roi")  # with a fixed date: the same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, to_roi(outline).tobytes())


def to_roi(outline):
    """Return an outline as a `roifile.ImagejRoi`."""
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    rings = outline.rings
    roi = ImagejRoi.frompoints(rings[0] if len(rings) == 1 else np.concatenate(rings))
    roi.name = outline.name
    roi.stroke_color = bytes([255, *COLOURS[outline.kind]])
    roi.options = ROI_OPTIONS.NONE
    # ImageJ's bounds end where the last pixel does.
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


def read_rois(path):
    """Read a ROI zip, or one ROI.

    Parameters
    ----------
    path : Path

    Returns
    -------
    outlines : list of drawing.Outline
    passed_over : list of str
        Names of lines, points and texts, which enclose no area.

    Raises
    ------
    UserError
        No ROIs in it, damaged, or made to do harm.
    """
    outlines, passed_over = [], []
    try:
        for name, content in contents(path):
            outline = from_bytes(content, name)
            if outline.polygons:
                outlines.append(outline)
            else:
                passed_over.append(outline.name)
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise anything in zipfile, zlib and roifile
        raise unreadable(path, f"{type(error).__name__}: {error}") from None
    if not outlines and not passed_over:
        raise unreadable(path, "no ROI in it")
    return outlines, passed_over


def unreadable(path, why):
    return UserError(
        f"{path}: cannot be read as ImageJ ROIs ({why}), save them anew with the ROI Manager"
    )


def contents(path):
    """Yield (name, content) of the ROIs in a file; nothing is unpacked to the disk."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise unreadable(path, f"{size:,} bytes, the limit is {MAX_BYTES:,}")
    if path.suffix.lower() == ".roi":
        yield path.stem, path.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        for entry in entries:
            parts = entry.filename.replace("\\", "/").split("/")
            if ".." in parts or parts[0] == "" or ":" in parts[0]:
                raise unreadable(path, f"an entry is called {entry.filename!r}")
        claimed = sum(entry.file_size for entry in entries)
        if len(entries) > MAX_ENTRIES or claimed > min(MAX_BYTES, MAX_EXPANSION * size):
            raise unreadable(path, f"{len(entries):,} entries of {claimed:,} bytes in {size:,}")
        for entry in entries:
            if entry.filename.lower().endswith(".roi"):
                yield Path(entry.filename).stem, archive.read(entry)


def heed(record):
    """Raise what roifile would only log, but that a kind of ROI is not known to it."""
    if "cannot handle" not in record.getMessage():
        raise ValueError(record.getMessage())
    return False


def from_bytes(content, name):
    """Return one ROI as an `Outline`, without polygons where it encloses no area."""
    from roifile import ImagejRoi

    logging.getLogger("roifile").addFilter(heed)  # the same filter is added once
    roi = ImagejRoi.frombytes(content)
    name = roi.name or name
    rings = [ring for ring in rings_of(roi) if len(ring) >= 3]
    if not all(np.isfinite(ring).all() for ring in rings):
        raise ValueError(f"{name} has points that are no numbers")
    return Outline(kind_of(name), name, [rings] if rings else [])


def rings_of(roi):
    """Return the rings of a ROI; none where its kind encloses no area."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE, ROI_SUBTYPE.ARROW):
        return []
    if roi.composite:
        return path_rings(roi.multi_coordinates.tolist())
    if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        return [roi.coordinates()]
    x, y, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
    if roi.subpixelrect:
        x, y, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
    if roi.roitype == ROI_TYPE.RECT:
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    elif roi.roitype == ROI_TYPE.OVAL:
        turn = np.linspace(0, 2 * math.pi, 4 * max(int(width + height), 8), endpoint=False)
        corners = (np.stack([np.cos(turn), np.sin(turn)], axis=1) + 1) / 2
    else:
        return []
    return [corners * (width, height) + (x, y)]


def path_rings(path):
    """Return the rings of a composite's path, its curves as `CURVE_PIECES` straight pieces."""
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


def bezier(points):
    """Return the points along a Bézier curve of 3 or 4 points, without the first."""
    along = np.linspace(0, 1, CURVE_PIECES + 1)[1:, None]
    degree = len(points) - 1
    return list(
        sum(
            math.comb(degree, i) * along**i * (1 - along) ** (degree - i) * point
            for i, point in enumerate(points)
        )
    )
