"""Take the measured fibers to ImageJ, QuPath or napari, to look at them and to correct them.

    python rois.py export

writes `rois/<id>.zip` for each image in `morphometry/`: an ImageJ ROI set with two outlines per
fiber, `0001_axon` and `0001_fiber`. Open the image in ImageJ or Fiji and drop the zip on it.

    python rois.py export --format qupath

writes `rois/<id>.geojson`: each fiber a cell with its numbers, whose nucleus is the axon.

    python rois.py export --format napari

writes the label images `rois/<id>_labels.tif` and `<id>_axons.tif`, and their numbers in
`<id>_features.csv`. Outlines run along the edges of pixels, so nothing is lost on the way. What a
mask has besides fibers is one more outline each: `myelin_without_fiber` and `gap_in_myelin`.
"""

from pathlib import Path

from myelin.cli import Parser, UserError, progress, script
from myelin.masks import add_out_option, add_pixel_size_option, check_out
from myelin.naming import MORPHOMETRY, PREDS, RAW_TEST

FORMATS = ("imagej", "qupath", "napari")
ROIS = Path("rois")


def parse(argv):
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_export(actions)
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


@script
def main(argv=None):
    """Do what the first word asks for."""
    args = parse(argv)
    args.run(args)


def export_all(args):
    """Write the outlines of all images asked for."""
    from myelin.rois_export import export, from_masks, from_morphometry

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
    for source in progress(sources, "exporting"):
        paths = export(source, args.format, args.out)
        print(f"{source.name}: {source.fiber_count} fibers in {', '.join(map(str, paths))}")


if __name__ == "__main__":
    main()
