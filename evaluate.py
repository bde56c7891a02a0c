"""Compare masks with reference masks: overlap, fibers found, and agreement of the measures.

    python evaluate.py --pixel-size 0.1

compares `preds/<id>_mask.tif` with hand-drawn `raw/test/<id>_mask.*` (and axons `<id>_axon.*`,
if there are any), prints a table and writes `evaluation/evaluation.csv`, one row per image and
one over all, and `evaluation/bland_altman.png`.
"""

import argparse
from pathlib import Path

from myelin.folders.image_tree import names_within, source_of
from myelin.folders.mask_record import read_run
from myelin.folders.mask_set import (
    Masks,
    MaskSet,
    find_masks,
    find_nerves,
    images_of,
    match_files,
    open_masks,
)
from myelin.folders.naming import PREDS, list_tree, misnamed, misnamed_texts, parts_among
from myelin.folders.options import (
    add_no_pictures_option,
    add_out_option,
    add_pixel_size_option,
    check_out,
)
from myelin.folders.pixel_sizes import given_sizes
from myelin.folders.reader import Reader
from myelin.measure.agreement import Compared, compare, density_column, measure_columns, pool
from myelin.measure.cases import Case, check_cases, fibers_of, frame_of, make_cases
from myelin.measure.fibers import without_axons
from myelin.report.figures import add_format_option, formats_of
from myelin.report.workbook import add_decimal_option
from myelin.runtime.cli import Parser, UserError, progress, script, shortened_list
from myelin.runtime.disk import check_room
from myelin.runtime.files import name_leftovers, start_run, write_run_json
from myelin.runtime.lock import holding
from myelin.runtime.tables import write_table

EVALUATION = Path("evaluation")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="folder of reference masks, <id>_mask.* or else <id>.*, with optional axon masks "
        "<id>_axon.* (default: the folder that was segmented, raw/test)",
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
        "what each image records; if one records nothing, all measures are in pixels",
    )
    add_out_option(parser, EVALUATION)
    add_no_pictures_option(parser, "the table only (default: the plot too)")
    add_format_option(parser, "the plot")
    add_decimal_option(parser)
    return parser.parse_args(argv)


@script
def main(argv: list[str] | None = None) -> None:
    """Compare all predictions that have a reference."""
    args = parse(argv)
    args.source = source_of(read_run(args.preds))
    args.reference = args.reference or args.source
    check_out(args.out, args.reference, args.preds)
    with holding(args.preds, shared=True), holding(args.out):
        evaluate(args)


def evaluate(args: argparse.Namespace) -> None:
    """Compare all predictions: check everything first, then measure, then write."""
    reader = Reader()
    references = find_references(args)
    predictions = find_predictions(args, references, reader)
    images = images_of(references, args.reference)
    nerves = find_nerves(references, args.reference, args.preds)
    cases = make_cases([references, predictions.masks], images, nerves)
    hand_made = [*predictions.of_user, *(path for path, _ in references.values())]
    given = given_sizes(args.pixel_size, references)
    check_cases(cases, given, reader, in_pixels=True, hand_made=hand_made)
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
    sizes = {case.name: case.pixel_size_um for case in cases}
    write_run_json(
        args.out,
        reference=str(args.reference),
        preds=str(args.preds),
        pixel_sizes_um=sizes if unit == "um" else "unknown, measures in pixels",
        corrected_by_hand=[name for name in predictions.corrected if name in references],
    )
    name_leftovers(args.out, before)
    print_table(rows, total, unit, args.out)


def find_references(args: argparse.Namespace) -> Masks:
    """Return the reference masks; raise UserError if there are none."""
    names = names_within(args.preds)
    there = list_tree(args.reference, names)
    if args.reference == args.source and not parts_among(there, "mask"):
        wrong = misnamed_texts(misnamed(there, there), there)
        none = (
            f"{args.source}: no reference masks, put <id>_mask.tif beside the images or name a "
            "folder with --reference"
        )
        raise UserError(*(wrong or [none]))
    return find_masks(args.reference, "draw some", names)


def find_predictions(args: argparse.Namespace, references: Masks, reader: Reader) -> MaskSet:
    """Return the masks to evaluate; raise UserError if a reference has none."""
    found = open_masks(args.preds, reader)
    errors = [
        f"{mask}: no prediction {name}_mask in {args.preds}, run python find_myelin.py or remove "
        "the reference"
        for name, (mask, _) in references.items()
        if name not in found.masks
    ]
    if errors:
        raise UserError(*errors)
    alone = [name for name in found.masks if name not in references]
    if alone:
        print(f"note: {args.reference}: without a reference, left out: {shortened_list(alone)}")
    if args.reference == args.source:
        match_files(found, None, reader)
    return found


def compare_case(case: Case, reader: Reader, unit: str) -> Compared:
    """Measure the fibers of one image in both masks and compare them."""
    if unit == "px":
        case.pixel_size_um = None
    frame = frame_of(case, reader)
    reference, predicted = (fibers_of(case, reader, frame, place) for place in (0, 1))
    masks = [without_axons(*reader.masks(paths)) for paths in case.masks]
    return compare(case.name, reference, predicted, masks, unit)


def write_evaluation(path: Path, rows: list[dict], total: dict, decimal: str) -> None:
    """Write a row for each image and one over all images, with the columns of the latter."""
    header = list(total)
    rows = [{name: row.get(name) for name in header} for row in [*rows, total]]
    write_table(path, header, rows, decimal)


def print_table(rows: list[dict], total: dict, unit: str, folder: Path) -> None:
    """Print overlap, fibers found, and differences of the means in %."""
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
    print("%: how far density and means are above (+) or below (-) those of the reference")
    if unit == "px":
        print("note: pixel size unknown, measures are in pixels; give it in µm with --pixel-size")
    print(f"table in {folder}/")


if __name__ == "__main__":
    main()
