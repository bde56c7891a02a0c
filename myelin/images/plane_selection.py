"""Choose one image of a file that holds several: `--take channel=2,plane=5`.

A choice is a dict {name: number}, numbers from 1 as microscopes' programs count.
"""

import argparse
import re
from pathlib import Path

from myelin.runtime.cli import UserError, count_of

MAX_PAGES = 10_000  # pages of a TIFF that are counted
WORDS = ("page", "series", "channel", "plane", "time", "level")
# By OME's letters of axes, which the readers of microscopes' formats share; others stay letters.
NAMES = {"C": "channel", "Z": "plane", "T": "time", "P": "series", "I": "page", "Q": "page"}
LETTER = re.compile(r"[^\W\d_]\d?")


def parse_take(text: str) -> dict:
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


def stored_take(text: str, where: str, script: str) -> dict:
    """Return a choice from the text of `take_text` in a file; raise UserError if it is damaged."""
    try:
        return parse_take(text)
    except argparse.ArgumentTypeError as mistake:
        raise UserError(f"{where}: {mistake}, run python {script} again") from None


def take_text(take: dict) -> str:
    """Return a choice as the text that `parse_take` reads."""
    return ",".join(f"{name}={number}" for name, number in sorted(take.items()))


def add_take_option(parser: argparse.ArgumentParser) -> None:
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


def chosen(path: str | Path, counts: dict, take: dict) -> dict:
    """Return the place of the image to read, {name: index from 0}.

    `counts` has the number of images along each axis. Without a choice, the first and largest
    level is taken; any other axis of several images is a UserError.
    """
    for name, number in take.items():
        count = counts.get(name, 1)
        if number > count:
            raise UserError(
                f"{path}: no {name} {number} (it has {count}), choose another --take {name}=N"
            )
    several = {name: n for name, n in counts.items() if n > 1 and name not in ("level", *take)}
    if several:
        found = ", ".join(
            count_of(n, name, "series" if name == "series" else None) for name, n in several.items()
        )
        raise UserError(
            f"{path}: {found} in one file, choose with --take "
            f"{','.join(f'{name}=N' for name in several)}, or save the one you need as a file of "
            "its own"
        )
    return {name: take.get(name, 1) - 1 for name in counts}


def pop_chosen(path: str | Path, name: str, count: int, take: dict) -> int:
    """Return the chosen index along one axis, from 0; remove the axis from `take`."""
    return chosen(path, {name: count}, {name: take.pop(name)} if name in take else {})[name]


def chosen_plane(path: str | Path, sizes: dict, take: dict) -> dict:
    """Return {letter: index from 0} of the axes other than Y, X and S (colours)."""
    names = {letter: NAMES.get(letter, letter) for letter in sizes if letter not in "YXS"}
    at = chosen(path, {name: sizes[letter] for letter, name in names.items()}, take)
    return {letter: at[name] for letter, name in names.items()}


def place_of(at: dict, sizes: dict) -> int:
    """Return the number of a plane in a file whose last axis changes fastest."""
    place = 0
    for letter, index in at.items():
        place = place * sizes[letter] + index
    return place


def several_pages(path: str | Path, count: int) -> UserError:
    """Return the error for a file whose first page alone could be read."""
    return UserError(
        f"{path}: {count_of(count, 'page')} in one file, save each page as a file of its own"
    )
