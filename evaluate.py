"""Compare masks with reference masks: overlap, fibers found, and agreement of the measures.

    python evaluate.py --pixel-size 0.1

compares `preds/<id>_mask.tif` with hand-drawn `raw/test/<id>_mask.*` (and axons `<id>_axon.*`,
if there are any), prints a table and writes `evaluation/evaluation.csv`, one row per image and
one over all, and `evaluation/bland_altman.png`.

    python evaluate.py --points x.roi CellCounter_y.xml
    python evaluate.py --counts counts.csv

compare with what persons marked or counted instead: found, missed and invented fibers in
`points.csv` and `missed_invented.csv`; bias, limits of agreement, r² and ICC in `counts.csv`,
`count_agreement.csv` and `counts_bland_altman.png`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from myelin.exchange.points import Counts, Points, read_counts, read_points
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
from myelin.folders.options import add_out_option, add_pixel_size_option, check_out
from myelin.folders.pixel_sizes import given_sizes
from myelin.folders.reader import Reader
from myelin.measure.agreement import (
    ENDS,
    Compared,
    Comparison,
    compare,
    density_column,
    measure_columns,
    pool,
)
from myelin.measure.cases import Case, check_cases, fibers_of, frame_of, make_cases
from myelin.measure.fibers import without_axons
from myelin.report.figures import add_format_option, formats_of
from myelin.report.workbook import add_decimal_option
from myelin.runtime.cli import Parser, UserError, count_of, progress, script, shortened_list
from myelin.runtime.disk import check_room
from myelin.runtime.files import name_leftovers, start_run, write_run_json
from myelin.runtime.lock import holding
from myelin.runtime.tables import write_table
from myelin.statistics.manual import PARTS, PROGRAM, compare_counts, match_points, pool_points

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
    parser.add_argument(
        "--points",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="compare with fibers that a person marked: multi-point ROIs (.roi, .zip), Cell "
        "Counter files (.xml) or CSV tables of x, y (px) and perhaps image; files that name no "
        "image have its name (default: compare with reference masks)",
    )
    parser.add_argument(
        "--counts",
        type=Path,
        metavar="CSV",
        help="compare with fibers that persons counted: a table with the columns image, count, and "
        "one column per further observer (default: compare with reference masks)",
    )
    add_pixel_size_option(
        parser,
        "what each image records; if one records nothing, all measures are in pixels",
    )
    add_out_option(parser, EVALUATION)
    parser.add_argument(
        "--no-pictures", action="store_true", help="the table only (default: the plot too)"
    )
    add_format_option(parser, "the plot")
    add_decimal_option(parser)
    args = parser.parse_args(argv)
    if args.reference and (args.points or args.counts):
        parser.error("argument --reference: given with --points or --counts, leave one out")
    return args


@script
def main(argv: list[str] | None = None) -> None:
    """Compare all predictions that have a reference."""
    args = parse(argv)
    args.source = source_of(read_run(args.preds))
    args.reference = args.reference or args.source
    check_out(args.out, args.reference, args.preds)
    with holding(args.preds, shared=True), holding(args.out):
        (compare_with_persons if args.points or args.counts else evaluate)(args)


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
    table = [{name: row.get(name) for name in total} for row in [*rows, total]]
    write_table(args.out / "evaluation.csv", list(total), table, args.decimal)
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


def check_points(points: Points, cases: list[Case], reader: Reader) -> None:
    """Raise UserError about points outside their image."""
    errors = []
    for case in cases:
        path, places = points.get(case.name, (None, np.zeros((0, 2))))
        rows, cols = reader.record(case.masks[0][0]).shape
        outside = places[((places < 0) | (places >= (cols, rows))).any(axis=1)]
        if len(outside):
            errors.append(
                f"{path}: {count_of(len(outside), 'point')} outside the image {case.name} of "
                f"{cols} x {rows} px, such as x {outside[0, 0]:g}, y {outside[0, 1]:g}, "
                "give x and y in px of that image"
            )
    if errors:
        raise UserError(*errors)


def compare_case(case: Case, reader: Reader, unit: str) -> Compared:
    """Measure the fibers of one image in both masks and compare them."""
    if unit == "px":
        case.pixel_size_um = None
    frame = frame_of(case, reader)
    reference, predicted = (fibers_of(case, reader, frame, place) for place in (0, 1))
    masks = [without_axons(*reader.masks(paths)) for paths in case.masks]
    return compare(case.name, reference, predicted, masks, unit)


def compare_with_persons(args: argparse.Namespace) -> None:
    """Compare fibers with the points and counts of persons: check all, then measure, then write."""
    reader = Reader()
    masks = open_masks(args.preds, reader)
    match_files(masks, None, reader)
    points = read_points(args.points or (), masks.masks)
    counts = read_counts(args.counts, masks.masks) if args.counts else {}
    cases = make_cases([masks.masks], masks.images, masks.nerves)
    cases = [case for case in cases if case.name in points or case.name in counts]
    given = given_sizes(args.pixel_size, masks.masks)
    check_cases(cases, given, reader, in_pixels=True, hand_made=masks.of_user)
    check_points(points, cases, reader)
    check_room({args.out: 2**20})  # tables and a plot

    before = start_run(args.out)
    tables, comparisons = compare_marks(cases, points, counts, reader)
    for name, rows in tables.items():
        write_table(args.out / f"{name}.csv", list(rows[0]), rows, args.decimal)
    if comparisons and not args.no_pictures:
        from myelin.report.plots import draw_bland_altman

        draw_bland_altman(args.out / "counts_bland_altman.png", comparisons, formats_of(args))
    write_run_json(
        args.out,
        preds=str(args.preds),
        points=[str(path) for path in args.points or ()],
        counts=str(args.counts) if args.counts else None,
    )
    name_leftovers(args.out, before)
    if points:
        print_columns(tables["points"], [(name, name, "d") for name in PARTS])
    if counts:
        shown = [(name, name, "+.2f") for name in ENDS] + [("r²", "r_squared", ".3f")]
        print_columns(tables["count_agreement"], [*shown, ("ICC", "icc", ".3f")], "compared")
    print(f"tables in {args.out}/")


def compare_marks(
    cases: list[Case], points: Points, counts: Counts, reader: Reader
) -> tuple[dict[str, list[dict]], list[Comparison]]:
    """Return the tables with rows by name, and the panels of the plot of counts."""
    tables = {"points": [], "missed_invented": [], "counts": []}
    comparisons = []
    for case in progress(cases, "comparing"):
        frame = frame_of(case, reader)
        fibers = fibers_of(case, reader, frame)
        if case.name in points:
            marked = points[case.name][1]
            if frame.nerve is not None:
                marked = marked[frame.fascicles(*np.floor(marked).T) > 0]
            row, places = match_points(case.name, marked, fibers)
            tables["points"].append(row)
            tables["missed_invented"] += places
        if case.name in counts:
            own = {PROGRAM: float(fibers.counted.sum())}
            tables["counts"].append({"image": case.name} | counts[case.name] | own)
    if points:
        tables["points"].append(pool_points(tables["points"]))
    if counts:
        names = list(tables["counts"][0])[1:]
        by_observer = {name: np.array([row[name] for row in tables["counts"]]) for name in names}
        tables["count_agreement"], comparisons = compare_counts(by_observer)
    return {name: rows for name, rows in tables.items() if rows}, comparisons


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
    print_columns([*rows, total] if len(rows) > 1 else rows, shown)
    print("%: how far density and means are above (+) or below (-) those of the reference")
    if len(rows) > 1:
        print(
            f"{total['image']}: precision, recall, F1 and PQ of all fibers together, others from "
            "the means of the images, each of equal weight"
        )
    if unit == "px":
        print("note: pixel size unknown, measures are in pixels; give it in µm with --pixel-size")
    print(f"table in {folder}/")


def print_columns(
    rows: list[dict], shown: Sequence[tuple[str, str, str]], first: str = "image"
) -> None:
    """Print the first column of a table, and others by their titles, names and formats."""
    width = max(len(first), *(len(row[first]) for row in rows))
    print(f"{first:{width}}  " + "  ".join(title.rjust(6) for title, _, _ in shown))
    for row in rows:
        cells = []
        for title, name, form in shown:
            text = "-" if row[name] is None else format(row[name], form)
            cells.append(text.rjust(max(len(title), 6)))
        print(f"{row[first]:{width}}  " + "  ".join(cells))


if __name__ == "__main__":
    main()
