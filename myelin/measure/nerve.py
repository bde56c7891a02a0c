"""Outlines of nerves: only their fibers are measured, and each fascicle has its own numbers.

Used by `morphometry.py` and `evaluate.py`. An outline is a mask `<id>_nerve.*` beside the image or
its myelin mask: 0 outside, and 255 or the number of a fascicle inside.
"""

from dataclasses import replace

import numpy as np

from myelin.folders.naming import list_tree
from myelin.images.image import as_record, read_image, read_stored
from myelin.measure.summary import summarize
from myelin.runtime.cli import UserError

MAX_FASCICLES = 100  # more different values are an image, or a mask with blurred edges
# What of `summary.csv` is not of a fascicle.
IMAGE_COLUMNS = ("collapsed", "pixel_size_source", "tissue_area_mm2", "margin_fraction")


def find_nerves(names, *folders):
    """Return {id: path} of the outlines in some folders, the first folder first."""
    found = {}
    for folder in folders:
        stems = list_tree(folder, names) if folder.is_dir() else {}
        found = {name: stems[f"{name}_nerve"] for name in names if f"{name}_nerve" in stems} | found
    return found


def read_nerve(source):
    """Read the outline of a nerve.

    Parameters
    ----------
    source : path or images.ImageRecord

    Returns
    -------
    int32 array, (rows, cols)
        The number of a fascicle on it, 0 elsewhere; 1 where the file has 255 alone.

    Raises
    ------
    UserError
        The file cannot be read, has nothing in it, or more values than fascicles can have.
    """
    record = as_record(source)
    numbers = read_stored(record)
    if numbers.ndim == 3 or numbers.dtype.kind not in "uib":
        numbers = read_image(record)
    values = np.unique(numbers)
    if len(values) > MAX_FASCICLES or values[0] < 0 or values[-1] >= 2**31:
        raise UserError(
            f"{record.path}: {len(values)} grey values in the outline of a nerve, give it 0 "
            "outside and 255, or the number of each fascicle, inside"
        )
    if values[-1] == 0:
        raise UserError(f"{record.path}: no nerve in it, fill it with 255 or remove the file")
    if list(values[values > 0]) == [255]:
        numbers = numbers > 0
    return numbers.astype(np.int32)


def within(fibers, frame):
    """Return the fibers of a nerve: those whose axon has its centre in a fascicle.

    Parameters
    ----------
    fibers : fibers.Fibers
        Of the whole image.
    frame : frame.Frame
        With an outline.

    Returns
    -------
    fibers.Fibers
        With one column more, `fascicle`.
    """
    fascicle = frame.fascicles(fibers.columns["x_px"], fibers.columns["y_px"])
    kept = fascicle > 0
    columns = {name: values[kept] for name, values in fibers.columns.items()}
    columns |= {"fiber": np.arange(1, kept.sum() + 1), "fascicle": fascicle[kept]}
    numbers = np.append(0, np.cumsum(kept) * kept)
    return replace(
        fibers,
        columns=columns,
        labels=fibers.labels.renumbered(numbers),
        axons=fibers.axons.renumbered(numbers),
        counted=fibers.counted[kept],
    )


def fascicle_rows(name, found, fibers, frame, myelin):
    """Return the rows of `fascicles.csv` of an image, none where it has no outline.

    Parameters
    ----------
    name : str
        The image's id.
    found, fibers : fibers.Fibers
        All of the nerve, and with those left out marked.
    frame : frame.Frame
    myelin : bool array, (rows, cols)
        Without axons.
    """
    if frame.nerve is None:
        return []
    from myelin.pixels.regions import mask_without  # late: --help does without OpenCV

    left_out = found.labels.of(np.append(False, ~fibers.kept))
    myelin = mask_without(myelin, left_out)
    area_px, myelin_px = frame.fascicle_px(), frame.fascicle_px(myelin)
    rows = []
    for number in area_px:
        here = fibers.columns["fascicle"] == number
        part = replace(
            fibers,
            columns={column: values[here] for column, values in fibers.columns.items()},
            counted=fibers.counted[here],
            area_px=area_px[number],
            myelin_px=myelin_px[number],
        )
        row = {"image": name, "fascicle": number} | summarize(part, name)
        rows.append({column: row[column] for column in row if column not in IMAGE_COLUMNS})
    return rows
