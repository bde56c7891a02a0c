"""Correct fibers in ImageJ, QuPath or napari: export outlines, and import the corrected ones.

    python rois.py export

writes `rois/<id>.zip` for each image in `morphometry/`: an ImageJ ROI set with two outlines per
fiber, `0001_axon` and `0001_fiber`. Open the image in ImageJ or Fiji and drop the zip on it.
`--format qupath` writes `rois/<id>.geojson`, with fibers as cells and axons as their nuclei,
`--format napari` label images and a table. Outlines run along pixel edges, so nothing is lost.

    python rois.py import rois/nerve1.zip

writes `preds/nerve1_mask.tif` and `preds/nerve1_axon.tif` from the corrected outlines, for
morphometry.py. New outlines need no name: an outline within another is its axon. The file has the
name of its image: `<id>.zip`, `<id>.geojson`, or `<id>_labels.tif` and `<id>_axons.tif`. Outlines
named nerve or fascicle become `preds/<id>_nerve.tif`. `--train` also writes the training pair
`raw/train/nerve1.*` and `nerve1_mask.tif`.

    python rois.py restore nerve1

restores the model's own mask. Parts of a mask that are not fibers are exported to
`rois/<id>_rest.tif` (1 is myelin outside fibers, 2 a gap in a sheath) and imported from there;
remove the file to drop them.
"""

import argparse
import glob
from collections.abc import Callable
from pathlib import Path

from myelin.folders.naming import MORPHOMETRY, PREDS, RAW_TEST, ROIS
from myelin.folders.options import add_out_option, add_pixel_size_option, check_out
from myelin.runtime.cli import Parser, UserError, progress, script
from myelin.runtime.lock import holding


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, text: str, run: Callable) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, doc=f"{name.capitalize()}: {text}.")
        action.set_defaults(run=run)
        return action

    add_export_options(add("export", "write outlines of measured fibers", export_all))
    add_import_options(add("import", "make masks from corrected outlines", import_all))
    restore = add("restore", "bring back the model's masks", restore_all)
    restore.add_argument("ids", nargs="+", metavar="ID", help="ids of images")
    return parser.parse_args(argv)


def add_export_options(export: argparse.ArgumentParser) -> None:
    """Add the options of `export`."""
    export.add_argument("ids", nargs="*", metavar="ID", help="images to export (default: all)")
    export.add_argument(
        "--format",
        choices=("imagej", "qupath", "napari"),
        default="imagej",
        help="imagej: ROI zip, for Fiji too; qupath: GeoJSON; napari: label images and table "
        "(default: imagej)",
    )
    export.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="folder of myelin masks, <id>_mask.* or <id>.*, with optional axon masks "
        "<id>_axon.*; their fibers are measured now (default: the fibers in morphometry/)",
    )
    add_pixel_size_option(export, "from the images with --masks, otherwise as measured")
    add_out_option(export, ROIS)


def add_import_options(take: argparse.ArgumentParser) -> None:
    """Add the options of `import`."""
    take.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="ROI zip, .roi, .geojson or label image; several files of one image are combined",
    )
    take.add_argument(
        "--id", metavar="ID", help="image that all FILEs belong to (default: from their names)"
    )
    take.add_argument(
        "--train",
        action="store_true",
        help="also write a training pair, the image in raw/test and the corrected mask "
        "(default: only the masks in preds/)",
    )
    take.add_argument(
        "--force",
        action="store_true",
        help="replace masks and pairs that were made or corrected by hand, after copying them to "
        "corrected/ beside them, and accept that most fibers are gone (default: an error)",
    )


@script
def main(argv: list[str] | None = None) -> None:
    """Run the action that the command line names."""
    args = parse(argv)
    args.run(args)


def export_all(args: argparse.Namespace) -> None:
    """Write the outlines of all requested images."""
    from myelin.exchange.export_rois import export, from_masks, from_morphometry

    check_out(args.out, MORPHOMETRY, PREDS, RAW_TEST, *filter(None, [args.masks]))
    if args.masks:
        sources = from_masks(args.masks, args.ids, args.pixel_size)
    elif args.pixel_size:
        raise UserError(
            f"--pixel-size: the fibers in {MORPHOMETRY} are measured already, use it with "
            "python morphometry.py or with --masks"
        )
    else:
        sources = from_morphometry(args.ids)
    with holding(args.masks or MORPHOMETRY, shared=True), holding(args.out):
        for source in progress(sources, "exporting"):
            paths = ", ".join(map(str, export(source, args.format, args.out)))
            print(f"{source.name}: {source.content} in {paths}")


def import_all(args: argparse.Namespace) -> None:
    """Write the masks of the corrected outlines."""
    from myelin.exchange.corrections import write_corrected
    from myelin.exchange.import_rois import check_fiber_counts, read_all

    # PowerShell does not expand patterns.
    files = [Path(path) for name in args.files for path in sorted(glob.glob(name)) or [name]]
    found = read_all(files, args.id)
    if not args.force:
        check_fiber_counts(found)
    with holding(PREDS):
        written = write_corrected(found, args.force, args.train)
    for image in found:
        for warning in image.warnings:
            print(f"warning: {image.name}: {warning}")
        paths = ", ".join(map(str, written[image.name]))
        print(f"{image.name}: {image.content} -> {paths or 'the same as before'}")


def restore_all(args: argparse.Namespace) -> None:
    """Restore the model's masks."""
    from myelin.exchange.corrections import restore

    with holding(PREDS):
        for name in args.ids:
            moved = ", ".join(map(str, restore(name)))
            print(f"{name}: the model's mask is restored, the corrected one is now {moved}")


if __name__ == "__main__":
    main()
