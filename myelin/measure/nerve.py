"""Outlines of nerves: only their fibers are measured, and each fascicle has its own row.

An outline is a mask `<id>_nerve.*` beside the image or its myelin mask: 0 outside, and 255 or the
number of a fascicle inside.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from myelin.images.image import ImageRecord, as_record, read_image, read_stored
from myelin.measure.fibers import Fibers
from myelin.measure.frame import Frame
from myelin.measure.summary import summarize
from myelin.pixels.labels import LabelImage, mask_without
from myelin.runtime.cli import UserError, count_of

MAX_FASCICLES = 100  # a file with more values is an image, or a mask with blurred edges
# Columns of `summary.csv` that a fascicle does not have.
IMAGE_COLUMNS = ("collapsed", "pixel_size_source", "tissue_area_mm2", "margin_fraction")


def read_nerve(source: Path | ImageRecord) -> LabelImage:
    """Read the outline of a nerve: its fascicles, or one fascicle 1 if the file has only 255.

    Raises
    ------
    UserError
        The file cannot be read, is empty, or has more values than `MAX_FASCICLES`.
    """
    record = as_record(source)
    numbers = read_stored(record)
    if numbers.ndim == 3 or numbers.dtype.kind not in "uib":
        numbers = read_image(record)
    values = np.unique(numbers)
    if len(values) > MAX_FASCICLES or values[0] < 0 or values[-1] >= 2**31:
        raise UserError(
            f"{record.path}: {count_of(len(values), 'grey value')} in the outline of a nerve, give "
            "it 0 outside and 255, or the number of each fascicle, inside"
        )
    if values[-1] == 0:
        raise UserError(f"{record.path}: no nerve in it, fill it with 255 or remove the file")
    only_255 = values[values > 0].tolist() == [255]
    return LabelImage.from_array(numbers > 0 if only_255 else numbers)


def fascicle_rows(
    name: str, found: Fibers, fibers: Fibers, frame: Frame, myelin: np.ndarray
) -> list[dict]:
    """Return the rows of `fascicles.csv` of an image; an empty list without an outline.

    `found` are all fibers of the nerve, `fibers` the same after some were marked as left out. No
    pixel of `myelin`, bool (rows, cols), lies on an axon.
    """
    if frame.nerve is None:
        return []
    left_out = found.labels.keep(np.append(False, ~fibers.kept))
    myelin_px = frame.fascicle_px(mask_without(myelin, left_out))
    rows = []
    for number, area_px in frame.fascicle_px().items():
        here = fibers.columns["fascicle"] == number
        part = replace(
            fibers,
            columns={column: values[here] for column, values in fibers.columns.items()},
            counted=fibers.counted[here],
            area_px=area_px,
            myelin_px=myelin_px[number],
        )
        row = {"image": name, "fascicle": number} | summarize(part, name)
        rows.append({column: row[column] for column in row if column not in IMAGE_COLUMNS})
    return rows
