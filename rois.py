"""Correct fibers in ImageJ, QuPath or napari: take them there, and take the corrected ones back.

    python rois.py export

writes `rois/<id>.zip` for each image in `morphometry/`: an ImageJ ROI set with two outlines per
fiber, `0001_axon` and `0001_fiber`. Open the image in ImageJ or Fiji and drop the zip on it.
`--format qupath` writes `rois/<id>.geojson` instead, each fiber a cell with its numbers, whose
nucleus is the axon; `--format napari` the label images `rois/<id>_labels.tif` and `<id>_axons.tif`
with the numbers in `<id>_features.csv`. Outlines run along the edges of pixels, so nothing is lost.

    python rois.py import rois/nerve1.zip

makes `preds/nerve1_mask.tif` and `preds/nerve1_axon.tif` from the outlines as they are now, for
morphometry.py to measure. Move, delete and add outlines; of new ones, name none: one that lies in
another is its axon. The file is named after its image: `<id>.zip`, `<id>.geojson` (also of class
nerve or fascicle, which give `preds/<id>_nerve.tif`), or `<id>_labels.tif` and `<id>_axons.tif`.

    python rois.py import rois/nerve1.zip --train

makes the pair `raw/train/nerve1.*`, `nerve1_mask.tif` as well, for extra_training.py.

    python rois.py restore nerve1

brings the model's own mask back. What a mask has besides fibers goes to `rois/<id>_rest.tif` (1 is
myelin of no fiber, 2 a gap in a sheath) and comes back from there; remove the file to be rid of it.
"""

import glob
from pathlib import Path

from myelin.folders.naming import MORPHOMETRY, PREDS, RAW_TEST, ROIS
from myelin.measure.cases import add_out_option, add_pixel_size_option, check_out
from myelin.runtime.cli import Parser, UserError, progress, script
from myelin.runtime.lock import holding

FORMATS = ("imagej", "qupath", "napari")


def parse(argv):
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_export(actions)
    add_import(actions)
    add_restore(actions)
    return parser.parse_args(argv)


def add_export(actions):
    """Add the options of `export`."""
    text = "from measured fibers to outlines"
    export = actions.add_parser("export", help=text, doc=f"Export: {text}.")
    export.add_argument("ids", nargs="*", metavar="ID", help="images to export (default: all)")
    export.add_argument(
        "--format",
        choices=FORMATS,
        default="imagej",
        help="imagej: ROI zip, for Fiji too; qupath: GeoJSON; napari: label images and table "
        "(default: imagej)",
    )
    export.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="folder of myelin masks, <id>_mask.* or else <id>.*, with optional axon masks "
        "<id>_axon.*, whose fibers are found anew (default: the fibers in morphometry/)",
    )
    add_pixel_size_option(export, "with --masks what images record, else that of the measuring")
    add_out_option(export, ROIS)
    export.set_defaults(run=export_all)


def add_import(actions):
    """Add the options of `import`."""
    text = "from corrected outlines to masks"
    take = actions.add_parser("import", help=text, doc=f"Import: {text}.")
    take.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="ROI zip or .roi, .geojson, or label image; several of one image are put together",
    )
    take.add_argument(
        "--id", metavar="ID", help="the image that all FILEs are of (default: by their names)"
    )
    take.add_argument(
        "--train",
        action="store_true",
        help="make a pair for training as well, of the image in raw/test and the corrected mask "
        "(default: the masks in preds/ alone)",
    )
    take.add_argument(
        "--force",
        action="store_true",
        help="replace masks and pairs that were made or corrected by hand, after a copy to the "
        "folder corrected/ beside them (default: they are kept, with an error)",
    )
    take.set_defaults(run=import_all)


def add_restore(actions):
    """Add the options of `restore`."""
    text = "the model's mask instead of the corrected one"
    back = actions.add_parser("restore", help=text, doc=f"Restore: {text}.")
    back.add_argument("ids", nargs="+", metavar="ID", help="images, by their id")
    back.set_defaults(run=restore_all)


@script
def main(argv=None):
    """Do what the first word asks for."""
    args = parse(argv)
    args.run(args)


def export_all(args):
    """Write the outlines of all images asked for."""
    from myelin.exchange.export_rois import export, from_masks, from_morphometry

    check_out(args.out, MORPHOMETRY, PREDS, RAW_TEST, *filter(None, [args.masks]))
    if args.masks:
        sources = from_masks(args.masks, args.ids, args.pixel_size)
    else:
        if args.pixel_size:
            raise UserError(
                f"--pixel-size: the fibers in {MORPHOMETRY} are measured already, give it to "
                "python morphometry.py or with --masks"
            )
        sources = from_morphometry(args.ids)
    with holding(args.masks or MORPHOMETRY, shared=True), holding(args.out):
        for source in progress(sources, "exporting"):
            paths = export(source, args.format, args.out)
            print(f"{source.name}: {source.fiber_count} fibers in {', '.join(map(str, paths))}")


def import_all(args):
    """Write the masks that the outlines of all files draw."""
    from myelin.exchange.corrections import write_corrected
    from myelin.exchange.import_rois import read_all

    # PowerShell hands on patterns as they are.
    files = [Path(path) for name in args.files for path in sorted(glob.glob(name)) or [name]]
    found = read_all(files, args.id)
    with holding(PREDS):
        written = write_corrected(found, args.force, args.train)
    for image in found:
        for warning in image.warnings:
            print(f"warning: {image.name}: {warning}")
        paths = ", ".join(map(str, written[image.name]))
        print(f"{image.name}: {image.content} -> {paths or 'the same as before'}")


def restore_all(args):
    """Bring back the model's masks."""
    from myelin.exchange.corrections import restore

    with holding(PREDS):
        for name in args.ids:
            copies = ", ".join(map(str, restore(name)))
            print(f"{name}: the model's mask is back; what was corrected is now {copies}")


if __name__ == "__main__":
    main()
