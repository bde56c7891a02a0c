"""Find and measure the fibers of a myelin mask: whose is which myelin, and how large each is.

Used by `morphometry.py` and `evaluate.py`. Which region is an axon, `axons.py` says,
and which myelin is whose, `sheaths.py`.

    >>> import numpy as np
    >>> rows, cols = np.mgrid[:60, :60]
    >>> radius = np.hypot(rows - 30, cols - 30)
    >>> fibers = measure_fibers((radius < 20) & (radius >= 12), pixel_size_um=0.1)
    >>> len(fibers), round(float(fibers.columns["g_ratio"][0]), 2)
    (1, 0.59)
"""

from dataclasses import dataclass, replace

import numpy as np

from myelin.images.image import write_image
from myelin.measure.axons import sort_regions
from myelin.measure.drawn_axons import drawn_axons
from myelin.measure.frame import Frame
from myelin.measure.nerve import within
from myelin.measure.sheaths import (
    count_collapsed,
    fill_vacuoles,
    find_holes,
    join_swollen,
    split_fibers,
)
from myelin.pixels.hulls import hull_areas
from myelin.pixels.regions import edge_pixels, mask_without, perimeters, renumber, sum_pixels
from myelin.pixels.runs import Runs, ellipses, find_runs, label_runs
from myelin.runtime.tables import write_table


@dataclass
class Fibers:
    """What `measure_fibers` found in one image.

    Attributes
    ----------
    columns : dict of str to array, (n,)
        The columns of `<id>_fibers.csv`, in their order.
    labels, axons : runs.Runs
        The number of a fiber (1 to n) on its myelin and axon, and on its axon alone; `labels[:]`
        is the image of them, int32 (rows, cols).
    counted : bool array, (n,)
        Fibers in the unbiased counting frame, see `frame.py`. Without those left out.
    collapsed : int
        Sheaths without an axon, inside the frame.
    myelin_px : int
        Pixels of the myelin mask in the frame.
    pixel_size_um : float
    area_px : int
        Of the frame.
    """

    columns: dict
    labels: Runs
    axons: Runs
    counted: np.ndarray
    collapsed: int
    myelin_px: int
    pixel_size_um: float
    area_px: int

    def __len__(self):
        return len(self.counted)

    @property
    def area_mm2(self):
        return self.area_px * (self.pixel_size_um / 1000) ** 2

    @property
    def axon_px(self):
        """Pixels of the axons of fibers that are not left out."""
        areas_um2 = self.columns["axon_area_um2"][self.kept]
        return round(areas_um2.sum() / self.pixel_size_um**2)

    @property
    def whole(self):
        """Fibers that do not touch the border: those that enter statistics of size."""
        return self.kept & ~self.columns["touches_border"]

    @property
    def kept(self):
        """Fibers that are not left out, see `exclude.py`."""
        return self.columns["excluded"] == ""


@dataclass
class Outlines:
    """Where the fibers of an image are, before anything is measured.

    Attributes
    ----------
    axons, labels : runs.Runs
        As in `Fibers`.
    axon_px, fiber_px : int arrays, (n,)
        Areas of the axons and of the whole fibers.
    pieces : int64 array, (m, 5)
        Boxes of the pieces of myelin without an axon, see `regions.label_regions`.
    """

    axons: Runs
    labels: Runs
    axon_px: np.ndarray
    fiber_px: np.ndarray
    pieces: np.ndarray


def find_axons(myelin, image=None):
    """Return the axons of a myelin mask: the regions enclosed by myelin that are no gaps.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    image : uint8 array, (rows, cols), optional
        The image itself; it helps to tell gaps between sheaths from axons.

    Returns
    -------
    int32 array, (rows, cols)
        1 to n in the order of the axons' first pixels, from the top left, those in open rings
        last; 0 elsewhere.
    """
    return find_fibers(myelin, image=image).axons[:]


def find_fibers(myelin, axon=None, image=None, tissue=None):
    """Find the axons of a myelin mask and the myelin of each.

    Parameters
    ----------
    myelin, axon, image
        As in `measure_fibers`, but no pixel is both myelin and axon.
    tissue : bool array, (rows, cols), optional
        No pixel outside it is myelin or axon.

    Returns
    -------
    Outlines
    """
    if axon is not None:
        found = drawn_axons(axon, myelin)
        myelin = myelin | found.space
    else:
        found = sort_regions(myelin, image, tissue)
    axons = found.axons
    labels, pieces = split_fibers(myelin, axons)
    if axon is None:
        while (holes := find_holes(labels, axons, tissue)).any():
            found.reject(holes)
            del labels  # before its successor is made: both are as large as the image
            axons = found.axons
            labels, pieces = split_fibers(myelin, axons)
        part_of = join_swollen(axons, labels)
        kept = part_of == np.arange(len(part_of))
        if not kept.all():
            numbers = np.cumsum(kept, dtype=np.int32) - 1
            renumber(labels, numbers[part_of])
            axons = axons.renumbered(numbers * kept)
    axon_px = axons.areas(axons.number.max(initial=0))
    areas = found.boxes[:, 4]
    small = (areas > 0) & (areas <= axon_px.max(initial=0))  # the rest are no vacuoles
    fill_vacuoles(found.others.of(small), found.boxes, axon_px, labels)
    labels = find_runs(labels)
    return Outlines(axons, labels, axon_px, labels.areas(len(axon_px)), pieces)


def measure_fibers(myelin, pixel_size_um, axon=None, image=None, probability=None, frame=None):
    """Find and measure the fibers of one image.

    Diameters are those of the circle of equal area, thickness is half the difference of fiber and
    axon diameter, and the g-ratio their quotient.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    pixel_size_um : float
        1 gives all results in pixels.
    axon : bool array, (rows, cols), optional
        Axon mask; without it the axons are the regions enclosed by myelin, see `find_axons`.
    image : uint8 array, (rows, cols), optional
        The image itself, which helps to tell gaps between sheaths from axons.
    probability : uint8 array, (rows, cols), or function that returns it, optional
        Myelin probability x 255; without it, `confidence` is NaN. A function is called when the
        fibers are found, which takes the most memory.
    frame : frame.Frame, optional
        What is tissue, and nerve; without it, all is.

    Returns
    -------
    Fibers
    """
    frame = frame or Frame(myelin.shape)
    myelin = np.ascontiguousarray(myelin, bool)
    if frame.tissue is not None:
        myelin = myelin & frame.tissue
        axon = None if axon is None else axon & frame.tissue
    myelin = without_axons(myelin, axon)
    found = find_fibers(myelin, axon, image, frame.tissue)
    pieces = found.pieces
    if frame.tissue is not None:
        pieces = inner_pieces(mask_without(myelin, found.labels), frame.tissue)
    if frame.nerve is not None:
        x, y, width, height = pieces[:, :4].T
        pieces = pieces[frame.fascicles(x + (width - 1) / 2, y + (height - 1) / 2) > 0]
    if callable(probability):
        probability = probability()
    fibers = Fibers(
        columns=measure(found, pixel_size_um, frame, probability),
        labels=found.labels,
        axons=found.axons,
        counted=frame.counts(found.axons, len(found.axon_px)),
        collapsed=count_collapsed(pieces, found.fiber_px - found.axon_px, myelin.shape),
        myelin_px=frame.pixels(myelin),
        pixel_size_um=pixel_size_um,
        area_px=frame.pixels(),
    )
    return fibers if frame.nerve is None else within(fibers, frame)


def without_axons(myelin, axon=None):
    """Return a myelin mask without what was drawn as axon too: that has the finer outline."""
    return myelin if axon is None else myelin & ~axon


def inner_pieces(myelin, tissue):
    """Return the boxes of pieces of myelin that do not touch the edge of the tissue."""
    labels, boxes = label_runs(myelin, 4)
    return boxes[(edge_pixels(labels, len(boxes) - 1, tissue) == 0) & (boxes[:, 4] > 0)]


def measure(found, size, frame, probability=None):
    """Return the columns of `<id>_fibers.csv` for `Outlines` at `size` µm per pixel.

    `frame` and `probability` are as in `measure_fibers`.
    """
    count, axon_px, fiber_px = len(found.axon_px), found.axon_px, found.fiber_px
    ellipse = ellipses(found.axons, axon_px)
    axon_perimeter = perimeters(found.axons, count)
    axon_diameter, fiber_diameter = 2 * np.sqrt(axon_px / np.pi), 2 * np.sqrt(fiber_px / np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        circularity = np.fmin(4 * np.pi * axon_px / axon_perimeter**2, 1)
        flatness = np.where(ellipse.major > 0, (ellipse.minor / ellipse.major) ** 2, 1)
    return {
        "fiber": np.arange(1, count + 1),
        "x_px": ellipse.x,
        "y_px": ellipse.y,
        "axon_area_um2": axon_px * size**2,
        "axon_perimeter_um": axon_perimeter * size,
        "axon_diameter_um": axon_diameter * size,
        "axon_minor_axis_um": ellipse.minor * size,
        "axon_major_axis_um": ellipse.major * size,
        "fiber_area_um2": fiber_px * size**2,
        "fiber_perimeter_um": perimeters(found.labels, count) * size,
        "fiber_diameter_um": fiber_diameter * size,
        "myelin_area_um2": (fiber_px - axon_px) * size**2,
        "myelin_thickness_um": (fiber_diameter - axon_diameter) / 2 * size,
        "g_ratio": axon_diameter / fiber_diameter,
        "axon_solidity": axon_px / hull_areas(found.axons),
        "axon_circularity": circularity,
        "axon_eccentricity": np.sqrt(1 - flatness),
        "touches_border": frame.cut(found.labels, count),
        "confidence": rate_confidence(found, probability),
        "excluded": np.full(count, "", object),
    }


def rate_confidence(found, probability):
    """Return how surely each fiber is a sheath around an axon: mean p there x mean (1 - p) here.

    p is the network's probability of myelin, whatever the mask says: where a mask was corrected by
    hand and the network saw something else, confidence is low. Of the definitions that
    `benchmarks/confidence.py` compares, this one is the simplest of those that best tell wrong
    fibers from right ones. Nothing in it is fitted.

    Parameters
    ----------
    found : Outlines
    probability : uint8 array, (rows, cols), or None
        Myelin probability x 255.

    Returns
    -------
    float array, (n,)
        0 to 1; NaN without a probability, and where a fiber has no sheath.
    """
    count = len(found.axon_px)
    if probability is None:
        return np.full(count, np.nan)
    on_axon, on_fiber = (
        sum_pixels(labels, count, probability)[1:] for labels in (found.axons, found.labels)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        sheath = (on_fiber - on_axon) / (found.fiber_px - found.axon_px)
        return sheath / 255 * (1 - on_axon / found.axon_px / 255)


def write_fibers(folder, name, fibers, decimal="point"):
    """Write `<name>_fibers.csv`, `<name>_labels.tif` and `<name>_axons.tif`.

    Parameters
    ----------
    folder : Path
    name : str
        The image's id.
    fibers : Fibers
    decimal : str
        As for `tables.write_table`.
    """
    rows = zip(*(values.tolist() for values in fibers.columns.values()), strict=True)
    write_table(folder / f"{name}_fibers.csv", list(fibers.columns), rows, decimal)
    numbers = np.append(0, fibers.columns["fiber"])
    numbers = numbers.astype(np.uint16 if numbers.max() < 2**16 else np.uint32)
    for part, runs in (("labels", fibers.labels), ("axons", fibers.axons)):
        numbered = replace(runs, number=numbers[runs.number])
        write_image(folder / f"{name}_{part}.tif", numbered, fibers.pixel_size_um)
