"""Which image of a file that holds several: `--take channel=2,plane=5`.

A choice is a dict {name: number}, numbers from 1 as microscopes' programs count.
"""

import argparse
import re

from myelin.images.tiff_pages import MAX_PAGES
from myelin.runtime.cli import UserError

WORDS = ("page", "series", "channel", "plane", "time", "level")
# By the letters that OME and the readers of microscopes' formats have for axes; others keep theirs.
NAMES = {"C": "channel", "Z": "plane", "T": "time", "P": "series", "I": "page", "Q": "page"}
LETTER = re.compile(r"[^\W\d_]\d?")


def parse_take(text):
    """argparse type: NAME=N[,NAME=N...]."""
    take = {}
    for word in filter(None, text.split(",")):
        name, _, number = word.strip().partition("=")
        known = name in WORDS or LETTER.fullmatch(name)
        if not known or not number.isdecimal() or not 1 <= int(number[:9]) <= MAX_PAGES:
            raise argparse.ArgumentTypeError(
                f"{word!r} is not NAME=N, such as channel=2 or page=3; names are {', '.join(WORDS)}"
            )
        take[name] = int(number)
    return take


def take_text(take):
    """Return a choice as `parse_take` reads it."""
    return ",".join(f"{name}={number}" for name, number in sorted(take.items()))


def part(take, *names):
    """Return what a choice says of some names."""
    return {name: take[name] for name in names if name in take}


def add_take_option(parser):
    """Add `--take`."""
    parser.add_argument(
        "--take",
        type=parse_take,
        default={},
        metavar="NAME=N",
        help="which image of files that hold several, counted from 1: page=3 of a TIFF; "
        "channel=2,plane=5 (also time and series) where the file names its axes; level=2 is the "
        "next smaller size of a scan. Masks must hold one image (default: files must hold one)",
    )


def chosen(path, counts, take):
    """Return the place of the image to read, {name: index from 0}.

    Parameters
    ----------
    path : path
        For the messages.
    counts : dict of str to int
        How many there are of each name.
    take : dict of str to int

    Raises
    ------
    UserError
        There are several and no choice between them, or fewer than the number chosen. Of levels,
        the first and largest is taken without a choice.
    """
    for name, number in take.items():
        count = counts.get(name, 1)
        if number > count:
            raise UserError(
                f"{path}: no {name} {number} (it has {count}), choose another --take {name}=N"
            )
    several = {name: n for name, n in counts.items() if n > 1 and name not in ("level", *take)}
    if several:
        raise UserError(
            f"{path}: {', '.join(map(counted, several, several.values()))} in one file, choose "
            f"with --take {','.join(f'{name}=N' for name in several)}, or save the one you "
            "need as a file of its own"
        )
    return {name: take.get(name, 1) - 1 for name in counts}


def counted(name, count):
    """Return a count as a text."""
    number = f"more than {MAX_PAGES:,}" if count > MAX_PAGES else count
    return f"{number} {name if name == 'series' else name + 's'}"


def several_pages(path, count):
    """Return the error for pages of which only the first could be read."""
    pages = counted("page", count)
    return UserError(f"{path}: {pages} in one file, save each page as a file of its own")
