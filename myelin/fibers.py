"""Find and measure the fibers of a myelin mask: whose is which myelin, and how large each is.

Used by `morphometry.py` and `evaluate.py`; reads no file. Which region is an axon, `axons.py` says.

    >>> import numpy as np
    >>> rows, cols = np.mgrid[:60, :60]
    >>> radius = np.hypot(rows - 30, cols - 30)
    >>> fibers = measure_fibers((radius < 20) & (radius >= 12), pixel_size_um=0.1)
    >>> len(fibers), round(float(fibers.columns["g_ratio"][0]), 2)
    (1, 0.6)
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from myelin.axons import MIN_SHAPE_PX, VACUOLE_AREA, drawn_axons, sort_regions
from myelin.groups import SIZES, statistics
from myelin.regions import (
    convex_hulls,
    crop,
    edge_pixels,
    ellipses,
    enclosed,
    label_regions,
    perimeters,
    touched_sides,
)

# fmt: off
COLUMNS = [
    "fiber", "x_px", "y_px", "axon_area_um2", "axon_perimeter_um", "axon_diameter_um",
    "axon_minor_axis_um", "axon_major_axis_um", "fiber_area_um2", "fiber_perimeter_um",
    "fiber_diameter_um", "myelin_area_um2", "myelin_thickness_um", "g_ratio", "axon_solidity",
    "axon_circularity", "axon_eccentricity", "touches_border",
]
SUMMARY = [
    "image", "pixel_size_um", "area_mm2", "fiber_count", "fiber_density_per_mm2",
    "axon_area_fraction", "myelin_area_fraction", "aggregate_g_ratio",
    *(f"{size}_{statistic}" for size in SIZES for statistic in ("mean", "sd", "median")),
    "counted_fibers", "measured_fibers", "border_fibers", "collapsed", "pixel_size_source",
]
# fmt: on
# A part of a swollen sheath: largest g-ratio, and most that it adds to the convex hull, as a
# multiple of its area / g: the smaller g, the likelier a vacuole.
MAX_G_RATIO_PART = 0.5
PART_STANDS_OUT = 0.3
# A sheath without axon counts as collapsed from this percentile of the fibers' myelin areas on.
COLLAPSED_PERCENTILE = 25
COLLAPSED_PX = 100  # the same where an image has no fiber to compare with


@dataclass
class Fibers:
    """What `measure_fibers` found in one image.

    Attributes
    ----------
    columns : dict of str to array, (n,)
        One entry per column of `<id>_fibers.csv`, by the names in `COLUMNS`.
    labels, axons : int32 arrays, (rows, cols)
        The number of a fiber (1 to n) on its myelin and axon, and on its axon alone.
    counted : bool array, (n,)
        Fibers in the unbiased counting frame: the axon touches neither the top nor the left edge
        of the image.
    collapsed : int
        Sheaths without an axon, inside the image.
    myelin_px : int
        Pixels of the myelin mask.
    pixel_size_um : float
    """

    columns: dict
    labels: np.ndarray
    axons: np.ndarray
    counted: np.ndarray
    collapsed: int
    myelin_px: int
    pixel_size_um: float

    def __len__(self):
        return len(self.counted)

    @property
    def area_mm2(self):
        return self.labels.size * (self.pixel_size_um / 1000) ** 2

    @property
    def whole(self):
        """Fibers that do not touch the border: those that enter statistics of size."""
        return ~self.columns["touches_border"]


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
    return find_fibers(myelin, image)[0]


def find_fibers(myelin, image=None):
    """Find the axons of a myelin mask and the myelin of each.

    Parameters
    ----------
    myelin, image
        As in `find_axons`.

    Returns
    -------
    axons, hulls, others, boxes
        As from `sort_regions`.
    fibers, pieces
        As from `split_fibers`.
    """
    axons, hulls, others, boxes = sort_regions(myelin, image)
    fibers, pieces = split_fibers(myelin, axons)
    whole = join_swollen(axons, fibers)
    kept = whole == np.arange(len(whole))
    if not kept.all():
        numbers = np.cumsum(kept, dtype=np.int32) - 1
        axons, fibers = (numbers * kept)[axons], numbers[whole][fibers]
    return axons, hulls[kept[1:]], others, boxes, fibers, pieces


def split_fibers(myelin, axons):
    """Give every axon its myelin; sheaths that touch are split by a watershed from the axons.

    The watershed (Vincent and Soille, IEEE PAMI 13:583-598, 1991) floods the distance to the
    nearest axon minus that to the outline of the cluster: a pixel goes to the nearest axon, but a
    waist in the outline draws the border to itself. No pixel is lost to a line between fibers.

    Parameters
    ----------
    myelin : bool array, (rows, cols)
    axons : int32 array, (rows, cols)
        Axon numbers 1 to n.

    Returns
    -------
    fibers : int32 array, (rows, cols)
        The number of an axon on it and on its myelin; 0 on background and on myelin that is not
        connected (4-neighbours) with any axon.
    pieces : int64 array, (m, 5)
        Boxes of the pieces of myelin that are not, see `label_regions`.
    """
    clusters, boxes = label_regions(myelin | (axons > 0), 4)
    inside = np.flatnonzero(axons)
    owner = np.zeros(len(boxes), np.int32)
    cluster, axon = clusters.ravel()[inside], axons.ravel()[inside]
    owner[cluster] = axon  # the last one written stays
    several = np.unique(cluster[owner[cluster] != axon])
    fibers = owner[clusters]
    if len(several):
        from skimage.segmentation import watershed  # late: its import takes half a second
    for index in several:
        view = crop(boxes[index], 1, myelin.shape)
        mask = clusters[view] == index
        markers = np.where(mask, axons[view], 0)
        inner = cv2.distanceTransform((markers == 0).view(np.uint8), cv2.DIST_L2, 5)
        outer = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
        fibers[view][mask] = watershed(inner - outer, markers, mask=mask)[mask]
    return fibers, boxes[(owner == 0) & (boxes[:, 4] > 0)]


def join_swollen(axons, fibers):
    """Find the fibers that are parts of a larger one: vacuoles in its swollen sheath.

    The split between such a part and the rest cuts a notch into the outline, which the part fills;
    a fiber beside another stands out and makes the convex hull of both larger than itself.

    Parameters
    ----------
    axons, fibers : int32 arrays, (rows, cols)
        Numbers 1 to n, see `split_fibers`.

    Returns
    -------
    int array, (n + 1,)
        The number of the fiber that each is a part of; its own for most.
    """
    axon_px, fiber_px = np.bincount(axons.ravel()), np.bincount(fibers.ravel())
    part_of = np.arange(len(axon_px))
    small = axon_px < MAX_G_RATIO_PART**2 * fiber_px
    small[0] = False
    place, width, flat = np.flatnonzero(small[fibers]), fibers.shape[1], fibers.ravel()
    pairs = set()
    for step, inside in (
        (-1, place % width > 0),
        (1, place % width < width - 1),
        (-width, place >= width),
        (width, place < fibers.size - width),
    ):
        near, far = flat[place[inside]], flat[place[inside] + step]
        other = (far > 0) & (far != near)
        pairs.update(zip(near[other].tolist(), far[other].tolist(), strict=True))
    pairs, beside = sorted(pairs), {}
    for near, far in pairs:
        beside.setdefault(near, []).append(far)
    hulls = convex_hulls(fibers, [number for pair in pairs for number in pair])
    room = PART_STANDS_OUT * fiber_px * np.sqrt(fiber_px / np.maximum(axon_px, 1))  # area / g
    joined = True
    while joined:
        joined = False
        for near, far in pairs:
            far = part_of[far]
            free = [
                part
                for part in (near, *beside[near])
                if part_of[part] == part != far
                and small[part]
                and axon_px[part] < VACUOLE_AREA * axon_px[far]
            ]
            # Alone, or together with the parts beside it.
            for parts in (free[:1], free) if near in free else ():
                both = cv2.convexHull(np.concatenate([hulls[i] for i in (far, *parts)]))
                if cv2.contourArea(both) - cv2.contourArea(hulls[far]) < room[parts].sum():
                    part_of[np.isin(part_of, parts)] = far
                    hulls[far], joined = both, True
                    break
    return part_of


def fill_vacuoles(holes, boxes, axon_px, fibers):
    """Add to each fiber the holes that its sheath alone encloses: pinholes, vacuoles and clefts.

    Without this a spongy sheath would make its fiber smaller. A hole above a quarter of the axon
    stays out.

    Parameters
    ----------
    holes : int32 array, (rows, cols)
        Numbers of the regions that are neither myelin nor axon, and perhaps of others.
    boxes : int64 array, (m + 1, 5)
        Their boxes, see `label_regions`; area 0 for the others.
    axon_px : int array, (n,)
        Areas of the axons.
    fibers : int32 array, (rows, cols)
        Changed in place.
    """
    limits = VACUOLE_AREA * axon_px
    for index, region, around in enclosed(holes, boxes, fibers, limits.max(initial=0)):
        fiber = around[0]
        if fiber > 0 and (around == fiber).all() and boxes[index, 4] <= limits[fiber - 1]:
            fibers[region] = fiber


def count_collapsed(pieces, sheath_areas, shape):
    """Count the sheaths without an axon that have the myelin of a small fiber or more.

    Smaller pieces are taken for specks, and those at the edge of the image for fibers whose axon
    lies outside it.

    Parameters
    ----------
    pieces : int array, (m, 5)
        Boxes of the connected pieces of myelin without an axon, see `label_regions`.
    sheath_areas : array, (n,)
        Myelin of the fibers that have an axon, px.
    shape : tuple
        Rows and columns of the image.
    """
    least = COLLAPSED_PX
    if len(sheath_areas):
        least = max(np.percentile(sheath_areas, COLLAPSED_PERCENTILE), MIN_SHAPE_PX)
    return int(np.count_nonzero((touched_sides(pieces, shape) == 0) & (pieces[:, 4] >= least)))


def measure_fibers(myelin, pixel_size_um, axon=None, image=None):
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

    Returns
    -------
    Fibers
    """
    myelin = np.ascontiguousarray(myelin, bool)
    if axon is not None:
        myelin = myelin & ~axon  # where both were drawn, the axon mask has the finer outline
    if axon is None:
        axons, hulls, others, boxes, labels, pieces = find_fibers(myelin, image)
    else:
        axons, hulls, others, boxes, space = drawn_axons(axon, myelin)
        labels, pieces = split_fibers(myelin | space, axons)
    count = len(hulls)
    axon_px = np.bincount(axons.ravel(), minlength=count + 1)[1:]
    fill_vacuoles(others, boxes, axon_px, labels)

    size = pixel_size_um
    fiber_px = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    x, y, minor, major = ellipses(axons, axon_px)
    axon_perimeter = perimeters(axons, count)
    axon_diameter, fiber_diameter = 2 * np.sqrt(axon_px / np.pi), 2 * np.sqrt(fiber_px / np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        circularity = np.fmin(4 * np.pi * axon_px / axon_perimeter**2, 1)
        eccentricity = np.sqrt(1 - np.where(major > 0, (minor / major) ** 2, 1))
    values = (
        np.arange(1, count + 1),
        x,
        y,
        axon_px * size**2,
        axon_perimeter * size,
        axon_diameter * size,
        minor * size,
        major * size,
        fiber_px * size**2,
        perimeters(labels, count) * size,
        fiber_diameter * size,
        (fiber_px - axon_px) * size**2,
        (fiber_diameter - axon_diameter) / 2 * size,
        axon_diameter / fiber_diameter,
        axon_px / hulls,
        circularity,
        eccentricity,
        edge_pixels(labels, count)[1:] > 0,
    )
    counted = np.ones(count + 1, bool)
    counted[axons[0]] = counted[axons[:, 0]] = False
    return Fibers(
        columns=dict(zip(COLUMNS, values, strict=True)),
        labels=labels,
        axons=axons,
        counted=counted[1:],
        collapsed=count_collapsed(pieces, fiber_px - axon_px, myelin.shape),
        myelin_px=int(np.count_nonzero(myelin)),
        pixel_size_um=pixel_size_um,
    )


def summarize(fibers, image="", pixel_size_source="given"):
    """Return one image's row of `summary.csv`.

    Density counts the fibers whose axon touches neither the top nor the left edge: the unbiased
    counting frame of Gundersen (J. Microsc. 111:219-223, 1977), with the image as the frame. Sizes
    are those of fibers that do not touch the border. The aggregate g-ratio follows Stikov et al.
    (NeuroImage 118:397-405, 2015): sqrt(1 / (1 + myelin fraction / axon fraction)).

    Parameters
    ----------
    fibers : Fibers
    image : str
        The image's id.
    pixel_size_source : str

    Returns
    -------
    dict
        By the names in `SUMMARY`; None where there is nothing to calculate from.
    """
    pixels = fibers.labels.size
    axon_fraction = np.count_nonzero(fibers.axons) / pixels
    myelin_fraction = fibers.myelin_px / pixels
    counted, whole = int(fibers.counted.sum()), fibers.whole
    row = {
        "image": image,
        "pixel_size_um": fibers.pixel_size_um,
        "area_mm2": fibers.area_mm2,
        "fiber_count": len(fibers),
        "fiber_density_per_mm2": counted / fibers.area_mm2,
        "axon_area_fraction": axon_fraction,
        "myelin_area_fraction": myelin_fraction,
        "aggregate_g_ratio": math.sqrt(axon_fraction / (axon_fraction + myelin_fraction))
        if axon_fraction
        else None,
    }
    for size in SIZES:
        values = statistics(fibers.columns[size][whole])
        row.update(zip((f"{size}_mean", f"{size}_sd", f"{size}_median"), values, strict=True))
    row |= {
        "counted_fibers": counted,
        "measured_fibers": int(whole.sum()),
        "border_fibers": int((~whole).sum()),
        "collapsed": fibers.collapsed,
        "pixel_size_source": pixel_size_source,
    }
    return row
