"""Find and measure the fibers of a myelin mask: which myelin belongs to which axon, and all sizes.

`axons.py` decides which regions are axons, `sheaths.py` to which axon myelin belongs.

    >>> import numpy as np
    >>> rows, cols = np.mgrid[:60, :60]
    >>> radius = np.hypot(rows - 30, cols - 30)
    >>> fibers = measure_fibers((radius < 20) & (radius >= 12), pixel_size_um=0.1)
    >>> len(fibers), round(float(fibers.columns["g_ratio"][0]), 2)
    (1, 0.59)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from myelin.images.image import write_image
from myelin.measure.axons import sort_regions
from myelin.measure.drawn_axons import drawn_axons
from myelin.measure.frame import Frame, placed
from myelin.measure.sheaths import (
    PERIAXONAL,
    count_collapsed,
    fill_vacuoles,
    find_holes,
    join_swollen,
    measure_spaces,
    split_fibers,
)
from myelin.pixels.components import label_regions
from myelin.pixels.hulls import Hulls
from myelin.pixels.labels import LabelImage, mask_without
from myelin.pixels.regions import crofton_perimeters, edge_pixels, ellipses, perimeters
from myelin.runtime.tables import write_table

# Least area of an axon that shrank within its sheath, as a part of what was found as the axon.
MIN_SHRUNKEN = 0.1


@dataclass
class Fibers:
    """The fibers of one image, as from `measure_fibers`.

    Attributes
    ----------
    columns : dict of str to array, (n,)
        The columns of `<id>_fibers.csv`, in their order.
    labels, axons : LabelImage
        Fibers 1 to n on their myelin and axon, and on their axon alone.
    counted : bool array, (n,)
        Fibers in the unbiased counting frame, see `frame.py`, that are not left out.
    collapsed : int
        Sheaths without an axon, in the frame.
    myelin_px : int
        Pixels of the myelin mask in the frame.
    pixel_size_um : float
    area_px : int
        Pixels of the frame.
    """

    columns: dict[str, np.ndarray]
    labels: LabelImage
    axons: LabelImage
    counted: np.ndarray
    collapsed: int
    myelin_px: int
    pixel_size_um: float
    area_px: int

    def __len__(self) -> int:
        return len(self.counted)

    @property
    def area_mm2(self) -> float:
        return self.area_px * (self.pixel_size_um / 1000) ** 2

    @property
    def axon_px(self) -> int:
        """Pixels of the axons of fibers that are not left out."""
        areas_um2 = self.columns["axon_area_um2"][self.kept]
        return round(areas_um2.sum() / self.pixel_size_um**2)

    @property
    def whole(self) -> np.ndarray:
        """Fibers in statistics of size, bool (n,): not left out, and not cut by the border."""
        return self.kept & ~self.columns["touches_border"]

    @property
    def kept(self) -> np.ndarray:
        """Fibers that are not left out, bool (n,), see `exclude.py`."""
        return self.columns["excluded"] == ""


@dataclass
class Outlines:
    """The fibers of an image as regions, before anything is measured.

    Attributes
    ----------
    axons, labels : LabelImage
        As in `Fibers`.
    axon_px, fiber_px : int arrays, (n,)
        Areas of the axons and of the whole fibers.
    pieces : int64 array, (m, 5)
        Boxes of the pieces of myelin without an axon, see `components.label_regions`.
    spaces_px : float array, (n, 6)
        Areas of spaces within the fibers, see `sheaths.measure_spaces`.
    """

    axons: LabelImage
    labels: LabelImage
    axon_px: np.ndarray
    fiber_px: np.ndarray
    pieces: np.ndarray
    spaces_px: np.ndarray


def find_fibers(
    myelin: np.ndarray,
    axon: np.ndarray | None = None,
    image: np.ndarray | None = None,
    tissue: np.ndarray | None = None,
) -> Outlines:
    """Find the axons of a myelin mask and the myelin of each.

    The arguments are as for `measure_fibers`, but no pixel is both myelin and axon, and none
    outside `tissue`, bool (rows, cols), is either. Fibers are numbered in the order of the axons'
    first pixels, from the top left, those in open rings last.
    """
    if axon is not None:
        found = drawn_axons(axon, myelin)
        axons = found.axons
        labels, pieces = split_fibers(myelin | found.space, axons)
    else:
        found = sort_regions(myelin, image, tissue)
        labels, pieces = split_fibers(myelin, found.axons)
        while (holes := find_holes(labels, found.axons, tissue)).any():
            found.reject(holes)
            labels, pieces = split_fibers(myelin, found.axons)
        part_of = join_swollen(found.axons, labels)
        is_fiber = part_of == np.arange(len(part_of))
        numbers = np.cumsum(is_fiber) - 1
        parts = found.axons.keep(~is_fiber)
        axons = found.axons.renumbered(numbers * is_fiber)
        labels = labels.renumbered(numbers[part_of])
        within = found.others.at(parts.row, parts.first)
        closed = found.boxes[within, 4] == 0  # not those in open rings
        found.owner[within[closed]] = numbers[part_of[parts.number[closed]]]
    axon_px = axons.areas()
    labels, owner = fill_vacuoles(found.others, found.boxes, axon_px, labels)
    if tissue is not None:
        loose, boxes = label_regions(mask_without(myelin, labels), 4)
        at_edge = edge_pixels(loose, len(boxes) - 1, tissue) > 0
        pieces = boxes[~at_edge & (boxes[:, 4] > 0)]
    spaces_px = measure_spaces(found, owner, axons)
    if axon is None:
        spaces_px[:, PERIAXONAL] = np.nan  # unknown
    return Outlines(axons, labels, axon_px, labels.areas(len(axon_px)), pieces, spaces_px)


def measure_fibers(
    myelin: np.ndarray,
    pixel_size_um: float,
    axon: np.ndarray | None = None,
    image: np.ndarray | None = None,
    probability: np.ndarray | Callable[[], np.ndarray | None] | None = None,
    frame: Frame | None = None,
) -> Fibers:
    """Find and measure the fibers of one image.

    Diameters are those of the circle of equal area, thickness is half the difference between fiber
    and axon diameter, and the g-ratio is axon diameter / fiber diameter.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    pixel_size_um : float
        1 gives all results in pixels.
    axon : bool array, (rows, cols), optional
        Axon mask; without it the axons are the regions enclosed by myelin.
    image : uint8 array, (rows, cols), optional
        The image itself; it helps to tell gaps between sheaths from axons.
    probability : uint8 array, (rows, cols), or function that returns it, optional
        Myelin probability x 255; without it, `confidence` is NaN. A function is called after the
        fibers were found, which takes the most memory.
    frame : frame.Frame, optional
        Where fibers are counted; default: the whole image.
    """
    frame = frame or Frame(myelin.shape)
    myelin, axon = in_tissue(myelin, axon, frame.tissue)
    found = find_fibers(myelin, axon, image, frame.tissue)
    if callable(probability):
        probability = probability()
    columns = measure(found, pixel_size_um, frame, probability)
    counted = frame.counts(found.axons, len(found.axon_px))
    return in_frame(found, columns, counted, frame.pixels(myelin), pixel_size_um, frame)


def in_tissue(
    myelin: np.ndarray, axon: np.ndarray | None, tissue: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the masks as `find_fibers` takes them: nothing outside the tissue, nothing twice."""
    myelin = np.ascontiguousarray(myelin, bool)
    if tissue is not None:
        myelin = myelin & tissue
        axon = None if axon is None else axon & tissue
    return without_axons(myelin, axon), axon


def in_frame(
    found: Outlines,
    columns: dict[str, np.ndarray],
    counted: np.ndarray,
    myelin_px: int,
    pixel_size_um: float,
    frame: Frame,
) -> Fibers:
    """Return the fibers of an image that lie in a frame, with the numbers of the image itself."""
    pieces = found.pieces
    if frame.nerve is not None:
        x, y, width, height = pieces[:, :4].T
        pieces = pieces[frame.fascicles(x + (width - 1) / 2, y + (height - 1) / 2) > 0]
    fibers = Fibers(
        columns=columns,
        labels=found.labels,
        axons=found.axons,
        counted=counted,
        collapsed=count_collapsed(pieces, found.fiber_px - found.axon_px, frame.shape),
        myelin_px=myelin_px,
        pixel_size_um=pixel_size_um,
        area_px=frame.area_px,
    )
    return fibers if frame.nerve is None else within(fibers, frame)


def within(fibers: Fibers, frame: Frame) -> Fibers:
    """Return the fibers of an image whose axon has its centre in a fascicle of the frame.

    They have one more column, `fascicle`.
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


def without_axons(myelin: np.ndarray, axon: np.ndarray | None = None) -> np.ndarray:
    """Return a myelin mask without the pixels of an axon mask, whose outline is finer."""
    return myelin if axon is None else myelin & ~axon


def measure(
    found: Outlines,
    size: float,
    frame: Frame,
    probability: np.ndarray | None = None,
    window: tuple[slice, slice] | None = None,
) -> dict[str, np.ndarray]:
    """Return the columns of `<id>_fibers.csv` at `size` µm per pixel.

    `frame` and `probability` are as in `measure_fibers`. Fibers and probability, but not the frame,
    may be those of a window of the image.
    """
    axon_px, fiber_px = found.axon_px, found.fiber_px
    count = len(axon_px)
    x, y, minor, major = ellipses(placed(found.axons, window, frame.shape), axon_px)
    *_, fiber_minor, fiber_major = ellipses(placed(found.labels, window, frame.shape), fiber_px)
    hulls = Hulls(found.axons), Hulls(found.labels)
    axon_perimeter = perimeters(found.axons, count)
    axon_diameter, fiber_diameter = 2 * np.sqrt(axon_px / np.pi), 2 * np.sqrt(fiber_px / np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        circularity = np.fmin(4 * np.pi * axon_px / axon_perimeter**2, 1)
        flatness = np.where(major > 0, (minor / major) ** 2, 1)
    return {
        "fiber": np.arange(1, count + 1),
        "x_px": x,
        "y_px": y,
        "axon_area_um2": axon_px * size**2,
        "axon_perimeter_um": axon_perimeter * size,
        "axon_diameter_um": axon_diameter * size,
        "axon_minor_axis_um": minor * size,
        "axon_major_axis_um": major * size,
        "fiber_area_um2": fiber_px * size**2,
        "fiber_perimeter_um": perimeters(found.labels, count) * size,
        "fiber_diameter_um": fiber_diameter * size,
        "myelin_area_um2": (fiber_px - axon_px) * size**2,
        "myelin_thickness_um": (fiber_diameter - axon_diameter) / 2 * size,
        "g_ratio": axon_diameter / fiber_diameter,
        "axon_solidity": axon_px / hulls[0].areas(),
        "axon_circularity": circularity,
        "axon_eccentricity": np.sqrt(1 - flatness),
        "touches_border": frame.cut(found.labels, count, window),
        "confidence": rate_confidence(found, probability),
        "excluded": np.full(count, "", object),
        **other_diameters(found, size, (minor, fiber_minor), hulls),
        "fiber_solidity": fiber_px / hulls[1].areas(),
        "roundness": 4 * fiber_px / (np.pi * fiber_major**2),
        **within_sheaths(found, size),
    }


def other_diameters(
    found: Outlines, size: float, minor: tuple[np.ndarray, np.ndarray], hulls: tuple[Hulls, Hulls]
) -> dict[str, np.ndarray]:
    """Return diameters beside that of the circle of equal area, with thickness and g of each.

    `minor` are the minor axes of the ellipses of axons and fibers, px, `hulls` their hulls.
    """
    parts, columns = (found.axons, found.labels), {}
    for name, (axon, fiber) in {
        "minor_axis": minor,
        "min_feret": [hull.min_feret() for hull in hulls],
        "perimeter_diameter": [
            crofton_perimeters(part, len(found.axon_px)) / np.pi for part in parts
        ],
    }.items():
        columns |= {
            f"axon_{name}_um": axon * size,
            f"fiber_{name}_um": fiber * size,
            f"myelin_thickness_{name}_um": (fiber - axon) / 2 * size,
            f"g_ratio_{name}": axon / fiber,
        }
    return columns


def within_sheaths(found: Outlines, size: float) -> dict[str, np.ndarray]:
    """Return the areas of vacuoles, clefts and periaxonal space, and g-ratios with and without.

    Without an axon mask, periaxonal space is known only in a ring within a ring: a hole in an
    island of myelin is the axon, and the region found as the axon is the space.
    """
    vacuoles, clefts, periaxonal, shrunken, filled, open_px = found.spaces_px.T
    within = np.isnan(periaxonal) & (shrunken >= MIN_SHRUNKEN * found.axon_px)
    periaxonal = np.where(within, found.axon_px, periaxonal)
    axon_px = np.where(within, shrunken, found.axon_px)
    myelin_px = found.fiber_px - found.axon_px - filled
    return {
        "vacuole_area_um2": vacuoles * size**2,
        "cleft_area_um2": clefts * size**2,
        "periaxonal_area_um2": periaxonal * size**2,
        "g_ratio_with_spaces": np.sqrt(axon_px / (found.fiber_px + open_px)),
        "g_ratio_without_spaces": np.sqrt(axon_px / (axon_px + myelin_px)),
    }


def rate_confidence(found: Outlines, probability: np.ndarray | None) -> np.ndarray:
    """Return how clearly each fiber is a sheath around an axon: mean p there x mean (1 - p) here.

    p is the network's probability of myelin (`probability` / 255), independent of the mask: if a
    mask was corrected by hand where the network found something else, confidence is low. Nothing in
    it is fitted.

    Returns
    -------
    float array, (n,)
        0 to 1; NaN without a probability, and for fibers without a sheath.
    """
    count = len(found.axon_px)
    if probability is None:
        return np.full(count, np.nan)
    on_axon, on_fiber = (part.sums(probability, count) for part in (found.axons, found.labels))
    with np.errstate(divide="ignore", invalid="ignore"):
        sheath = (on_fiber - on_axon) / (found.fiber_px - found.axon_px)
        return sheath / 255 * (1 - on_axon / found.axon_px / 255)


def write_fibers(folder: Path, name: str, fibers: Fibers, decimal: str = "point") -> None:
    """Write `<name>_fibers.csv`, `<name>_labels.tif` and `<name>_axons.tif` into a folder.

    `decimal` is as for `tables.write_table`.
    """
    # Columns that were added later, of shape and sheath, come last.
    header = [*fibers.columns]
    start, stop = (
        header.index(column) for column in ("fiber_minor_axis_um", "g_ratio_without_spaces")
    )
    header = header[:start] + header[stop + 1 :] + header[start : stop + 1]
    rows = zip(*(fibers.columns[column].tolist() for column in header), strict=True)
    write_table(folder / f"{name}_fibers.csv", header, rows, decimal)
    numbers = np.append(0, fibers.columns["fiber"])
    dtype = np.uint16 if numbers.max() < 2**16 else np.uint32
    for part, labels in (("labels", fibers.labels), ("axons", fibers.axons)):
        path = folder / f"{name}_{part}.tif"
        write_image(path, labels.renumbered(numbers, dtype), fibers.pixel_size_um)
