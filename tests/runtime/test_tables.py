"""Tables as CSV, for spreadsheets and from them."""

import pytest

from myelin.runtime import tables
from myelin.runtime.cli import UserError

ROWS = [
    ["=1+1", -0.5, 3, "-0.25"],
    ["+a", 1234.5678, True, "-b"],
    ["Öl, \t", float("nan"), None, "@x"],
]


@pytest.mark.parametrize("decimal", ["point", "comma"])
def test_tables_open_in_spreadsheets_and_read_back(tmp_path, decimal):
    path = tmp_path / "x.csv"
    tables.write_table(path, ["name", "number", "other", "text"], ROWS, decimal)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfname")
    first, second, third = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    if decimal == "point":
        assert first == "'=1+1,-0.5,3,-0.25" and second == "'+a,1234.57,True,'-b"
    else:
        assert first == "'=1+1;-0,5;3;-0.25" and second == "'+a;1234,57;True;'-b"
    assert third.endswith("'@x")
    header, rows = tables.read_table(path)
    assert header == ["name", "number", "other", "text"]
    assert rows == [
        ["=1+1", "-0.5", "3", "-0.25"],
        ["+a", "1234.57", "True", "-b"],
        ["Öl, \t", "", "", "@x"],
    ]


def test_only_letters_beyond_ascii_need_a_byte_order_mark(tmp_path):
    tables.write_table(tmp_path / "x.csv", ["name"], [["a"]])
    assert (tmp_path / "x.csv").read_bytes() == b"name\r\na\r\n"


@pytest.mark.parametrize("start", "= + - @ \t \r \n ＝ ＋ － ＠".split(" "))
def test_no_name_is_a_formula(tmp_path, start):
    tables.write_table(tmp_path / "x.csv", ["name"], [[f"{start}cmd|' /C calc'!A0"]])
    text = (tmp_path / "x.csv").read_bytes().decode("utf-8-sig").partition("\r\n")[2]
    assert text.strip('"').startswith(f"'{start}cmd")


def test_empty_and_broken_tables(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"")
    assert tables.read_table(tmp_path / "x.csv") == ([], [])
    for content in (b"PK\3\4 of a workbook", "image,group".encode("utf-16")):
        (tmp_path / "x.csv").write_bytes(content)
        with pytest.raises(ValueError, match="perhaps a workbook"):
            tables.read_table(tmp_path / "x.csv")


def test_a_table_of_a_german_excel(tmp_path):
    (tmp_path / "x.csv").write_bytes("image;Größe µm\nMäuse;0,5\n".encode("cp1252"))
    assert tables.read_table(tmp_path / "x.csv") == (["image", "Größe µm"], [["Mäuse", "0.5"]])


def test_a_table_that_a_user_made(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('Image ; group;dose\n\na; "b; c";0,5\nd\n', encoding="utf-8-sig")
    assert list(tables.read_rows(path, ["image", "group"], "image")) == [
        (3, {"image": "a", "group": "b; c", "dose": "0,5"}),
        (4, {"image": "d", "group": "", "dose": ""}),
    ]
    for needed, least in ((["animal"], 1), (["image"], 3)):
        with pytest.raises(UserError, match=r"x\.csv: columns image, group, dose and 2 rows"):
            list(tables.read_rows(path, needed, "image", least))
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        list(tables.read_rows(tmp_path / "none.csv", [], "image"))
