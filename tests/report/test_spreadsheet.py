"""Tables for spreadsheets: summary.xlsx and decimal commas."""

import re
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from measuring import (
    NERVE_COLUMNS,
    SHAPE_COLUMNS,
    SUMMARY_COLUMNS,
    TABLE_COLUMNS,
    fails,
    rings,
    save,
)

import morphometry
from myelin.exchange.export_rois import read_measurements
from myelin.report import workbook

NAMES = ("5512", "=1+1")
NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def read_workbook(path):
    """Return {sheet: rows of cells} of a workbook whose texts stand in its cells."""
    kinds = {"n": float, "b": lambda text: text == "1", "inlineStr": str}
    sheets = {}
    with zipfile.ZipFile(path) as file:
        book = ElementTree.fromstring(file.read("xl/workbook.xml"))
        for number, sheet in enumerate(book.iter(f"{NAMESPACE}sheet"), 1):
            content = ElementTree.fromstring(file.read(f"xl/worksheets/sheet{number}.xml"))
            assert not list(content.iter(f"{NAMESPACE}f")), "no formulas"
            sheets[sheet.get("name")] = [
                {
                    re.match("[A-Z]+", cell.get("r"))[0]: kinds[cell.get("t", "n")](
                        "".join(cell.itertext())
                    )
                    for cell in row
                }
                for row in content.iter(f"{NAMESPACE}row")
            ]
    return sheets


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two masks, one of them named like a formula, and a table of groups from a spreadsheet."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        save(Path(f"preds/{name}_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 20, 32))
    text = "\ufeffimage;group;animal\r\n'=1+1;=a;A\r\n5512;b;B\r\n"
    Path("g.csv").write_text(text, encoding="utf-8", newline="")
    return tmp_path


@pytest.mark.parametrize("decimal", ["point", "comma"])
def test_workbook(folder, decimal):
    fields = "image,scan,nerve_area_mm2\n5512,77,1\n=1+1,77,1\n"
    Path("f.csv").write_text(fields, encoding="utf-8")
    call = "--pixel-size 0.1 --no-pictures --xlsx --groups g.csv --fields f.csv --decimal".split()
    morphometry.main([*call, decimal])
    sheets = read_workbook("morphometry/summary.xlsx")
    assert list(sheets) == [
        *("summary", "per_animal", "per_group", "per_g_ratio_bin", "per_diameter_class"),
        *("regression", "tests", "sampling", "fibers", "run"),
    ]
    header, *rows = sheets["summary"]
    columns = list(header.values())
    assert columns[: len(SUMMARY_COLUMNS)] == SUMMARY_COLUMNS
    assert columns[-6:] == [*NERVE_COLUMNS, "group", "animal"]
    assert [row["A"] for row in rows] == list(NAMES), "names are texts"
    assert rows[0]["B"] == 0.1 and rows[0]["D"] == 2
    header, *rows = sheets["fibers"]
    new = *SHAPE_COLUMNS, "group", "animal", "class"
    assert list(header.values()) == ["image", *TABLE_COLUMNS, "fascicle", *new]
    assert [(row["A"], row["B"]) for row in rows] == [(n, f) for n in NAMES for f in (1, 2)]
    assert rows[0]["G"] == pytest.approx(4, rel=0.02) and rows[0]["S"] is False
    assert sheets["per_animal"][1]["A"] == "=a" and sheets["sampling"][1]["C"] == "77"
    facts = {row["A"]: row.get("B") for row in sheets["run"]}
    assert facts["fibers 5512"] == 2 and facts["command"].startswith("python morphometry.py")


def test_columns_are_as_wide_as_their_texts(folder):
    long = "a_group_with_a_long_name_animal"
    for name in NAMES:
        Path(f"preds/{name}_mask.tif").rename(f"preds/{long}_{name}_mask.tif")
    morphometry.main("--pixel-size 0.1 --no-pictures --xlsx".split())
    with zipfile.ZipFile("morphometry/summary.xlsx") as file:
        sheet = ElementTree.fromstring(file.read("xl/worksheets/sheet1.xml"))
    widths = [float(column.get("width")) for column in sheet.iter(f"{NAMESPACE}col")]
    assert widths[0] > len(f"{long}_5512") and len(widths) > 1


def test_fascicles_have_a_sheet_and_a_column(folder):
    """Of two images only one has an outline of its nerve."""
    save(Path(f"preds/{NAMES[1]}_nerve.tif"), np.ones((120, 200), bool))
    morphometry.main("--pixel-size 0.1 --no-pictures --xlsx --nerve none".split())
    sheets = read_workbook("morphometry/summary.xlsx")
    tables = ["summary", "fascicles", "per_diameter_class", "regression"]
    assert list(sheets) == [*tables, "fibers", "run"]
    assert [row["A"] for row in sheets["fascicles"][1:]] == [NAMES[1]]
    header, *rows = sheets["fibers"]
    (column,) = (letter for letter, title in header.items() if title == "fascicle")
    assert [row.get(column) for row in rows] == [None, None, 1, 1]


def test_sheets_follow_when_one_is_full(folder, monkeypatch):
    monkeypatch.setattr(workbook, "SHEET_ROWS", 4)
    morphometry.main("--pixel-size 0.1 --no-pictures --xlsx".split())
    sheets = read_workbook("morphometry/summary.xlsx")
    assert [len(sheets[name]) for name in ("summary", "fibers", "fibers 2")] == [3, 4, 2]
    assert sheets["fibers"][0] == sheets["fibers 2"][0]


def test_decimal_commas_are_read_by_our_own(folder):
    call = "--pixel-size 0.1 --no-pictures --out".split()
    morphometry.main([*call, "point"])
    morphometry.main([*call, "comma", "--decimal", "comma"])
    assert ";0,1;" in Path("comma/summary.csv").read_text(encoding="utf-8-sig")
    point, comma = (read_measurements(Path(f"{out}/5512_fibers.csv")) for out in ("point", "comma"))
    assert point == comma and comma[1]["g_ratio"] == pytest.approx(20 / 32, rel=0.01)


def test_a_missing_library_is_named_before_anything_is_measured(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    said = fails(morphometry.main, capsys, "--pixel-size", "0.1", "--xlsx")
    assert "pip install XlsxWriter" in said and not Path("morphometry").exists()
