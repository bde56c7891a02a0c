"""Measure every fiber in myelin masks: axon diameter, myelin thickness, g-ratio, density.

    python morphometry.py --pixel-size 0.1

reads `preds/<id>_mask.tif` (and an axon mask `<id>_axon.*` beside it, where there is one) and
writes `morphometry/`: `<id>_fibers.csv`, one row per fiber, `summary.csv`, one row per image,
`<id>_labels.tif` and `<id>_axons.tif` with the number of each fiber, `<id>_overlay.png` coloured by
g-ratio, and plots. The pixel size may be left out where the pictures record it (OME-XML or ImageJ).

    python morphometry.py --groups groups.csv

compares groups of animals. `groups.csv` has the columns image, group, animal.
"""

import csv
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fibers import (
    MIN_AXON_PX,
    count_collapsed,
    edge_pixels,
    enclosed,
    fill_vacuoles,
    find_axons,
    find_fibers,
    hull_areas,
    label_regions,
    split_fibers,
)
from groups import G_RATIO_BINS, SIZES, compare_groups, read_groups, statistics
from pictures import (
    check_pixel_size,
    image_shape,
    list_images,
    read_image,
    read_mask,
    read_pixel_size,
    write_image,
)
from suite import (
    PREDS,
    RAW_TEST,
    Parser,
    UserError,
    progress,
    replacing,
    script,
    write_run_json,
)

__all__ = ["Fibers", "find_axons", "find_masks", "measure_fibers", "summarize"]

MORPHOMETRY = Path("morphometry")

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
# Two pixel sizes of one picture that differ by more are a contradiction, not rounding.
PIXEL_SIZE_TOLERANCE = 0.01


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


def perimeters(labels, count):
    """Return the perimeter of each region 1 to n in px, as `skimage.measure.perimeter` does.

    The border pixels are counted with weights for straight and diagonal steps (Benkrid and
    Crookes, Design and FPGA implementation of a perimeter estimator, 2000).
    """
    width, flat = labels.shape[1] + 2, np.pad(labels, 1).ravel()
    border = np.zeros(len(flat), bool)
    for step in (1, width):
        differs = flat[:-step] != flat[step:]
        border[:-step] |= differs
        border[step:] |= differs
    places = np.flatnonzero(border & (flat > 0))
    own = flat[places]
    code = np.ones(len(places), np.int64)
    for weight, steps in (
        (2, (-1, 1, -width, width)),
        (10, (-width - 1, -width + 1, width - 1, width + 1)),
    ):
        for step in steps:
            code += weight * ((flat[places + step] == own) & border[places + step])
    lengths = np.zeros(50)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = math.sqrt(2)
    lengths[[13, 23]] = (1 + math.sqrt(2)) / 2
    return np.bincount(own, weights=lengths[code], minlength=count + 1)[1:]


def ellipses(labels, areas):
    """Return centre and axes of each region 1 to n, from its moments of second order.

    Parameters
    ----------
    labels : int array, (rows, cols)
    areas : int array, (n,)

    Returns
    -------
    x, y, minor, major : float arrays, (n,)
        Centroid from the centre of the top left pixel, and full axes of the ellipse with the same
        moments, px; as scikit-image's `regionprops`.
    """
    count = len(areas)
    places = np.flatnonzero(labels)
    ys, xs = np.divmod(places, labels.shape[1])
    owner = labels.ravel()[places] - 1

    def mean(values):
        return np.bincount(owner, weights=values, minlength=count) / areas

    x, y = mean(xs), mean(ys)
    dx, dy = xs - x[owner], ys - y[owner]
    xx, yy, xy = mean(dx * dx), mean(dy * dy), mean(dx * dy)
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return x, y, 4 * np.sqrt(np.maximum(middle - half, 0)), 4 * np.sqrt(middle + half)


def drawn_axons(axon, myelin):
    """Return the axons of an axon mask, and the rest, as `fibers.sort_regions` does.

    Specks, and axons without a sheath, are left out: they are no fibers. A shrunken axon may leave
    a space to its sheath; up to the axon's own area it belongs to the fiber.

    Returns
    -------
    axons, hulls, others, boxes
        As from `fibers.sort_regions`.
    space : bool array, (rows, cols)
        The space between axons and their sheaths.
    """
    labels, boxes = label_regions(axon, 8)
    others, other_boxes = label_regions(~(myelin | axon), 4)
    space = np.zeros_like(myelin)
    for index, region, around in enclosed(others, other_boxes, labels, boxes[:, 4].max()):
        inner = np.unique(around[around > 0])
        if len(inner) == 1 and other_boxes[index, 4] <= boxes[inner[0], 4]:
            space[region] = True
            other_boxes[index, 4] = 0
    clusters, cluster_boxes = label_regions(myelin | axon | space, 4)
    sheathed = np.zeros(len(cluster_boxes), bool)
    sheathed[clusters[myelin]] = True
    keep = np.zeros(len(boxes), bool)
    keep[labels[axon & sheathed[clusters]]] = True
    keep &= boxes[:, 4] >= MIN_AXON_PX
    axons = (np.cumsum(keep, dtype=np.int32) * keep)[labels]
    return axons, hull_areas(axons, np.arange(keep.sum() + 1) > 0), others, other_boxes, space


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
        The picture itself, which helps to tell gaps between sheaths from axons.

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


# ---------------------------------------------------------------- tables


def cell(value):
    """Return a value as it stands in a table: six digits, empty for None."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def write_table(path, header, rows):
    """Write a CSV file atomically; `rows` are dicts by the header, or sequences in its order."""
    rows = ([row[name] for name in header] if isinstance(row, dict) else row for row in rows)
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([cell(value) for value in row] for row in rows)


def write_fibers(folder, name, fibers):
    """Write `<name>_fibers.csv`, `<name>_labels.tif` and `<name>_axons.tif`."""
    rows = zip(*(fibers.columns[column].tolist() for column in COLUMNS), strict=True)
    write_table(folder / f"{name}_fibers.csv", COLUMNS, rows)
    kind = np.uint16 if len(fibers) < 2**16 else np.uint32
    for part, labels in (("labels", fibers.labels), ("axons", fibers.axons)):
        write_image(folder / f"{name}_{part}.tif", labels.astype(kind), fibers.pixel_size_um)


# ---------------------------------------------------------------- input


def find_masks(folder, what="python find_myelin.py"):
    """Return {id: (mask path, axon mask path or None)} of a folder.

    Masks are called `<id>_mask.*`; where none is, every picture is one but `<id>_axon.*`.

    Raises
    ------
    UserError
        The folder is missing or holds no mask.
    """
    found = list_images(folder)
    masks = {stem.removesuffix("_mask"): stem for stem in found if stem.endswith("_mask")}
    if not masks:
        others = ("_axon", "_pred", "_overlay")
        masks = {stem: stem for stem in found if not stem.endswith(others)}
    if not masks:
        raise UserError(f"{folder}: no masks in it, run {what} or name another folder")
    return {name: (found[stem], found.get(f"{name}_axon")) for name, stem in masks.items()}


def segmented(folder, masks):
    """Return the masks that are of `find_myelin.py`'s last run, and that run's `run.json`.

    All masks, and None, where the folder has none.
    """
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        ids = set(masks if run is None else run.get("images", masks))
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}), run python find_myelin.py or remove it"
        ) from None
    skipped = [name for name in masks if name not in ids]
    if len(skipped) == len(masks):
        raise UserError(
            f"{folder}: no mask is of the run in its run.json, run python find_myelin.py or remove "
            "run.json to measure all"
        )
    if skipped:
        print(f"skipped, not of the last run in {folder}: {', '.join(skipped)}")
    return {name: paths for name, paths in masks.items() if name in ids}, run


def check_pictures(mask, masks=(), images=()):
    """Return what is wrong with a mask, others that belong to it, and pictures, as texts.

    All must be readable and of one size; None among them is passed over. One is read at a time.
    """
    errors, shape = [], None
    for path in filter(None, (mask, *masks, *images)):
        try:
            rows, cols = image_shape(path)
            if path == mask:
                shape = rows, cols
            elif shape and shape != (rows, cols):
                errors.append(
                    f"{path}: {rows} x {cols} pixels, but {mask.name} is {shape[0]} x {shape[1]}, "
                    "bring both to one size"
                )
            (read_image if path in images else read_mask)(path)
        except UserError as mistake:
            errors.extend(mistake.args)
    return errors


class PixelSizeUnknown(UserError):
    """No picture records a pixel size, and none was given."""


def pixel_size_of(paths, given):
    """Return pixel size in µm and its source; from the first of `paths` that records one.

    Raises
    ------
    PixelSizeUnknown
        No path records one.
    UserError
        Two contradict each other.
    """
    if given is not None:
        return given, "--pixel-size"
    known = [(path, *read_pixel_size(path)) for path in paths if path]
    known = [entry for entry in known if entry[1]]
    if not known:
        raise PixelSizeUnknown(
            f"{paths[-1]}: pixel size unknown (no OME-XML or ImageJ scale; dpi tags do not count), "
            "give it in µm per pixel with --pixel-size"
        )
    path, size, source = known[0]
    for other, other_size, _ in known[1:]:
        if abs(size - other_size) > PIXEL_SIZE_TOLERANCE * size:
            raise UserError(
                f"{path}: {size:g} µm per pixel, but {other} says {other_size:g}, give the right "
                "one with --pixel-size"
            )
    return size, f"{source} of {path.name}"


# ---------------------------------------------------------------- the script


def parse(argv):
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--masks",
        type=Path,
        default=PREDS,
        metavar="DIR",
        help="folder of myelin masks, <id>_mask.* or else <id>.*, with optional axon masks "
        "<id>_axon.*; where find_myelin.py left a run.json, only its images (default: preds)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of the pictures themselves, for overlays, pixel sizes, and for telling gaps "
        "from axons (default: raw/test, where it is there)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=MORPHOMETRY,
        metavar="DIR",
        help="folder to write to (default: morphometry)",
    )
    parser.add_argument(
        "--pixel-size",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of every picture (default: what each picture records in OME-XML or "
        "ImageJ tags)",
    )
    parser.add_argument(
        "--no-pictures", action="store_true", help="tables and label images only, much faster"
    )
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="table with the columns image, group, animal: adds tables and a plot per group "
        "(default: no groups)",
    )
    parser.add_argument(
        "--g-ratio-bins",
        type=float,
        nargs="+",
        metavar="UM",
        default=G_RATIO_BINS,
        help="rising edges of the bins of axon diameter, µm, in which --groups compares g-ratios "
        f"(default: {' '.join(f'{edge:g}' for edge in G_RATIO_BINS)})",
    )
    args = parser.parse_args(argv)
    edges = args.g_ratio_bins
    if len(edges) < 2 or not all(low < high for low, high in itertools.pairwise(edges)):
        parser.error(
            f"argument --g-ratio-bins: {' '.join(map(str, edges))}: give two or more rising numbers"
        )
    return args


@script
def main(argv=None):
    """Measure all masks of a folder."""
    args = parse(argv)
    if args.out.resolve() == args.masks.resolve():
        raise UserError(f"--out {args.out}: is the folder of the masks, name another")
    masks, segmentation = segmented(args.masks, find_masks(args.masks))
    folder = args.images or RAW_TEST
    images = list_images(folder) if args.images or folder.is_dir() else {}
    images = {name: path for name, path in images.items() if path != masks.get(name, [None])[0]}
    animals = read_groups(args.groups, masks) if args.groups else {}
    sizes, errors = {}, []
    # Before any work, so that a long run cannot fail late.
    for name, (mask, axon) in progress(masks.items(), "checking"):
        errors += check_pictures(mask, [axon], [images.get(name)])
        try:
            sizes[name] = pixel_size_of([images.get(name), mask], args.pixel_size)
        except UserError as mistake:
            errors.extend(mistake.args)
    if errors:
        raise UserError(*errors)

    (args.out / "run.json").unlink(missing_ok=True)  # an interrupted run leaves no false one
    rows, measured = [], {}
    for name, (mask, axon) in progress(masks.items(), "measuring"):
        size, source = sizes[name]
        myelin, axon = read_mask(mask), read_mask(axon) if axon else None
        image = read_image(images[name]) if name in images else None
        fibers = measure_fibers(myelin, size, axon, image)
        write_fibers(args.out, name, fibers)
        rows.append(summarize(fibers, name, source))
        whole = {column: fibers.columns[column][fibers.whole] for column in SIZES}
        counted = int(fibers.counted.sum())
        measured[name] = {"columns": whole, "counted": counted, "area_mm2": fibers.area_mm2}
        if not args.no_pictures:
            import plots

            plots.draw_overlay(args.out / f"{name}_overlay.png", fibers, myelin, image)
            plots.draw_sizes(args.out / f"{name}_plots.png", whole, name)
    write_table(args.out / "summary.csv", SUMMARY, rows)
    if animals:
        tables = compare_groups(animals, measured, args.g_ratio_bins)
        for title, table in zip(("animals", "groups", "g_ratio_bins"), tables, strict=True):
            write_table(args.out / f"{title}.csv", list(table[0]), table)
    if not args.no_pictures:
        import plots

        pooled = {
            size: np.concatenate([entry["columns"][size] for entry in measured.values()])
            for size in SIZES
        }
        plots.draw_sizes(args.out / "all_plots.png", pooled, f"{len(rows)} images")
        if animals:
            plots.draw_groups(args.out / "groups.png", *tables)
    write_run_json(
        args.out,
        masks=str(args.masks),
        images=str(folder),
        pixel_sizes_um={row["image"]: row["pixel_size_um"] for row in rows},
        pixel_size_sources={row["image"]: row["pixel_size_source"] for row in rows},
        fibers={row["image"]: row["fiber_count"] for row in rows},
        segmentation=segmentation,
    )
    report(rows, animals, args.out)


def report(rows, animals, folder):
    """Print the main numbers of each image."""
    width = max(len(row["image"]) for row in rows)
    for row in rows:
        text = f"{row['image']:{width}}  {row['fiber_count']:6} fibers"
        if row["measured_fibers"]:
            text += (
                f"  {row['fiber_density_per_mm2']:8.0f} per mm²"
                f"  axon {row['axon_diameter_um_mean']:.2f} µm"
                f"  myelin {row['myelin_thickness_um_mean']:.2f} µm"
                f"  g {row['g_ratio_mean']:.3f}"
            )
        print(f"{text}  ({row['pixel_size_um']:g} µm per pixel, {row['pixel_size_source']})")
    left_out = {row["image"] for row in rows} - {
        image for some in animals.values() for image in some
    }
    if animals and left_out:
        print(f"not in the groups: {', '.join(sorted(left_out))}")
    print(f"tables in {folder}/")


if __name__ == "__main__":
    main()
