"""All pictures of a run of `morphometry.py`: overlays and plots, on axes and colours they share.

They are drawn when everything is measured, as the axes depend on all images. Until then a run
keeps numbers alone; pixels are read again, from the label images it wrote.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from myelin.images.image import read_labels
from myelin.pixels.runs import find_runs
from myelin.runtime.cli import progress
from myelin.statistics.groups import pool_sizes

# Columns of the fibers that overlays need.
DRAWN = ("fiber", "x_px", "y_px", "fiber_diameter_um", "g_ratio", "excluded")


def add_picture_options(parser):
    """Add `--numbers` and `--plot-format`."""
    parser.add_argument(
        "--numbers",
        action="store_true",
        help="write each fiber's number, that of the tables, into the overlay, which is enlarged "
        "where fibers are small (default: no numbers)",
    )
    add_format_option(parser, "plots and overlays")


def add_format_option(parser, what):
    """Add `--plot-format`, the formats in which `what` is written."""
    parser.add_argument(
        "--plot-format",
        nargs="+",
        choices=("png", "pdf", "svg"),
        default=["png"],
        metavar="FORMAT",
        help=f"pdf, svg: write {what} in these formats too, with text that can be edited; png "
        "is always written (default: png)",
    )


def formats_of(args):
    """Return the formats to write, PNG first."""
    return tuple(dict.fromkeys(("png", *args.plot_format)))


@dataclass
class Picture:
    """What is kept of an image until it is drawn.

    Attributes
    ----------
    case : masks.Case
    fibers : fibers.Fibers
        Without pixels, and with the columns `DRAWN` only.
    outside : bytes or None
        Packed.
    """

    case: object
    fibers: object
    outside: bytes | None


class Pictures:
    """Collects what was measured, and draws it.

    Parameters
    ----------
    folder : Path
        Where the label images are, and the pictures go.
    """

    def __init__(self, folder):
        self.folder, self.pictures = folder, []

    def add(self, case, fibers, outside=None):
        """Keep what the pictures of an image need.

        Parameters
        ----------
        case : masks.Case
        fibers : fibers.Fibers
        outside : bool array, (rows, cols), optional
            What is no tissue.
        """
        columns = {name: fibers.columns[name] for name in DRAWN}
        packed = None if outside is None else zlib.compress(np.packbits(outside), 1)
        kept = replace(fibers, columns=columns, labels=None, axons=None)
        self.pictures.append(Picture(case, kept, packed))

    def draw(self, args, reader, measured, tables=None):
        """Draw an overlay and a plot of each image, one plot of all, and one of the groups.

        Parameters
        ----------
        args : argparse.Namespace
            With the options of `add_picture_options`.
        reader : masks.Reader
        measured : dict of image id to groups.Measured
        tables : groups.GroupTables, optional
        """
        from myelin.report.axes import choose_bins, choose_colours
        from myelin.report.fiber_overlay import draw_overlay
        from myelin.report.plots import SizesPlot, draw_groups

        formats, images = formats_of(args), list(measured.values())
        bins = [choose_bins([image.sizes[name] for image in images]) for name in SizesPlot.columns]
        drawn = (picture.fibers for picture in self.pictures)
        colours = choose_colours([fibers.columns["g_ratio"][fibers.kept] for fibers in drawn])
        plot = SizesPlot(*bins)
        for picture in progress(self.pictures, "drawing"):
            name = picture.case.name
            fibers, outside = self.pixels(picture)
            crowded = draw_overlay(
                self.folder / f"{name}_overlay.png",
                fibers,
                reader.mask(picture.case.masks[0][0]),
                reader.image(picture.case.image),
                fibers.columns["fiber"] if args.numbers else None,
                outside,
                colours,
                formats,
            )
            if crowded:
                print(f"note: {name}_overlay.png: no room for the numbers of {crowded} fibers")
            plot.draw(self.folder / f"{name}_plots.png", measured[name].sizes, name, formats)
        pooled = pool_sizes(images)
        for shown, name in zip(bins, SizesPlot.columns, strict=True):
            shown.fit([pooled[name]])
        SizesPlot(*bins).draw(self.folder / "plots.png", pooled, f"{len(images)} images", formats)
        if tables:
            draw_groups(self.folder / "per_group.png", tables, formats)

    def pixels(self, picture):
        """Return the fibers of a picture with their pixels, and what is outside."""
        name, numbers = picture.case.name, picture.fibers.columns["fiber"]
        labels, axons = (
            find_runs(read_labels(self.folder / f"{name}_{part}.tif"))
            for part in ("labels", "axons")
        )
        highest = max(labels.number.max(initial=0), numbers.max(initial=0))
        row = np.zeros(highest + 1, np.int32)
        row[numbers] = np.arange(1, len(numbers) + 1)
        fibers = replace(picture.fibers, labels=labels.renumbered(row), axons=axons.renumbered(row))
        if picture.outside is None:
            return fibers, None
        bits = np.frombuffer(zlib.decompress(picture.outside), np.uint8)
        return fibers, np.unpackbits(bits, count=labels.size).reshape(labels.shape).astype(bool)
