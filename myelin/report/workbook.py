"""Tables for spreadsheets: decimal commas, and all tables of a run as one workbook.

`summary.xlsx` is written from the tables and `run.json`, so it cannot differ from them. Its numbers
are numbers in every language of the spreadsheet program.
"""

import argparse
import importlib.util
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing
from myelin.runtime.tables import is_number, read_table

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

TEXT_COLUMNS = {"image", "scan", "group", "animal", "group_a", "group_b"}  # such as 5512
SHEET_ROWS = 2**20  # limit of Excel
MIN_WIDTH, MAX_WIDTH = 10, 60  # of a column, in letters


def add_decimal_option(parser: argparse.ArgumentParser) -> None:
    """Add `--decimal`."""
    parser.add_argument(
        "--decimal",
        choices=("point", "comma"),
        default="point",
        help="comma: decimal commas, and semicolons between columns, for spreadsheets in German, "
        "French and other languages (default: point, with commas between columns)",
    )


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add `--decimal` and `--xlsx`."""
    add_decimal_option(parser)
    parser.add_argument(
        "--xlsx",
        action="store_true",
        help="also write all tables into one workbook, summary.xlsx (default: only CSV files)",
    )


def check_installed() -> None:
    """Raise if the library that writes workbooks is missing."""
    if not importlib.util.find_spec("xlsxwriter"):
        raise UserError("--xlsx: XlsxWriter is not installed, run pip install XlsxWriter")


def write_workbook(folder: Path, ids: Sequence[str], tables: Sequence[str]) -> None:
    """Write `summary.xlsx`: a sheet for each table, one of all fibers, and one of the run.

    Parameters
    ----------
    folder : Path
        Folder with the tables and `run.json`.
    ids : sequence of str
        Ids of the images.
    tables : sequence of str
        Names of the other tables, such as "summary".
    """
    import xlsxwriter

    try:
        with (
            replacing(folder / "summary.xlsx") as temporary,
            xlsxwriter.Workbook(temporary, {"constant_memory": True}) as book,
        ):
            for name in tables:
                header, rows = read_table(folder / f"{name}.csv")
                add_sheets(book, name, header, rows)
            columns, rows = read_table(folder / "fibers.csv")
            header = fiber_header(folder, ids)
            header += [name for name in columns if name not in header]
            places = [columns.index(name) for name in header]
            add_sheets(book, "fibers", header, ([row[k] for k in places] for row in rows))
            facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            add_sheets(book, "run", ["what", "value"], flatten(facts))
    except xlsxwriter.exceptions.FileCreateError as error:
        raise error.args[0] from None  # an OSError


def fiber_header(folder: Path, ids: Sequence[str]) -> list[str]:
    """Return the columns of all `<id>_fibers.csv`; not all tables have `fascicle`."""
    columns = {"image": None}
    for name in ids:
        columns |= dict.fromkeys(read_table(folder / f"{name}_fibers.csv")[0])
    return list(columns)


def flatten(facts: dict | list, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and value of everything in a JSON object as texts."""
    parts = facts.items() if isinstance(facts, dict) else enumerate(facts, 1)
    for key, value in parts:
        full = f"{name} {key}".strip()
        if isinstance(value, (dict, list)):
            yield from flatten(value, full)
        elif value is not None:
            yield full, str(value)


def add_sheets(
    book: "Workbook", name: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Write a table of texts as one sheet, or as several if it has too many rows."""
    bold = book.add_format({"bold": True})
    rows = iter(rows)
    for number in itertools.count(1):
        some = itertools.islice(rows, SHEET_ROWS - 1)
        first = next(some, None)
        if number > 1 and first is None:
            return
        sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
        sheet.freeze_panes(1, 0)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{SHEET_ROWS}"})
        widths = [max(len(title) + 2, MIN_WIDTH) for title in header]
        for column, title in enumerate(header):
            sheet.write_string(0, column, title, bold)
        for line, row in enumerate(itertools.chain([first] if first else [], some), 1):
            write_row(sheet, line, header, row)
            widths = [max(width, len(text) + 2) for width, text in zip(widths, row, strict=True)]
        for column, width in enumerate(widths):
            sheet.set_column(column, column, min(width, MAX_WIDTH))


def write_row(sheet: "Worksheet", line: int, header: Sequence[str], row: Sequence[str]) -> None:
    """Write a row of texts, with numbers and truth values as such."""
    for column, (title, text) in enumerate(zip(header, row, strict=True)):
        if not text:
            continue
        if title not in TEXT_COLUMNS and is_number(text):
            sheet.write_number(line, column, float(text))
        elif text in ("True", "False"):
            sheet.write_boolean(line, column, text == "True")
        else:
            sheet.write_string(line, column, text)
