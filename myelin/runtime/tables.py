"""Write tables as CSV that spreadsheets open correctly, and read them back."""

import codecs
import csv
import io
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from myelin.runtime.cli import UserError, count_of
from myelin.runtime.files import replacing, stem_of

# First letters of formulas; the last four are those of East Asian keyboards.
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
# Mistakes of a user's table that are named at once: the wrong table has one on every line.
MAX_MISTAKES = 20


def write_table(
    path: str | Path, header: Sequence[str], rows: Iterable, decimal: str = "point"
) -> None:
    """Write a CSV file atomically, in UTF-8.

    A file with letters beyond ASCII gets the byte-order mark that Excel needs. Others do not, as R
    in some locales and LibreOffice without a window take it for a part of the first name.

    Parameters
    ----------
    path : path
    header : sequence of str
    rows : iterable
        Dicts by the header, or sequences in its order. Floats get six digits; None and NaN are
        empty cells. Texts that a spreadsheet would take for a formula get an apostrophe.
    decimal : {"point", "comma"}
        "comma" also separates the columns by semicolons, as spreadsheets expect where numbers
        have a decimal comma.
    """
    comma = decimal == "comma"

    def cell(value: object) -> object:
        if isinstance(value, float):
            text = "" if math.isnan(value) else f"{value:.6g}"
            return text.replace(".", ",") if comma else text
        return without_formula(value) if isinstance(value, str) else value

    rows = ([row[name] for name in header] if isinstance(row, dict) else row for row in rows)
    with replacing(path) as temporary:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=";" if comma else ",")
            writer.writerow([cell(name) for name in header])
            writer.writerows([cell(value) for value in row] for row in rows)
        written = temporary.read_bytes()
        if not written.isascii():
            temporary.write_bytes(codecs.BOM_UTF8 + written)


def read_table(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table from `write_table` or a spreadsheet, as texts.

    Columns may be separated by comma, semicolon or tab; decimal commas become points, and the
    apostrophe before a formula is removed.

    Raises
    ------
    ValueError
        The file is not a table.
    """
    header, rows, separator = parse_table(path)
    return header, [[_original(cell, separator != ",") for cell in row] for row in rows]


def parse_table(path: str | Path, **options: object) -> tuple[list[str], list[list[str]], str]:
    """Return header, rows and column separator of a table, texts as they are in the file.

    `options` are those of `csv.reader`; a file that is not a table is a ValueError.
    """
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252")  # Excel in western Europe
    if "\0" in text or content.startswith(b"PK\3\4"):
        raise ValueError("not text, perhaps a workbook")
    first_line = text.partition("\n")[0]
    separator = max(",;\t", key=first_line.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, **options))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    header, *rows = rows or [[]]
    return header, rows, separator


def without_formula(text: str) -> str:
    """Return a text with an apostrophe in front if a spreadsheet would calculate it.

    See OWASP, CSV Injection. A number stays as it is.
    """
    return f"'{text}" if text[:1] in FORMULA_STARTS and not is_number(text) else text


def _original(cell: str, decimal_comma: bool = False) -> str:
    """Return the value that `write_table` wrote into a cell, as text."""
    if cell[:1] == "'" and cell[1:2] in FORMULA_STARTS:
        return cell[1:]
    number = cell.replace(",", ".", 1)
    return number if decimal_comma and is_number(number) else cell


def is_number(text: str) -> bool:
    """Return whether a text is a finite number with a decimal point."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


# ---------------------------------------------------------------- tables that a user makes


def read_rows(
    path: str | Path, needed: Sequence[str], what: str, least: int = 1
) -> Iterator[tuple[int, dict]]:
    """Yield (line number, row) of a user's table.

    A row is a dict of texts by column, in lower case; a missing cell is empty. The table must have
    the `needed` columns and the `least` number of rows, each of which is about a `what`.

    Raises
    ------
    UserError
        The file cannot be read, is not a table, or lacks columns or rows.
    """
    try:
        header, rows, _ = parse_table(path, skipinitialspace=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, check the name") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}), save it as CSV") from None
    columns = [name.strip().lower() for name in header]
    lines = [(line, row) for line, row in enumerate(rows, 2) if row]
    if not set(needed) <= set(columns) or len(lines) < least:
        raise UserError(
            f"{path}: columns {', '.join(columns)[:200]} and {count_of(len(lines), 'row')}, "
            f"give it the columns {', '.join(needed)} and a row per {what}"
        )
    for line, row in lines:
        cells = row + [""] * (len(columns) - len(row))
        yield line, {name: _original(cells[k].strip()) for k, name in enumerate(columns)}


def image_ids(names: Iterable[str]) -> Callable[[str], str | None]:
    """Return a function that finds the id of an image by its name in a table, None if unknown.

    The name of a file is accepted too, with its suffix and `_mask`.
    """
    # macOS may write the ä of a file name as two letters, and a spreadsheet as one.
    composed = {unicodedata.normalize("NFC", name): name for name in names}

    def find(given: str) -> str | None:
        name = unicodedata.normalize("NFC", given).replace("\\", "/")
        path = PurePosixPath(name)
        stem = stem_of(path).removesuffix("_mask")
        tried = (name, str(path.parent / stem), stem)
        return next((composed[one] for one in tried if one in composed), None)

    return find
