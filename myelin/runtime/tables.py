"""Tables as CSV: written so that spreadsheets open them right, and read from there."""

import csv
import io
import itertools
import math
import unicodedata
from pathlib import Path, PurePosixPath

from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing

# First letters of formulas; the last four are those of East Asian keyboards.
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
# Mistakes of a user's table that are named at once: the wrong table has one on every line.
MAX_MISTAKES = 20


def write_table(path, header, rows, decimal="point"):
    """Write a CSV file atomically, in UTF-8 with the mark by which Excel knows it.

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

    def cell(value):
        if isinstance(value, float):
            text = "" if math.isnan(value) else f"{value:.6g}"
            return text.replace(".", ",") if comma else text
        return no_formula(value) if isinstance(value, str) else value

    rows = ([row[name] for name in header] if isinstance(row, dict) else row for row in rows)
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8-sig") as file,
    ):
        writer = csv.writer(file, delimiter=";" if comma else ",")
        writer.writerow(header)
        writer.writerows([cell(value) for value in row] for row in rows)


def read_table(path):
    """Return the header and the rows of a table, as texts, from `write_table` or a spreadsheet.

    Columns may be separated by comma, semicolon or tab; decimal commas become points, and the
    apostrophe before a formula is taken away.

    Raises
    ------
    ValueError
        It is no table in UTF-8.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        file.seek(0)
        try:
            rows = list(csv.reader(file, delimiter=separator(first)))
        except csv.Error as error:
            raise ValueError(str(error)) from None
    comma = separator(first) != ","
    header, *rows = rows or [[]]
    return header, [[as_written(cell, comma) for cell in row] for row in rows]


def separator(first_line):
    """Return what separates the columns of a table, by its first line."""
    return max(",;\t", key=first_line.count)


def no_formula(text):
    """Return a text with an apostrophe in front where a spreadsheet would calculate it.

    See OWASP, CSV Injection. A number stays as it is.
    """
    return f"'{text}" if text[:1] in FORMULA_STARTS and not is_number(text) else text


def as_written(cell, comma=False):
    """Return what `write_table` was given for a cell, as text; `comma`: decimals have one."""
    if cell[:1] == "'" and cell[1:2] in FORMULA_STARTS:
        return cell[1:]
    number = cell.replace(",", ".", 1)
    return number if comma and is_number(number) else cell


def is_number(text):
    """Whether a text is a number with a decimal point, and no infinity."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


# ---------------------------------------------------------------- tables that a user makes


def read_rows(path, needed, what, least=1):
    """Yield (line number, row) of a user's table with some columns at least.

    A row is a dict of texts by column, in lower case; a missing cell is empty.

    Parameters
    ----------
    path : path
    needed : sequence of str
        The columns.
    what : str
        What a row is about, for the message.
    least : int
        Fewest rows.

    Raises
    ------
    UserError
        It cannot be read, is no table, or lacks columns or rows.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, check the name") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}), save it as CSV in UTF-8") from None
    delimiter = separator(text.partition("\n")[0])
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    try:
        columns = reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        start = list(itertools.islice(reader, least))
        if not set(needed) <= set(columns) or len(start) < least:
            raise UserError(
                f"{path}: columns {', '.join(columns)[:200]} and {len(start)} rows, give it the "
                f"columns {', '.join(needed)} and a row per {what}"
            )
        for row in itertools.chain(start, reader):
            cells = {name: as_written((row[name] or "").strip()) for name in columns}
            yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{path}: not a table ({error}), save it as CSV in UTF-8") from None


def image_ids(names):
    """Return a function from an image's name as written in a table to its id, None if unknown.

    A file's name will do as well, with its ending and `_mask`.
    """
    # macOS may write the ä of a file name as two letters, and a spreadsheet as one.
    composed = {unicodedata.normalize("NFC", name): name for name in names}

    def find(given):
        name = unicodedata.normalize("NFC", given).replace("\\", "/")
        path = PurePosixPath(name)
        stem = path.stem.removesuffix("_mask")
        tried = (name, str(path.parent / stem), stem)
        return next((composed[one] for one in tried if one in composed), None)

    return find
