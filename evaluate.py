"""Compare masks with reference masks: overlap, fibers found, and agreement of what is measured.

    python evaluate.py --pixel-size 0.1

compares `preds/<id>_mask.tif` with hand-drawn `raw/test/<id>_mask.*` (and axons `<id>_axon.*`,
where there are some), prints a table and writes `evaluation/evaluation.csv`, one row per image and
one over all, and `evaluation/bland_altman.png`.
"""

from pathlib import Path

import numpy as np

from myelin.agreement import ENDS, columns, compare, density_column, pool
from myelin.cli import Parser, UserError, progress, script
from myelin.fibers import measure_fibers
from myelin.files import name_leftovers, start_run, write_run_json, write_table
from myelin.images import read_image, read_mask
from myelin.masks import PixelSizeUnknown, check_images, check_out, pixel_size_of
from myelin.naming import PREDS, RAW_TEST, find_masks, list_images
from myelin.pixel_size import check_pixel_size
from myelin.preds import segmented

EVALUATION = Path("evaluation")


def parse(argv):
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--reference",
        type=Path,
        default=RAW_TEST,
        metavar="DIR",
        help="folder of reference masks, <id>_mask.* or else <id>.*, with optional axon masks "
        "<id>_axon.* (default: raw/test)",
    )
    parser.add_argument(
        "--preds",
        type=Path,
        default=PREDS,
        metavar="DIR",
        help="folder of the masks to judge, <id>_mask.* (default: preds)",
    )
    parser.add_argument(
        "--pixel-size",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of every image (default: what each image records; where one "
        "records nothing, all measures are in pixels)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=EVALUATION,
        metavar="DIR",
        help="folder to write to (default: evaluation)",
    )
    parser.add_argument(
        "--no-pictures", action="store_true", help="the table only (default: the plot too)"
    )
    return parser.parse_args(argv)


def sizes_of(paths, given):
    """Return {id: pixel size} and the unit: "px" and 1 where any pixel size is unknown.

    `paths` are {id: paths of images that may record it}.
    """
    try:
        return {name: pixel_size_of(some, given)[0] for name, some in paths.items()}, "um"
    except PixelSizeUnknown:
        return dict.fromkeys(paths, 1.0), "px"


@script
def main(argv=None):
    """Compare all predictions that have a reference."""
    args = parse(argv)
    check_out(args.out, args.reference, args.preds)
    images = list_images(args.reference)
    if args.reference == RAW_TEST and not any(stem.endswith("_mask") for stem in images):
        raise UserError(
            f"{RAW_TEST}: no reference masks, put <id>_mask.tif beside the images or name a folder "
            "with --reference"
        )
    references = find_masks(args.reference, "draw some")
    predictions, _ = segmented(args.preds, find_masks(args.preds))
    names = [name for name in references if name in predictions]
    missing = [name for name in references if name not in predictions]
    if missing:
        raise UserError(
            *(
                f"{references[name][0]}: no prediction {name}_mask in {args.preds}, run python "
                "find_myelin.py or remove the reference"
                for name in missing
            )
        )
    images = {name: path for name, path in images.items() if path != references.get(name, [0])[0]}
    errors = []
    for name in progress(names, "checking"):
        path, axon = references[name]
        errors += check_images(path, [axon, *predictions[name]], [images.get(name)])
    if errors:
        raise UserError(*errors)
    paths = {n: [images.get(n), references[n][0], predictions[n][0]] for n in names}
    sizes, unit = sizes_of(paths, args.pixel_size)

    before = start_run(args.out)
    rows, pairs, ious = [], {column: [] for column in columns(unit).values()}, []
    for name in progress(names, "comparing"):
        image = read_image(images[name]) if name in images else None
        masks, measured = [], []
        for path, axon in (references[name], predictions[name]):
            masks.append(read_mask(path))
            drawn = read_mask(axon) if axon else None
            measured.append(measure_fibers(masks[-1], sizes[name], drawn, image))
        row, values, some = compare(name, *measured, masks, unit)
        rows.append(row)
        ious.append(some)
        for column, both in values.items():
            pairs[column].append(both)
    pairs = {column: np.concatenate(both, axis=1) for column, both in pairs.items()}
    total, densities = pool(rows, pairs, np.concatenate(ious), unit)
    header = list(total)
    write_table(
        args.out / "evaluation.csv",
        header,
        [{name: row.get(name) for name in header} for row in [*rows, total]],
    )
    if not args.no_pictures:
        from myelin import plots

        written = {"um": "µm", "px": "px"}[unit]
        shown = [
            (
                f"{name.replace('_', ' ')} of fibers".replace("g ratio", "g-ratio"),
                "" if name == "g_ratio" else written,
                column,
                pairs[column],
            )
            for name, column in columns(unit).items()
        ]
        area = "per mm²" if unit == "um" else "per megapixel"
        shown.append(("density of images", area, density_column(unit), densities))
        plots.draw_bland_altman(
            args.out / "bland_altman.png",
            [
                (title, of, *both, [total[f"{column}_{end}"] for end in ENDS])
                for title, of, column, both in shown
            ],
        )
    write_run_json(
        args.out,
        reference=str(args.reference),
        preds=str(args.preds),
        pixel_sizes_um=sizes if unit == "um" else "unknown, measures in pixels",
    )
    name_leftovers(args.out, before)
    report(rows, total, unit, args.out)


def report(rows, total, unit, folder):
    """Print the table: what was found, and differences of the means in %."""
    shown = (
        ("myelin Dice", "myelin_dice", ".3f"),
        ("axon Dice", "axon_dice", ".3f"),
        ("precision", "precision", ".3f"),
        ("recall", "recall", ".3f"),
        ("F1", "f1", ".3f"),
        ("PQ", "panoptic_quality", ".3f"),
        ("density %", f"{density_column(unit)}_difference_percent", "+.1f"),
        *(
            (f"{title} %", f"{column}_difference_percent", "+.1f")
            for title, column in zip(
                ("diameter", "thickness", "g-ratio"), columns(unit).values(), strict=True
            )
        ),
    )
    width = max(len("image"), *(len(row["image"]) for row in rows))
    print(f"{'image':{width}}  " + "  ".join(title for title, _, _ in shown))
    for row in [*rows, total] if len(rows) > 1 else rows:
        cells = []
        for title, name, form in shown:
            text = "-" if row[name] is None else format(row[name], form)
            cells.append(text.rjust(len(title)))
        print(f"{row['image']:{width}}  " + "  ".join(cells))
    if unit == "px":
        print("pixel size unknown: measures in pixels; give it in µm with --pixel-size")
    print(f"table in {folder}/")


if __name__ == "__main__":
    main()
