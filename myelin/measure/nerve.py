"""Outlines of nerves: given ones limit what is measured, the others are found from the fibers.

A given outline is a mask `<id>_nerve.*` or `<id>_outline.*` beside the image or its myelin mask: 0
outside, and 255 or the number of a fascicle inside. Each of its fascicles has its own row.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from myelin.folders.mask_record import pixel_hash
from myelin.images.image import (
    ImageRecord,
    as_record,
    has_inverting_lut,
    read_stored,
    to_grey,
    write_image,
)
from myelin.images.mask_checks import drawn_grey, fill_holes, regions_of
from myelin.measure.fibers import Fibers
from myelin.measure.frame import Frame
from myelin.measure.summary import summarize
from myelin.pixels.components import label_regions
from myelin.pixels.labels import LabelImage, mask_without
from myelin.pixels.regions import edge_pixels
from myelin.runtime.cli import UserError, count_of

MAX_FILLED_RATIO = 3  # an outline that encloses more, relative to its own area, is a line
MAX_FASCICLES = 100  # a file with more values is an image, or a mask with blurred edges
# Columns of `summary.csv` that a fascicle does not have.
IMAGE_COLUMNS = ("collapsed", "pixel_size_source", "tissue_area_mm2", "margin_fraction")

RADIUS_PX = 4  # of the median fiber in the reduced image in which a nerve is found
# This part of the nerve lies within a distance of a fiber; the widest gap is this often as wide.
# Among points at random the first is sqrt(ln 20 / (pi density)), and the widest of 400 gaps
# sqrt(2) times that, or twice at the edge of the frame.
USUAL, WIDEST = 0.95, 2
AT_EDGE = 2  # the disc keeps half its radius from the edge: four fifths of it are in the frame
NEIGHBOURS = 8  # nearest axons, among which the nearest fiber is
MIN_FIBERS = 5  # fewer are no fascicle, but fibers in epineurium, or false ones
# The area outside has room for this many fibers, as close as in the nerve; smaller ones are
# vessels, cells and septa at the edge of the frame.
MIN_OUTSIDE = 25
WIDEST_GAP = 5  # between fibers and perineurium, in median fiber diameters
# Contrast of the perineurium with the grey outside the fibers, divided by that of the gap, in this
# part of its length. It is 10 to 40 in images that show such a gap, and at most 2.2 in others.
MIN_RIDGE, RIDGE_SHARE = 4, 0.75


def read_nerve(source: Path | ImageRecord) -> LabelImage:
    """Read the outline of a nerve: its fascicles, or one fascicle 1 if the file has two values.

    A mask that ImageJ made from a selection has an inverting lookup table: 255 is inside.

    Raises
    ------
    UserError
        The file cannot be read, is empty, has blurred edges or more values than `MAX_FASCICLES`,
        or is drawn as a line.
    """
    record = as_record(source)
    stored = numbers = read_stored(record)
    if numbers.ndim == 3 or numbers.dtype.kind not in "uib":
        numbers = drawn_grey(stored, to_grey(stored, record))
    if has_inverting_lut(record.path) and numbers.dtype.kind == "u":
        numbers = ~numbers  # as ImageJ stores them
    values = np.unique(numbers)
    blurred = np.count_nonzero(values) > 1 and regions_of(np.pad(numbers, 1)) is None
    if len(values) > MAX_FASCICLES or blurred or values[0] < 0 or values[-1] >= 2**31:
        raise UserError(
            f"{record.path}: {count_of(len(values), 'grey value')} in the outline of a nerve, give "
            "it 0 outside and 255, or the number of each fascicle, inside"
        )
    if values[-1] == 0:
        raise UserError(f"{record.path}: no nerve in it, fill it with 255 or remove the file")
    inside = numbers > 0
    if np.count_nonzero(fill_holes(inside)) > MAX_FILLED_RATIO * np.count_nonzero(inside):
        raise UserError(
            f"{record.path}: the nerve is drawn as a line, fill it (in Fiji: Process > Binary > "
            "Fill Holes)"
        )
    only_255 = values[values > 0].tolist() == [255]
    return LabelImage.from_array(inside if only_255 else numbers)


def fascicle_rows(
    name: str,
    found: Fibers,
    fibers: Fibers,
    frame: Frame,
    myelin: np.ndarray,
    only_several: bool,
) -> list[dict]:
    """Return the rows of `fascicles.csv` of an image; an empty list without an outline.

    Parameters
    ----------
    name : str
    found, fibers : Fibers
        All fibers of the image, and the same after some were marked as left out.
    frame : Frame
        With the nerve.
    myelin : bool array, (rows, cols)
        Without the pixels of axons.
    only_several : bool
        Whether a nerve of one fascicle has no row.
    """
    if frame.nerve is None or (only_several and frame.nerve.count < 2):
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


# ---------------------------------------------------------------- find the outline


def add_nerve(
    path: Path, fibers: Fibers, frame: Frame, image: np.ndarray | None
) -> LabelImage | None:
    """Find the nerve of an image, write it with the hash of its pixels, add column `fascicle`."""
    nerve = find_nerve(fibers, frame, image)
    if nerve is not None:
        pixels = nerve.to_array().astype(np.uint8)
        record = {"mask_sha256": pixel_hash(pixels)}  # for `ownership.edited_nerves`
        write_image(path, pixels, fibers.pixel_size_um, record=record)
        place = fibers.columns["x_px"], fibers.columns["y_px"]
        fibers.columns["fascicle"] = replace(frame, nerve=nerve).fascicles(*place)
    return nerve


def find_nerve(fibers: Fibers, frame: Frame, image: np.ndarray | None = None) -> LabelImage | None:
    """Return the outline of the endoneurium of an image, fascicles 1 to n; None without fibers.

    Outside is where a disc can roll from the edge of the frame without touching a fiber, as in
    alpha shapes (Edelsbrunner et al., IEEE Trans Inf Theory 29:551-559, 1983). The disc is wider
    than the gaps between the fibers that it encloses, so areas that lost fibers stay inside, and
    tissue of sparse fibers is whole. The nerve is the whole image if no fascicle is left, or the
    area outside is smaller than `MIN_OUTSIDE` allows. Gaps between fibers and perineurium belong to
    the nerve if `image`, uint8 (rows, cols), shows them.
    """
    if not len(fibers):
        return None
    whole = LabelImage.from_array(np.ones(frame.shape, np.uint8))
    if len(fibers) < MIN_FIBERS:
        return whole
    radius = np.median(fibers.columns["fiber_diameter_um"]) / fibers.pixel_size_um / 2
    step = max(int(radius / RADIUS_PX), 1)
    free = fibers.labels[::step, ::step] == 0
    tissue = np.ones_like(free) if frame.tissue is None else frame.tissue[::step, ::step]
    gap = np.quantile(gaps_to_nearest(fibers), USUAL)
    nerve = close_gaps(free, tissue, radius / step, gap / step)
    size = frame.shape[::-1]
    nerve = cv2.resize((nerve | ~tissue) * np.uint8(255), size) > 127  # smooth, as linear
    if frame.tissue is not None:
        nerve &= frame.tissue
    regions, _ = label_regions(nerve, 4)
    x, y = (np.rint(fibers.columns[axis]).astype(int) for axis in ("x_px", "y_px"))
    inside = np.bincount(regions.at(y, x), minlength=regions.count + 1)[1:]
    fascicles = np.flatnonzero(inside >= MIN_FIBERS) + 1
    # At most as many as `read_nerve` reads, those with the most fibers.
    fascicles = fascicles[np.argsort(-inside[fascicles - 1])][: MAX_FASCICLES - 1]
    numbers = np.zeros(len(inside) + 1, np.int32)
    numbers[np.sort(fascicles)] = np.arange(1, len(fascicles) + 1)
    nerve = regions.renumbered(numbers)
    nerve_px = nerve.areas().sum()
    if inside[fascicles - 1].sum() * (frame.tissue_px - nerve_px) <= MIN_OUTSIDE * nerve_px:
        return whole
    return nerve if image is None else LabelImage.from_array(add_gaps(nerve, image, tissue, step))


def add_gaps(nerve: LabelImage, image: np.ndarray, tissue: np.ndarray, step: int) -> np.ndarray:
    """Return fascicles with the gaps between their fibers and the perineurium, uint8 (rows, cols).

    The perineurium is a ridge in the difference of grey values from those outside the fibers. On it
    meet the basins of a watershed that begins at the fascicles and far outside of them.

    Parameters
    ----------
    nerve : LabelImage
    image : uint8 array, (rows, cols)
    tissue : bool array
        Every `step`-th pixel, as the search is done at that size.
    step : int
    """
    from scipy.ndimage import find_objects  # late, as these imports are slow
    from skimage.segmentation import watershed

    number_of = nerve.to_array().astype(np.uint8)
    found = number_of[::step, ::step].astype(np.int32)
    free = tissue & (found == 0)
    grey = cv2.resize(image, found.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), 1)
    relief = np.abs(grey - np.median(grey[free]))
    far = free & (distances(found == 0) > WIDEST_GAP * 2 * RADIUS_PX)
    basins = watershed(relief, np.where(far, nerve.count + 1, found), mask=tissue)
    for fascicle in range(1, nerve.count + 1):
        added = np.zeros(free.shape, np.uint8)
        _, parts = cv2.connectedComponents(((basins == fascicle) & free).view(np.uint8))
        for number, place in enumerate(find_objects(parts), 1):
            around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in place)
            gap = parts[around] == number
            beside = cv2.dilate(gap.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
            ridge = relief[around][beside & free[around] & (basins[around] != fascicle)]
            usual = np.median(relief[around][gap])
            if len(ridge) and np.quantile(ridge, 1 - RIDGE_SHARE) > MIN_RIDGE * usual:
                added[around][gap | (beside & (found[around] == fascicle))] = 255  # no seam
        added = cv2.resize(added, nerve.shape[::-1]) > 127  # smooth, as linear
        number_of[added & (number_of == 0)] = fascicle
    return number_of


def gaps_to_nearest(fibers: Fibers) -> np.ndarray:
    """Return the gap between each fiber, as a circle, and the next one, px (n,); inf if alone."""
    from scipy.spatial import cKDTree  # late, as its import is slow

    centres = np.stack([fibers.columns["x_px"], fibers.columns["y_px"]], axis=1)
    radii = fibers.columns["fiber_diameter_um"] / fibers.pixel_size_um / 2
    distance, other = cKDTree(centres).query(centres, NEIGHBOURS + 1)
    return (distance - np.append(radii, 0)[other] - radii[:, None])[:, 1:].min(1).clip(0)


def close_gaps(free: np.ndarray, tissue: np.ndarray, radius: float, gap: float) -> np.ndarray:
    """Return the tissue that no disc can reach which touches no fiber, bool (rows, cols).

    Parameters
    ----------
    free, tissue : bool arrays, (rows, cols)
        Pixels on no fiber, and in no margin.
    radius, gap : float
        The median radius of the fibers, and the usual gap between neighbours, px.
    """
    to_fiber = distances(free)
    to_edge = distances(np.pad(tissue, 1))[1:-1, 1:-1]
    room = np.minimum(to_fiber, AT_EDGE * to_edge)
    disc = WIDEST * gap + radius / 2
    while True:
        centres = room >= disc
        _, parts = cv2.connectedComponents(centres.view(np.uint8))
        from_edge = np.zeros(parts.max() + 1, bool)
        from_edge[parts[centres & (to_edge <= disc)]] = True
        centres = from_edge[parts]
        if not centres.any():
            return tissue
        to_disc = distances(~centres)
        reach = np.quantile(to_fiber[tissue & (to_disc >= disc)], USUAL)
        if WIDEST * reach + radius / 2 <= disc:
            # The outermost fibers have as much tissue beyond them as those inside.
            return tissue & (to_disc >= disc - min(reach, radius))
        disc = max(WIDEST * reach + radius / 2, disc + 0.5)


def distances(mask: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel of a mask to the nearest pixel outside it."""
    return cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)


def nerve_columns(fibers: Fibers, frame: Frame, found: bool) -> dict[str, float | str | None]:
    """Return the columns of `summary.csv` about the nerve of a frame, `found` or given, if any."""
    if frame.nerve is None:
        columns = ("nerve_area_mm2", "fibers_in_nerve", "fiber_density_nerve_per_mm2")
        return dict.fromkeys(columns) | {"nerve_outline": "none"}
    inside = fibers.columns["fascicle"] > 0
    area_mm2 = frame.area_px * (fibers.pixel_size_um / 1000) ** 2
    return {
        "nerve_area_mm2": area_mm2,
        "fibers_in_nerve": int(np.count_nonzero(inside & fibers.kept)),
        "fiber_density_nerve_per_mm2": np.count_nonzero(inside & fibers.counted) / area_mm2,
        "nerve_outline": "found" if found else "given",
    }


def whole_in_view(frame: Frame) -> bool:
    """Return whether the nerve of a frame touches no edge of the image or its tissue."""
    nerve = frame.nerve
    return nerve is not None and not edge_pixels(nerve, nerve.count, frame.tissue).any()


def line_around(nerve: np.ndarray) -> np.ndarray:
    """Return a line along the outlines of fascicles, uint8 (rows, cols), bool of that shape."""
    square = np.ones((max(nerve.shape) // 400 + 3,) * 2, np.uint8)
    return cv2.morphologyEx(nerve, cv2.MORPH_GRADIENT, square) > 0
