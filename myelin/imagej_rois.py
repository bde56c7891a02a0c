"""Outlines as ImageJ keeps them: a zip of ROI files, as the ROI Manager of ImageJ and Fiji saves.

An outline that is one ring becomes a traced polygon, one of several rings a composite.
"""

import zipfile

import numpy as np

from myelin.drawing import COLOURS
from myelin.files import replacing

# ImageJ keeps whole coordinates in 16 bits.
MAX_COORDINATE = 2**15 - 1
MOVE_TO, LINE_TO, CLOSE = 0, 1, 4  # segments of a composite


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
