"""Measure every fiber in myelin masks: axon diameter, myelin thickness, g-ratio, density.

    python morphometry.py --pixel-size 0.1

reads `preds/<id>_mask.tif` (and an axon mask `<id>_axon.*` beside it, if there is one) and
writes `morphometry/`: `<id>_fibers.csv`, one row per fiber, `summary.csv`, one row per image,
`<id>_labels.tif` and `<id>_axons.tif` with the number of each fiber, `<id>_overlay.png` coloured by
g-ratio, and plots. The pixel size may be left out if the images record it; a table of image and
pixel_size_um gives each image its own.
If `<id>_pred.png` of the same run lies beside the mask, each fiber gets a confidence, 0 to 1.
Fibers that are probably wrong are in `doubtful.csv`, the most doubtful of each image first.
If the outline of a nerve, `<id>_nerve.*`, lies beside the mask or the image, only its fibers are
measured, and `fascicles.csv` has a row for each of its fascicles. Otherwise the outline is found
and written to `<id>_nerve.tif`; it adds columns about the nerve, and leaves no fiber out.

    python morphometry.py --groups groups.csv

compares groups of animals. `groups.csv` has the columns image, group, animal, and perhaps
pixel_size_um; `--groups folders` takes group and animal from the folders, group/animal/image, and
prints what it found. It adds tests between groups (`tests.csv`), tables for Prism and figures.

    python morphometry.py --pixel-size 0.1 --exclude exclude.csv --max-g-ratio 0.95

leaves fibers out of all statistics: those of a table (image, fiber, reason), and those beyond a
limit. Their rows stay in `<id>_fibers.csv`, with the reason in the column `excluded`.

    python morphometry.py --pixel-size 0.1 --classes classes.csv --leave-out-class swollen

counts the classes of fibers that a table gives (image, fiber, class), in `per_class.csv`, and
leaves the fibers of some classes out of all other statistics.
"""

import argparse
import itertools
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from myelin.folders.mask_set import MaskSet, match_files, open_masks
from myelin.folders.naming import BLIND_KEY, MORPHOMETRY, PREDS, RAW_TEST
from myelin.folders.options import add_out_option, add_pixel_size_option, check_out
from myelin.folders.ownership import edited_nerves, keep_edited, label_hashes
from myelin.folders.pixel_sizes import given_sizes
from myelin.folders.reader import Reader
from myelin.measure.cases import (
    Case,
    check_cases,
    check_decisions,
    make_cases,
    numbered_fibers,
    pixels_of,
)
from myelin.measure.exclude import Exclusions, add_exclude_options, doubtful_rows
from myelin.measure.fibers import Fibers, without_axons, write_fibers
from myelin.measure.frame import Frame, add_frame_options, name_unseen
from myelin.measure.nerve import add_nerve, fascicle_rows, nerve_columns, whole_in_view
from myelin.measure.numbering import Numbers
from myelin.measure.plausible import doubts
from myelin.measure.summary import summarize
from myelin.pixels.labels import LabelImage, mask_without
from myelin.report.figures import PLOT_FORMATS, Pictures, add_picture_options
from myelin.report.html import Report
from myelin.report.methods import add_tissue_option, total_text, write_methods
from myelin.report.workbook import add_table_options, check_installed, write_workbook
from myelin.runtime.cli import Parser, count_of, progress, script, shortened_list
from myelin.runtime.disk import check_room
from myelin.runtime.files import (
    left_from,
    name_leftovers,
    start_run,
    times_written,
    write_run_json,
)
from myelin.runtime.lock import holding
from myelin.runtime.tables import write_table
from myelin.statistics.groups import (
    FOLDERS,
    Animals,
    add_group_options,
    animals_by_group,
    check_edges,
    find_groups,
    place_of_images,
)
from myelin.statistics.long_tables import write_fibers_table, write_prism
from myelin.statistics.proposals import Candidates, propose_classes
from myelin.statistics.sampling import add_fields_option, estimate_totals, read_samples
from myelin.statistics.study import Study, make_study
from myelin.statistics.units import Measured


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--masks",
        type=Path,
        default=PREDS,
        metavar="DIR",
        help="folder of myelin masks, <id>_mask.* or else <id>.*, with optional axon masks "
        "<id>_axon.*; with a run.json in it, only the images of that run (default: preds)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of the images, for overlays and pixel sizes, and for telling gaps "
        "from axons (default: the folder that was segmented, raw/test, if it exists)",
    )
    add_out_option(parser, MORPHOMETRY)
    add_pixel_size_option(
        parser, "what each image records, or a column pixel_size_um in the table of --groups"
    )
    parser.add_argument(
        "--no-pictures",
        action="store_true",
        help="tables and label images only, much faster (default: overlays and plots too)",
    )
    add_picture_options(parser)
    add_table_options(parser)
    add_group_options(parser)
    add_fields_option(parser)
    add_tissue_option(parser)
    add_exclude_options(parser)
    add_frame_options(parser)
    parser.add_argument(
        "--nerve",
        choices=("auto", "none"),
        default="auto",
        help="auto: find the outline of the nerve and its fascicles where <id>_nerve.* does not "
        "give it, for its area and density; none: only given outlines (default: auto)",
    )
    args = parser.parse_args(argv)
    if args.xlsx:
        check_installed()
    if args.no_pictures and (args.numbers or args.plot_format != ["png"]):
        parser.error("argument --no-pictures: given with --numbers or --plot-format, leave one out")
    check_edges(parser, args)
    return args


@dataclass
class Results:
    """The rows of the tables, and what the pictures and the report need of each image."""

    pictures: Pictures
    page: Report | None
    doubtful: list[str]  # ids of masks whose polarity or scale is uncertain
    rows: list[dict] = field(default_factory=list)
    axon_masks: list[str] = field(default_factory=list)
    fascicles: list[dict] = field(default_factory=list)
    doubtful_fibers: list[dict] = field(default_factory=list)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    whole_nerves: dict[str, int] = field(default_factory=dict)
    candidates: list[Candidates] = field(default_factory=list)


@script
def main(argv: list[str] | None = None) -> None:
    """Measure all masks of a folder."""
    args = parse(argv)
    check_out(args.out, args.masks, args.images or RAW_TEST)
    with holding(args.masks, shared=True), holding(args.out):
        measure_folder(args)


def measure_folder(args: argparse.Namespace) -> None:
    """Measure all masks of a folder: check everything first, then measure, then write."""
    out, reader = args.out, Reader()
    masks = open_masks(args.masks, reader)
    match_files(masks, args.images, reader)
    edited = edited_nerves(out, masks.masks) if args.nerve == "auto" else {}
    masks.nerves = edited | masks.nerves
    cases = make_cases([masks.masks], masks.images, masks.nerves, masks.probabilities)
    animals = find_groups(args.groups, masks.masks) if args.groups else {}
    samples = read_samples(args.fields, args.masks, masks.masks)
    exclusions = Exclusions(args, masks.masks)
    numbers = Numbers(out, args.renumber)
    table = None if args.groups == FOLDERS else args.groups
    sizes = given_sizes(args.pixel_size, masks.masks, table)
    check_cases(cases, sizes, reader, hand_made=masks.of_user)
    name_unseen(cases, args.whole_frame)
    check_decisions(cases, exclusions.tables, numbers, reader, args.whole_frame)
    pixels = pixels_of(cases, reader)
    check_room({out: pixels if args.no_pictures else 6 * pixels + 2**20 * len(cases)})

    keep_edited(out)
    repeated = (out / "run.json").exists()
    before = start_run(out) | times_written(out / "prism") | times_written(out / "panels")
    page = None if args.no_pictures else Report(len(cases))
    results = Results(Pictures(out), page, masks.doubtful)
    before = {path: time for path, time in before.items() if path not in edited.values()}
    for case in progress(cases, "measuring"):
        found, frame = numbered_fibers(case, reader, numbers, args.whole_frame)
        nerve, path = frame.nerve, out / f"{case.name}_nerve.tif"
        if args.nerve == "auto" and nerve is None:
            nerve = add_nerve(path, found, frame, reader.image(case.image))
        fibers = add_case(results, case, found, frame, nerve, exclusions, numbers, reader)
        write_fibers(out, case.name, fibers, args.decimal)

    study = make_study(animals, results.measured, args.g_ratio_bins, args.diameter_classes)
    study.tables["sampling"] = estimate_totals(samples, results.measured, animals)
    tables = write_tables(out, results, animals, study, args.decimal)
    if not args.no_pictures:
        results.pictures.draw(args, reader, results.measured, study)
    write_run_json(
        out,
        masks=str(args.masks),
        image_folder=str(args.images) if args.images else None,
        whole_frame=args.whole_frame,
        excluded=exclusions.facts(),
        tissue=args.tissue,
        groups=animals_by_group(animals),
        **study.facts(),
        label_sha256=label_hashes(out, results.measured),
        **facts_of(masks, cases, numbers, results),
    )
    write_methods(out)
    if results.page:
        results.page.write(out / "report.html", results.rows, study.tables, args.decimal)
    if args.xlsx:
        write_workbook(out, list(results.measured), tables)
    if repeated:
        remove_outdated(out, before)
    name_leftovers(out, before)
    print_summary(results, study, out)


def add_case(
    results: Results,
    case: Case,
    found: Fibers,
    frame: Frame,
    nerve: LabelImage | None,
    exclusions: Exclusions,
    numbers: Numbers,
    reader: Reader,
) -> Fibers:
    """Add one image to the results; return its fibers, with those left out marked.

    `nerve` is that of the frame, or was found.
    """
    name = case.name
    myelin, axons = reader.masks(case.masks[0])
    if axons is not None:
        results.axon_masks.append(name)
    myelin = without_axons(myelin, axons)
    inside = myelin if frame.inside is None else myelin & frame.inside
    fibers = exclusions.mark(name, found, numbers.masks[name], numbers.highest[name], inside)
    found_nerve = None if nerve is frame.nerve else nerve
    in_nerve = replace(frame, nerve=nerve)
    row = summarize(fibers, name, case.pixel_size_source, frame)
    of_nerve = nerve_columns(fibers, in_nerve, found_nerve is not None)
    results.rows.append(row)
    if whole_in_view(in_nerve):
        results.whole_nerves[name] = of_nerve["fibers_in_nerve"]
    results.fascicles += fascicle_rows(
        name, found, fibers, in_nerve, myelin, found_nerve is not None
    )
    results.doubtful_fibers += doubtful_rows(name, fibers)
    results.candidates.append(Candidates.of(name, numbers.masks[name][0], fibers))
    results.warnings[name] = doubts(row | of_nerve, fibers)
    if name in results.doubtful:
        results.warnings[name].append(
            "find_myelin.py is unsure of polarity or scale: check its overlay, and if it is wrong, "
            "segment again with both set, such as --myelin dark --scale 2"
        )
    row |= {"warnings": "; ".join(results.warnings[name]), **of_nerve}
    results.measured[name] = Measured.of(fibers, row, found.counted)
    outside = frame.outside
    if results.page:
        image = reader.image(case.image)
        results.page.add(found, fibers, inside, image, outside, found_nerve)
    # Parts of fibers beyond the outline of the nerve are measured and shown.
    if outside is not None:
        outside = mask_without(outside, fibers.labels)
    results.pictures.add(case, fibers, outside=outside, nerve=found_nerve is not None)
    return fibers


# ---------------------------------------------------------------- write


def remove_outdated(out: Path, before: dict) -> None:
    """Remove results of an earlier run about the whole study that this run has not written.

    Beside new tables they would pass for results of the same fibers. `before` is from `start_run`.
    """
    groups = ("per_animal", "per_group", "per_g_ratio_bin")
    tables = ("fascicles", "tests", "per_class", "sampling", "proposed_classes", *groups)
    plots = itertools.product(("plots", "per_group", "fibers_per_group"), PLOT_FORMATS)
    own = {"report.html", *(f"{name}.csv" for name in tables), *map(".".join, plots)}
    inner = (("prism", ".csv"), ("panels", ".png"), ("panels", ".svg"))
    left = [p for p in left_from(before) if p.name in own or (p.parent.name, p.suffix) in inner]
    for path in left:
        path.unlink()
    if left:
        names = shortened_list([path.name for path in left])
        print(f"note: {out}/: removed, of an earlier run: {names}")


def write_tables(
    out: Path, results: Results, animals: Animals, study: Study, decimal: str
) -> list[str]:
    """Write all tables of the run; return the names of those with a sheet in the workbook."""
    places = place_of_images(animals)
    for row in results.rows:
        row["group"], row["animal"] = places.get(row["image"], ("", ""))
    tables = {"summary": results.rows, "fascicles": results.fascicles}
    tables |= {**study.tables, "doubtful": results.doubtful_fibers}
    tables["proposed_classes"] = propose_classes(results.candidates)
    tables = {name: rows for name, rows in tables.items() if rows}
    for name, rows in tables.items():
        write_table(out / f"{name}.csv", list(rows[0]), rows, decimal)
    write_fibers_table(out, list(results.measured), animals, decimal)
    if animals:
        note_fibers_outside_bins(study.tables)
        write_prism(out / "prism", study, decimal)
    return list(tables)


def note_fibers_outside_bins(tables: dict[str, list[dict]]) -> None:
    """Print how many fibers are below the bins of axon diameter."""
    measured = sum(row["measured_fibers"] for row in tables["per_animal"])
    outside = measured - sum(row["fibers"] for row in tables["per_g_ratio_bin"])
    if outside:
        low = tables["per_g_ratio_bin"][0]["axon_diameter_um_from"]
        what = count_of(outside, "fiber")
        print(f"note: --g-ratio-bins: {what} in no bin, with an axon below {low:g} µm")


def fills_frame(row: dict) -> bool:
    """Return whether a nerve was searched for and is as large as the counting frame."""
    return row["nerve_outline"] == "found" and row["nerve_area_mm2"] >= row["area_mm2"]


def facts_of(masks: MaskSet, cases: list[Case], numbers: Numbers, results: Results) -> dict:
    """Return the facts about masks, images and fibers for `run.json`."""
    return {
        "images": sorted(masks.images),
        "axon_masks": results.axon_masks,
        "corrected_by_hand": masks.corrected,
        "missing": masks.missing,
        "blinded": BLIND_KEY.exists(),
        "nerve_outlines": {name: str(path) for name, path in masks.nerves.items()},
        "nerves_found": [row["image"] for row in results.rows if row["nerve_outline"] == "found"],
        "nerves_whole_frame": [row["image"] for row in results.rows if fills_frame(row)],
        "whole_nerves": results.whole_nerves,
        "segmentation": masks.run,
        "pixel_sizes_um": {case.name: case.pixel_size_um for case in cases},
        "pixel_size_sources": {case.name: case.pixel_size_source for case in cases},
        "fibers": {row["image"]: row["fiber_count"] for row in results.rows},
        "measured_fibers": {row["image"]: row["measured_fibers"] for row in results.rows},
        "mask_sha256": {case.name: numbers.masks[case.name][0] for case in cases},
        "numbered_masks": numbers.masks,
        "highest_numbers": numbers.highest,
        "warnings": {name: texts for name, texts in results.warnings.items() if texts},
    }


def print_summary(results: Results, study: Study, out: Path) -> None:
    """Print the main numbers of each image, and which of them are doubtful."""
    rows = results.rows
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
        if row["image"] in results.whole_nerves:
            text += f"  whole nerve: {count_of(row['fibers_in_nerve'], 'fiber')}"
        if row["excluded_fibers"]:
            text += f"  {row['excluded_fibers']} excluded"
        if row["margin_fraction"]:
            text += f"  {100 * row['margin_fraction']:.1f} % margin"
        print(f"{text}  ({row['pixel_size_um']:g} µm per pixel, {row['pixel_size_source']})")
    for row in study.facts()["totals"]:
        print(f"total number of fibers: {total_text(row)}")
    print_warnings(results.warnings)
    page = f", open {out}/report.html in a browser" if results.page else ""
    print(f"tables in {out}/{page}")


def print_warnings(warnings: dict[str, list[str]]) -> None:
    """Print the warnings of all images, once if they differ in numbers alone."""
    kinds = {}
    for name, texts in warnings.items():
        for text in texts:
            kinds.setdefault(re.sub(r"[\d.,]+", "", text), []).append((name, text))
    for (name, text), *others in kinds.values():
        also = f" (similar: {shortened_list([name for name, _ in others])})" if others else ""
        print(f"warning: {name}: {text}{also}")


if __name__ == "__main__":
    main()
