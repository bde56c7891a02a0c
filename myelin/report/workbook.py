"""Tables for spreadsheets: decimal commas, and all tables of a run as one workbook.

`summary.xlsx` holds what the tables and `run.json` say, in numbers that are numbers everywhere,
whatever the language of the spreadsheet. It is written from those files, so they cannot differ.
"""

import importlib.util
import itertools
import json

from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing
from myelin.runtime.tables import is_number, read_table

# Columns of names: an image called 5512 is no number.
NAMES = {"image", "group", "animal"}
SHEET_ROWS = 2**20  # that is all a sheet of Excel has
NARROWEST = 10  # column, letters


def add_decimal_option(parser):
    """Add `--decimal`."""
    parser.add_argument(
        "--decimal",
        choices=("point", "comma"),
        default="point",
        help="comma: tables with decimal commas, and semicolons between columns, as a spreadsheet "
        "in German, French and other languages opens them (default: point, and commas between)",
    )


def add_table_options(parser):
    """Add `--decimal` and `--xlsx`."""
    add_decimal_option(parser)
    parser.add_argument(
        "--xlsx",
        action="store_true",
        help="write all tables into one workbook too, summary.xlsx (default: CSV files only)",
    )


def check_installed():
    """Raise where the library that writes workbooks is missing."""
    if not importlib.util.find_spec("xlsxwriter"):
        raise UserError("--xlsx: XlsxWriter is not installed, run pip install XlsxWriter")


def write_workbook(folder, ids, tables):
    """Write `summary.xlsx`: a sheet for each table, one of all fibers, and one of the run.

    Parameters
    ----------
    folder : Path
        Where the run has written its tables and `run.json`.
    ids : sequence of str
        Its images.
    tables : sequence of str
        Names of its other tables: "summary" and so on.

    Raises
    ------
    OSError
        It cannot be written.
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
            header = fiber_header(folder, ids)
            add_sheets(book, "fibers", header, fiber_rows(folder, ids, header))
            facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            add_sheets(book, "run", ["what", "value"], flatten(facts))
    except xlsxwriter.exceptions.FileCreateError as error:
        raise error.args[0] from None  # the OSError that it hides


def fiber_header(folder, ids):
    """Return the columns of all `<id>_fibers.csv`, as only some may have `fascicle`."""
    columns = {"image": None}
    for name in ids:
        columns |= dict.fromkeys(read_table(folder / f"{name}_fibers.csv")[0])
    return list(columns)


def fiber_rows(folder, ids, header):
    """Yield the rows of all `<id>_fibers.csv`, by the header, each with its image."""
    for name in ids:
        own, rows = read_table(folder / f"{name}_fibers.csv")
        for row in rows:
            cells = dict(zip(own, row, strict=True), image=name)
            yield [cells.get(column, "") for column in header]


def flatten(facts, name=""):
    """Yield name and value, as text, of everything in a JSON object."""
    parts = facts.items() if isinstance(facts, dict) else enumerate(facts, 1)
    for key, value in parts:
        full = f"{name} {key}".strip()
        if isinstance(value, (dict, list)):
            yield from flatten(value, full)
        elif value is not None:
            yield full, str(value)


def add_sheets(book, name, header, rows):
    """Write a table of texts as a sheet, and as further ones where there are too many rows."""
    bold, rows = book.add_format({"bold": True}), iter(rows)
    for number in itertools.count(1):
        some = itertools.islice(rows, SHEET_ROWS - 1)
        first = next(some, None)
        if number > 1 and first is None:
            return
        sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
        sheet.freeze_panes(1, 0)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{SHEET_ROWS}"})
        for column, title in enumerate(header):
            sheet.set_column(column, column, max(len(title) + 2, NARROWEST))
            sheet.write_string(0, column, title, bold)
        for line, row in enumerate(itertools.chain([first] if first else [], some), 1):
            write_row(sheet, line, header, row)


def write_row(sheet, line, header, row):
    """Write a row of texts: numbers as numbers, yes and no as such, names as names."""
    for column, (title, text) in enumerate(zip(header, row, strict=True)):
        if not text:
            continue
        if title not in NAMES and is_number(text):
            sheet.write_number(line, column, float(text))
        elif text in ("True", "False"):
            sheet.write_boolean(line, column, text == "True")
        else:
            sheet.write_string(line, column, text)
