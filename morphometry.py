"""Measure every fiber in myelin masks: axon diameter, myelin thickness, g-ratio, density.

    python morphometry.py --pixel-size 0.1

reads `preds/<id>_mask.tif` (and an axon mask `<id>_axon.*` beside it, where there is one) and
writes `morphometry/`: `<id>_fibers.csv`, one row per fiber, `summary.csv`, one row per image,
`<id>_labels.tif` and `<id>_axons.tif` with the number of each fiber, `<id>_overlay.png` coloured by
g-ratio, and plots. The pixel size may be left out where the images record it (OME-XML or ImageJ).
Where `<id>_pred.png` of the same run lies beside the mask, each fiber gets a confidence, 0 to 1.
Where the outline of a nerve, `<id>_nerve.*`, lies beside the mask or the image, only its fibers are
measured, and `fascicles.csv` has a row for each of its fascicles.

    python morphometry.py --groups groups.csv

compares groups of animals. `groups.csv` has the columns image, group, animal; `--groups folders`
takes them from where the images lie, group/animal/image, and shows what it found.

    python morphometry.py --pixel-size 0.1 --exclude exclude.csv --max-g-ratio 0.95

leaves fibers out of all statistics: those of a table (image, fiber, reason), and those beyond a
limit. Their rows stay in `<id>_fibers.csv`, with the reason in the column `excluded`.
"""

import dataclasses
import functools
import itertools
import math
from pathlib import Path

from myelin.folders.image_tree import names_within, source_of, takes_of
from myelin.folders.mask_set import check_images, probabilities_of, segmented
from myelin.folders.naming import MORPHOMETRY, PREDS, RAW_TEST, find_masks
from myelin.folders.ownership import keep_edited, label_hashes
from myelin.measure.cases import (
    Reader,
    add_no_pictures_option,
    add_out_option,
    add_pixel_size_option,
    check_out,
    images_of,
    read_cases,
)
from myelin.measure.exclude import Exclusions, add_exclude_options
from myelin.measure.fibers import measure_fibers, without_axons, write_fibers
from myelin.measure.frame import add_frame_options, find_frame, name_unseen
from myelin.measure.nerve import fascicle_rows, find_nerves
from myelin.measure.numbering import Numbers
from myelin.measure.plausible import doubts
from myelin.measure.summary import summarize
from myelin.pixels.labels import mask_without
from myelin.report.figures import Pictures, add_picture_options
from myelin.report.html import Report
from myelin.report.methods import write_methods
from myelin.report.workbook import add_table_options, check_installed, write_workbook
from myelin.runtime.cli import Parser, progress, running, script
from myelin.runtime.disk import check_room
from myelin.runtime.files import name_leftovers, start_run, write_run_json
from myelin.runtime.lock import holding
from myelin.runtime.tables import write_table
from myelin.statistics.groups import (
    G_RATIO_BINS,
    Measured,
    animals_by_group,
    compare_groups,
    find_groups,
)

# So many images get their warnings on the terminal: a wrong pixel size concerns all of them.
DOUBTED_SAID = 5


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
        "from axons (default: where they were segmented from, raw/test, if it exists)",
    )
    add_out_option(parser, MORPHOMETRY)
    add_pixel_size_option(parser, "what each image records in OME-XML or ImageJ tags")
    add_no_pictures_option(
        parser, "tables and label images only, much faster (default: overlays and plots too)"
    )
    add_picture_options(parser)
    add_table_options(parser)
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="table with the columns image, group, animal: adds tables and a plot per group; "
        "folders: from where the images lie, group/animal/image (default: no groups)",
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
    add_exclude_options(parser)
    add_frame_options(parser)
    args = parser.parse_args(argv)
    if args.xlsx:
        check_installed()
    edges = args.g_ratio_bins
    if len(edges) < 2 or not all(low < high for low, high in itertools.pairwise(edges)):
        parser.error(
            f"argument --g-ratio-bins: {' '.join(map(str, edges))}: give two or more rising numbers"
        )
    return args


@dataclasses.dataclass
class Results:
    """What a run has measured.

    Attributes
    ----------
    pictures : Pictures
    page : Report or None
    rows, fascicles : list of dict
        Of `summary.csv` and `fascicles.csv`.
    warnings : dict of image id to list of str
    measured : dict of image id to Measured
    tables : list of str
        Names of the tables written, but those of fibers.
    """

    pictures: Pictures
    page: Report | None
    rows: list = dataclasses.field(default_factory=list)
    fascicles: list = dataclasses.field(default_factory=list)
    warnings: dict = dataclasses.field(default_factory=dict)
    measured: dict = dataclasses.field(default_factory=dict)
    tables: list = dataclasses.field(default_factory=list)


@script
def main(argv=None):
    """Measure all masks of a folder."""
    args = parse(argv)
    check_out(args.out, args.masks, args.images or RAW_TEST)
    with holding(args.masks, shared=True), holding(args.out):
        measure_folder(args)


def measure_folder(args):
    """Measure as the arguments say."""
    reader = Reader()
    found = segmented(args.masks, find_masks(args.masks, names=names_within(args.masks)), reader)
    masks = found.masks
    folder = args.images or source_of(found.run)
    images = images_of(masks, folder) if args.images or folder.is_dir() else {}
    reader.takes = takes_of(found.run, images.values())
    if folder.is_dir():
        check_images(found, images, folder, reader)
    animals = find_groups(args.groups, masks) if args.groups else {}
    exclusions = Exclusions(args, masks, reader)
    probabilities = probabilities_of(found, args.masks)
    nerves = find_nerves(masks, args.masks, folder)
    cases = read_cases(
        [masks], images, args.pixel_size, reader, probabilities=probabilities, nerves=nerves
    )
    numbers = Numbers(args.out, args.renumber)
    name_unseen(cases, args.whole_frame)
    exclusions.check(cases, lambda case: find_case(case, reader, args, numbers)[0])

    check_room({args.out: room_needed(cases, reader, not args.no_pictures)})
    keep_edited(args.out)
    before = start_run(args.out)
    results = Results(Pictures(args.out), None if args.no_pictures else Report(len(cases)))
    for case in progress(cases, "measuring"):
        measure_case(case, reader, exclusions, numbers, args, results)
    rows, warnings = results.rows, results.warnings
    tables = write_tables(args, results, animals)
    if not args.no_pictures:
        results.pictures.draw(args, reader, results.measured, tables)
    write_run_json(
        args.out,
        masks=str(args.masks),
        images=sorted(images),
        pixel_sizes_um={case.name: case.pixel_size_um for case in cases},
        pixel_size_sources={case.name: case.pixel_size_source for case in cases},
        fibers={row["image"]: row["fiber_count"] for row in rows},
        mask_sha256=exclusions.hashes,
        axon_masks=[case.name for case in cases if case.masks[0][1]],
        excluded=exclusions.facts(),
        groups=animals_by_group(animals),
        corrected_by_hand=found.corrected,
        missing=found.missing,
        label_sha256=label_hashes(args.out, results.measured),
        highest_numbers=numbers.highest,
        whole_frame=args.whole_frame,
        nerve_outlines={name: str(path) for name, path in nerves.items()},
        warnings={name: texts for name, texts in warnings.items() if texts},
        segmentation=found.run,
    )
    text = write_methods(args.out)
    if results.page:
        results.page.write(args.out / "report.html", running["arguments"], text, args.decimal)
    if args.xlsx:
        write_workbook(args.out, list(results.measured), results.tables)
    name_leftovers(args.out, before)
    report(rows, animals, warnings, args.out)


def room_needed(cases, reader, pictures):
    """Return the bytes that a run will write, nearly all of them for pictures."""
    pixels = sum(math.prod(reader.record(case.masks[0][0]).shape) for case in cases)
    return 6 * pixels + 2**20 * len(cases) if pictures else pixels


def find_case(case, reader, args, numbers):
    """Return the `fibers.Fibers` of one image, and the `frame.Frame` they are counted in."""
    myelin, axon = map(reader.mask, case.masks[0])
    image, probability = reader.image(case.image), functools.partial(reader.image, case.probability)
    frame = find_frame(myelin, image, reader.nerve(case.nerve), not args.whole_frame)
    fibers = measure_fibers(myelin, case.pixel_size_um, axon, image, probability, frame)
    numbers.give(case.name, fibers)
    return fibers, frame


def measure_case(case, reader, exclusions, numbers, args, results):
    """Measure one image, write its table and label images, and add it to the results."""
    myelin = without_axons(*map(reader.mask, case.masks[0]))
    found, frame = find_case(case, reader, args, numbers)
    inside = myelin if frame.inside is None else myelin & frame.inside
    fibers = exclusions.apply(case, found, inside)
    write_fibers(args.out, case.name, fibers, args.decimal)
    if results.page:
        image = reader.image(case.image)
        results.page.add(case.name, found, fibers, inside, image, frame.outside)
    results.rows.append(summarize(fibers, case.name, case.pixel_size_source, frame))
    results.fascicles += fascicle_rows(case.name, found, fibers, frame, myelin)
    results.warnings[case.name] = doubts(results.rows[-1], fibers)
    results.measured[case.name] = Measured.of(fibers)
    # What of a fiber lies beyond the outline of the nerve is measured and shown.
    outside = frame.outside
    if outside is not None:
        outside = mask_without(outside, fibers.labels)
    results.pictures.add(case, fibers, outside=outside)


def write_tables(args, results, animals):
    """Write the tables of images, fascicles and groups; return the `GroupTables`, if any."""
    for name, rows in (("summary", results.rows), ("fascicles", results.fascicles)):
        if rows:
            write_table(args.out / f"{name}.csv", list(rows[0]), rows, args.decimal)
            results.tables.append(name)
    if not animals:
        return None
    tables = compare_groups(animals, results.measured, args.g_ratio_bins)
    write_groups(args.out, tables, args.decimal)
    results.tables += [field.name for field in dataclasses.fields(tables)]
    return tables


def write_groups(folder, tables, decimal):
    """Write `per_animal.csv`, `per_group.csv` and `per_g_ratio_bin.csv`; not groups.csv, the input.

    Say how many fibers are outside the bins of axon diameter.
    """
    for field in dataclasses.fields(tables):
        table = getattr(tables, field.name)
        write_table(folder / f"{field.name}.csv", list(table[0]), table, decimal)
    outside = sum(row["measured_fibers"] for row in tables.per_animal)
    outside -= sum(row["fibers"] for row in tables.per_g_ratio_bin)
    if outside:
        print(f"note: {outside} fibers are outside the bins of axon diameter, see --g-ratio-bins")


def report(rows, animals, warnings, folder):
    """Print the main numbers of each image, and what is doubtful in them."""
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
        if row["excluded_fibers"]:
            text += f"  {row['excluded_fibers']} excluded"
        if row["margin_fraction"]:
            text += f"  {100 * row['margin_fraction']:.1f} % margin"
        print(f"{text}  ({row['pixel_size_um']:g} µm per pixel, {row['pixel_size_source']})")
    doubted = [name for name, texts in warnings.items() if texts]
    for name in doubted[:DOUBTED_SAID]:
        for text in warnings[name]:
            print(f"warning: {name}: {text}")
    if len(doubted) > DOUBTED_SAID:
        more = len(doubted) - DOUBTED_SAID
        print(f"warning: {more} more images have doubtful numbers, see {folder}/run.json")
    left_out = {row["image"] for row in rows} - set(itertools.chain(*animals.values()))
    if animals and left_out:
        print(f"not in the groups: {', '.join(sorted(left_out))}")
    print(f"tables in {folder}/")


if __name__ == "__main__":
    main()
