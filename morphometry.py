"""Measure every fiber in myelin masks: axon diameter, myelin thickness, g-ratio, density.

    python morphometry.py --pixel-size 0.1

reads `preds/<id>_mask.tif` (and an axon mask `<id>_axon.*` beside it, where there is one) and
writes `morphometry/`: `<id>_fibers.csv`, one row per fiber, `summary.csv`, one row per image,
`<id>_labels.tif` and `<id>_axons.tif` with the number of each fiber, `<id>_overlay.png` coloured by
g-ratio, and plots. The pixel size may be left out where the images record it (OME-XML or ImageJ).

    python morphometry.py --groups groups.csv

compares groups of animals. `groups.csv` has the columns image, group, animal.
"""

import itertools
from pathlib import Path

import numpy as np

from myelin.cli import Parser, UserError, progress, script
from myelin.fibers import COLUMNS, SUMMARY, Fibers, find_axons, measure_fibers, summarize
from myelin.files import name_leftovers, start_run, write_run_json, write_table
from myelin.groups import G_RATIO_BINS, SIZES, compare_groups, read_groups
from myelin.images import read_image, read_mask, write_image
from myelin.masks import check_images, check_out, pixel_size_of
from myelin.naming import PREDS, RAW_TEST, find_masks, list_images
from myelin.pixel_size import check_pixel_size
from myelin.preds import segmented

__all__ = ["Fibers", "find_axons", "find_masks", "measure_fibers", "summarize"]

MORPHOMETRY = Path("morphometry")
GROUP_TABLES = ("per_animal", "per_group", "per_g_ratio_bin")  # not groups.csv: the input's name


# ---------------------------------------------------------------- tables


def write_fibers(folder, name, fibers):
    """Write `<name>_fibers.csv`, `<name>_labels.tif` and `<name>_axons.tif`."""
    rows = zip(*(fibers.columns[column].tolist() for column in COLUMNS), strict=True)
    write_table(folder / f"{name}_fibers.csv", COLUMNS, rows)
    kind = np.uint16 if len(fibers) < 2**16 else np.uint32
    for part, labels in (("labels", fibers.labels), ("axons", fibers.axons)):
        write_image(folder / f"{name}_{part}.tif", labels.astype(kind), fibers.pixel_size_um)


# ---------------------------------------------------------------- input


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
        help="folder of the images themselves, for overlays, pixel sizes, and for telling gaps "
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
        help="µm per pixel of every image (default: what each image records in OME-XML or "
        "ImageJ tags)",
    )
    parser.add_argument(
        "--no-pictures",
        action="store_true",
        help="tables and label images only, much faster (default: overlays and plots too)",
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
    check_out(args.out, args.masks, args.images or RAW_TEST)
    masks, segmentation = segmented(args.masks, find_masks(args.masks))
    folder = args.images or RAW_TEST
    images = list_images(folder) if args.images or folder.is_dir() else {}
    images = {name: path for name, path in images.items() if path != masks.get(name, [None])[0]}
    animals = read_groups(args.groups, masks) if args.groups else {}
    sizes, errors = {}, []
    # Before any work, so that a long run cannot fail late.
    for name, (mask, axon) in progress(masks.items(), "checking"):
        errors += check_images(mask, [axon], [images.get(name)])
        try:
            sizes[name] = pixel_size_of([images.get(name), mask], args.pixel_size)
        except UserError as mistake:
            errors.extend(mistake.args)
    if errors:
        raise UserError(*errors)

    before = start_run(args.out)
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
            from myelin import plots

            plots.draw_overlay(args.out / f"{name}_overlay.png", fibers, myelin, image)
            plots.draw_sizes(args.out / f"{name}_plots.png", whole, name)
    write_table(args.out / "summary.csv", SUMMARY, rows)
    if animals:
        tables = compare_groups(animals, measured, args.g_ratio_bins)
        name_unbinned(tables)
        for title, table in zip(GROUP_TABLES, tables, strict=True):
            write_table(args.out / f"{title}.csv", list(table[0]), table)
    if not args.no_pictures:
        from myelin import plots

        pooled = {
            size: np.concatenate([entry["columns"][size] for entry in measured.values()])
            for size in SIZES
        }
        plots.draw_sizes(args.out / "plots.png", pooled, f"{len(rows)} images")
        if animals:
            plots.draw_groups(args.out / "per_group.png", *tables)
    write_run_json(
        args.out,
        masks=str(args.masks),
        images=sorted(set(images) & set(masks)),
        pixel_sizes_um={row["image"]: row["pixel_size_um"] for row in rows},
        pixel_size_sources={row["image"]: row["pixel_size_source"] for row in rows},
        fibers={row["image"]: row["fiber_count"] for row in rows},
        segmentation=segmentation,
    )
    name_leftovers(args.out, before)
    report(rows, animals, args.out)


def name_unbinned(tables):
    """Say how many fibers are in no bin of axon diameter."""
    per_animal, _, bins = tables
    outside = sum(r["measured_fibers"] for r in per_animal) - sum(r["fibers"] for r in bins)
    if outside:
        print(f"note: {outside} fibers are in no bin of axon diameter, see --g-ratio-bins")


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
