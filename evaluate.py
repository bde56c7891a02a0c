"""Compare masks with reference masks: overlap, fibers found, and agreement of what is measured.

    python evaluate.py --pixel-size 0.1

compares `preds/<id>_mask.tif` with hand-drawn `raw/test/<id>_mask.*` (and axons `<id>_axon.*`,
where there are some), prints a table and writes `evaluation/evaluation.csv`, one row per image and
one over all, and `evaluation/bland_altman.png`.
"""

from pathlib import Path

from myelin.folders.image_tree import names_within, source_of, takes_of
from myelin.folders.mask_record import read_run
from myelin.folders.mask_set import check_drawn, check_images, segmented
from myelin.folders.naming import PREDS, find_masks, list_tree
from myelin.measure.agreement import compare, density_column, measure_columns, pool
from myelin.measure.cases import (
    Reader,
    add_no_pictures_option,
    add_out_option,
    add_pixel_size_option,
    check_out,
    images_of,
    read_cases,
)
from myelin.measure.fibers import measure_fibers
from myelin.measure.frame import find_frame
from myelin.measure.nerve import find_nerves
from myelin.report.figures import add_format_option, formats_of
from myelin.report.workbook import add_decimal_option
from myelin.runtime.cli import Parser, UserError, progress, script, shortened_list
from myelin.runtime.disk import check_room
from myelin.runtime.files import name_leftovers, start_run, write_run_json
from myelin.runtime.lock import holding
from myelin.runtime.tables import write_table

EVALUATION = Path("evaluation")


def parse(argv):
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="folder of reference masks, <id>_mask.* or else <id>.*, with optional axon masks "
        "<id>_axon.* (default: where the images were segmented from, raw/test)",
    )
    parser.add_argument(
        "--preds",
        type=Path,
        default=PREDS,
        metavar="DIR",
        help="folder of the masks to evaluate, <id>_mask.* (default: preds)",
    )
    add_pixel_size_option(
        parser,
        "what each image records; where one records nothing, all measures are in pixels",
    )
    add_out_option(parser, EVALUATION)
    add_no_pictures_option(parser, "the table only (default: the plot too)")
    add_format_option(parser, "the plot")
    add_decimal_option(parser)
    return parser.parse_args(argv)


@script
def main(argv=None):
    """Compare all predictions that have a reference."""
    args = parse(argv)
    source = source_of(read_run(args.preds))
    args.reference = args.reference or source
    check_out(args.out, args.reference, args.preds)
    with holding(args.preds, shared=True), holding(args.out):
        evaluate(args, source)


def evaluate(args, source):
    """Compare as the arguments say; `source` is the folder that the images were segmented from."""
    reader = Reader()
    references, found = find_pairs(args.reference, args.preds, source, reader)
    check_drawn([path for path, _ in references.values()], reader)
    predictions = found.masks
    images = images_of(references, args.reference)
    if args.reference == source:
        segmented_images = images_of(predictions, source)
        reader.takes = takes_of(found.run, segmented_images.values())
        check_images(found, segmented_images, source, reader)
    nerves = find_nerves(references, args.reference, args.preds)
    cases = read_cases(
        [references, predictions], images, args.pixel_size, reader, in_pixels=True, nerves=nerves
    )
    unit = "px" if any(case.pixel_size_um is None for case in cases) else "um"

    check_room({args.out: 2**20})  # a table and a plot
    before = start_run(args.out)
    compared = [compare_case(case, reader, unit) for case in progress(cases, "comparing")]
    total, comparisons = pool(compared, unit)
    rows = [one.row for one in compared]
    write_evaluation(args.out / "evaluation.csv", rows, total, args.decimal)
    if not args.no_pictures:
        from myelin.report.plots import draw_bland_altman

        draw_bland_altman(args.out / "bland_altman.png", comparisons, formats_of(args))
    write_run_json(
        args.out,
        reference=str(args.reference),
        preds=str(args.preds),
        pixel_sizes_um={case.name: case.pixel_size_um for case in cases}
        if unit == "um"
        else "unknown, measures in pixels",
        corrected_by_hand=[name for name in found.corrected if name in references],
    )
    name_leftovers(args.out, before)
    report(rows, total, unit, args.out)


def find_pairs(reference, preds, source, reader):
    """Return the reference masks as `find_masks` does, and the `Segmented` ones, one for each.

    Raises
    ------
    UserError
        There are no references, or one has no prediction.
    """
    names = names_within(preds)
    there = list_tree(reference, names)
    if reference == source and not any(name.endswith("_mask") for name in there):
        raise UserError(
            f"{source}: no reference masks, put <id>_mask.tif beside the images or name a folder "
            "with --reference"
        )
    references = find_masks(reference, "draw some", names)
    found = segmented(preds, find_masks(preds, names=names), reader)
    missing = [
        f"{mask}: no prediction {name}_mask in {preds}, run python find_myelin.py or remove the "
        "reference"
        for name, (mask, _) in references.items()
        if name not in found.masks
    ]
    if missing:
        raise UserError(*missing)
    alone = [name for name in found.masks if name not in references]
    if alone:
        print(f"note: without a reference, left out: {shortened_list(alone)}")
    return references, found


def compare_case(case, reader, unit):
    """Measure the fibers of one image in both masks and compare them."""
    size = case.pixel_size_um if unit == "um" else 1.0
    image = reader.image(case.image)
    masks = [reader.mask(myelin) for myelin, _ in case.masks]
    frame = find_frame(masks[0], image, reader.nerve(case.nerve))
    reference, predicted = (
        measure_fibers(mask, size, reader.mask(axon), image, frame=frame)
        for mask, (_, axon) in zip(masks, case.masks, strict=True)
    )
    return compare(case.name, reference, predicted, masks, unit)


def write_evaluation(path, rows, total, decimal):
    """Write a row per image and the one over all; columns that only an image has stay out."""
    header = list(total)
    rows = [{name: row.get(name) for name in header} for row in [*rows, total]]
    write_table(path, header, rows, decimal)


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
                ("diameter", "thickness", "g-ratio"), measure_columns(unit).values(), strict=True
            )
        ),
    )
    rows = [*rows, total] if len(rows) > 1 else rows
    width = max(len("image"), *(len(row["image"]) for row in rows))
    print(f"{'image':{width}}  " + "  ".join(title for title, _, _ in shown))
    for row in rows:
        cells = []
        for title, name, form in shown:
            text = "-" if row[name] is None else format(row[name], form)
            cells.append(text.rjust(len(title)))
        print(f"{row['image']:{width}}  " + "  ".join(cells))
    print("%: how far density and means lie above (+) or below (-) those of the reference")
    if unit == "px":
        print("pixel size unknown: measures in pixels; give it in µm with --pixel-size")
    print(f"table in {folder}/")


if __name__ == "__main__":
    main()
