"""Units of length, and pixel sizes in µm from the command line."""

import argparse
import contextlib
import re
import unicodedata
from pathlib import Path

import numpy as np

from myelin.runtime.cli import UserError

# µm of each unit. Without cm and inch: printing resolutions use these, microscopes do not.
MICRONS = {"m": 1e6, "mm": 1e3, "um": 1.0, "u": 1.0, "micron": 1.0, "nm": 1e-3, "pm": 1e-6}
MICRONS |= {"millim": 1e3, "microm": 1.0, "nanom": 1e-3, "picom": 1e-6}  # without "eter"
MICRONS |= {"å": 1e-4, "ångström": 1e-4, "angstrom": 1e-4}
# µm per pixel; a size outside this range, 0.1 nm to 100 µm, is a mistake.
PIXEL_SIZE_RANGE_UM = (1e-4, 100.0)
# Two pixel sizes of one image that differ by more are a contradiction, not rounding.
PIXEL_SIZE_TOLERANCE = 0.01


def unit_um(unit: str) -> float | None:
    """Return a unit of length in µm, None if it is unknown.

    Case, plural and spelling do not matter: `um`, `µm`, `Micron`, `micrometers`, `nanometre`.

    >>> unit_um("Microns"), unit_um("nanometre"), unit_um("pixel")
    (1.0, 0.001, None)
    """
    word = unit.strip().lower().replace("\\u00b5", "µ")  # ImageJ's escape
    word = unicodedata.normalize("NFKC", word).replace("μ", "u")  # micro sign and Greek mu
    return MICRONS.get(re.sub("et(er|re)$", "", word.removesuffix("s")))


def is_possible(size_um: float | np.ndarray) -> bool | np.ndarray:
    """Return whether a number, or each number of an array, can be a pixel size in µm."""
    return (PIXEL_SIZE_RANGE_UM[0] <= size_um) & (size_um < PIXEL_SIZE_RANGE_UM[1])


def check_pixel_size(text: str) -> float:
    """Return a pixel size in µm from a command line, or raise argparse's error."""
    with contextlib.suppress(ValueError):
        if is_possible(float(text)):
            return float(text)
    low, high = PIXEL_SIZE_RANGE_UM
    example = text.replace(",", ".") if re.fullmatch(r"\d*,\d+", text) else "0.1"
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a pixel size, give µm per pixel with a decimal point, between {low:g} "
        f"and {high:g}, such as {example}"
    )


def sizes_differ(one_um: float, other_um: float) -> bool:
    """Return whether two pixel sizes differ by more than rounding."""
    return abs(one_um - other_um) > PIXEL_SIZE_TOLERANCE * max(one_um, other_um)


def square_size(path: str | Path, sizes_um: tuple[float, float]) -> float:
    """Return the x of an image's (x, y) pixel sizes; raise a UserError if y differs."""
    x, y = sizes_um
    if sizes_differ(x, y):
        raise UserError(
            f"{path}: pixels of {x:g} x {y:g} µm are not square, resample the image or give "
            "the right size with --pixel-size"
        )
    return x
