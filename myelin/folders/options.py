"""Options that several commands share: `--out` and `--pixel-size`."""

from argparse import ArgumentParser
from pathlib import Path

from myelin.folders.naming import RAW_TRAIN
from myelin.folders.pixel_sizes import pixel_size_or_table
from myelin.runtime.cli import UserError


def add_pixel_size_option(parser: ArgumentParser, default: str) -> None:
    """Add `--pixel-size`; `default` is the help text about a run without it."""
    parser.add_argument(
        "--pixel-size",
        type=pixel_size_or_table,
        metavar="UM|CSV",
        help="µm per pixel of every image, or a table with the columns image, pixel_size_um, such "
        f"as pixel_sizes.csv (default: {default})",
    )


def add_out_option(parser: ArgumentParser, default: Path) -> None:
    """Add `--out`, the output folder."""
    parser.add_argument(
        "--out",
        type=Path,
        default=default,
        metavar="DIR",
        help=f"folder to write to (default: {default})",
    )


def check_out(folder: Path, *inputs: Path) -> None:
    """Raise UserError if the output folder is one of the inputs or `raw/train`."""
    for other in (*inputs, RAW_TRAIN):
        if folder.resolve() == other.resolve():
            raise UserError(f"--out {folder}: is an input folder, choose another")
