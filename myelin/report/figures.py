"""Draw the overlays and plots of a run of `morphometry.py`, on axes and colours they share.

They are drawn after all images are measured, since the axes depend on all of them. Until then only
numbers are kept in memory; pixels are read again from the label images.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from myelin.images.image import read_labels, read_stored
from myelin.measure.cases import Case, Reader
from myelin.measure.fibers import Fibers, without_axons
from myelin.pixels.labels import LabelImage
from myelin.runtime.cli import count_of, progress
from myelin.statistics.study import Study
from myelin.statistics.units import Measured, pool_sizes

PLOT_FORMATS = ("png", "pdf", "svg")
# Columns of the fibers that overlays need.
DRAWN = ("fiber", "x_px", "y_px", "fiber_diameter_um", "g_ratio", "excluded")


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """Add `--numbers` and `--plot-format`."""
    parser.add_argument(
        "--numbers",
        action="store_true",
        help="write each fiber's number in the tables into the overlay, which is enlarged if "
        "fibers are small (default: no numbers)",
    )
    add_format_option(parser, "plots and overlays")


def add_format_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--plot-format`, the formats in which `what` is written."""
    parser.add_argument(
        "--plot-format",
        nargs="+",
        choices=PLOT_FORMATS,
        default=["png"],
        metavar="FORMAT",
        help=f"pdf, svg: write {what} in these formats too, with text that can be edited; png "
        "is always written (default: png)",
    )


def formats_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the formats to write, PNG first."""
    return tuple(dict.fromkeys(("png", *args.plot_format)))


@dataclass
class Picture:
    """The data of an image that are kept until it is drawn."""

    case: Case
    fibers: Fibers  # without pixels, and only with the columns `DRAWN`
    outside: LabelImage | None  # pixels outside the counting frame
    nerve: bool  # whether the outline of the nerve was found


class Pictures:
    """Collects the measured images of a run, and draws them.

    Parameters
    ----------
    folder : Path
        Folder of the label images, to which the pictures are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures = []

    def add(
        self, case: Case, fibers: Fibers, outside: np.ndarray | None = None, nerve: bool = False
    ) -> None:
        """Keep what the pictures of an image need.

        `outside` marks pixels outside the frame; `nerve` tells that `<id>_nerve.tif` was found.
        """
        columns = {name: fibers.columns[name] for name in DRAWN}
        packed = None if outside is None else LabelImage.from_array(outside)
        kept = replace(fibers, columns=columns, labels=None, axons=None)
        self.pictures.append(Picture(case, kept, packed, nerve))

    def draw(
        self,
        args: argparse.Namespace,
        reader: Reader,
        measured: dict[str, Measured],
        study: Study,
    ) -> None:
        """Draw an overlay and a plot of each image, a plot of all images, and those of the groups.

        `args` has the options of `add_picture_options`; `measured` is by image id.
        """
        from myelin.report.axes import choose_bins, choose_colours
        from myelin.report.fiber_overlay import draw_overlay
        from myelin.report.plots import SizesPlot
        from myelin.report.study_plots import draw_groups, draw_study

        formats = formats_of(args)
        images = list(measured.values())
        bins = [choose_bins([image.sizes[name] for image in images]) for name in SizesPlot.columns]
        drawn = (picture.fibers for picture in self.pictures)
        colours = choose_colours([fibers.columns["g_ratio"][fibers.kept] for fibers in drawn])
        plot = SizesPlot(*bins)
        for picture in progress(self.pictures, "drawing"):
            name = picture.case.name
            fibers = self.with_pixels(picture)
            draw_overlay(
                self.folder / f"{name}_overlay.png",
                fibers,
                without_axons(*reader.masks(picture.case.masks[0])),
                reader.image(picture.case.image),
                fibers.columns["fiber"] if args.numbers else None,
                None if picture.outside is None else picture.outside.to_mask(),
                colours,
                formats,
                read_stored(self.folder / f"{name}_nerve.tif") if picture.nerve else None,
            )
            plot.draw(self.folder / f"{name}_plots.png", measured[name].sizes, name, formats)
        pooled = pool_sizes(images)
        for shown, name in zip(bins, SizesPlot.columns, strict=True):
            shown.fit([pooled[name]])
        title = count_of(len(images), "image")
        SizesPlot(*bins).draw(self.folder / "plots.png", pooled, title, formats)
        if "per_group" in study.tables:
            draw_groups(self.folder / "per_group.png", study, formats)
            draw_study(self.folder, study, formats)

    def with_pixels(self, picture: Picture) -> Fibers:
        """Return the fibers of a picture with their pixels, from the label images."""
        name, numbers = picture.case.name, picture.fibers.columns["fiber"]
        labels, axons = (
            LabelImage.from_array(read_labels(self.folder / f"{name}_{part}.tif"))
            for part in ("labels", "axons")
        )
        row_of = np.zeros(max(labels.count, numbers.max(initial=0)) + 1, np.int32)
        row_of[numbers] = np.arange(1, len(numbers) + 1)
        pixels = {"labels": labels.renumbered(row_of), "axons": axons.renumbered(row_of)}
        return replace(picture.fibers, **pixels)
