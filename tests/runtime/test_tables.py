"""Tables as CSV, for spreadsheets and from them."""

import pytest

from myelin.runtime import tables

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


@pytest.mark.parametrize("start", "= + - @ \t \r \n ＝ ＋ － ＠".split(" "))
def test_no_name_is_a_formula(tmp_path, start):
    tables.write_table(tmp_path / "x.csv", ["name"], [[f"{start}cmd|' /C calc'!A0"]])
    text = (tmp_path / "x.csv").read_bytes().decode("utf-8-sig").partition("\r\n")[2]
    assert text.strip('"').startswith(f"'{start}cmd")


def test_empty_and_broken_tables(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"")
    assert tables.read_table(tmp_path / "x.csv") == ([], [])
    (tmp_path / "x.csv").write_bytes(b"a;b\n\xe4;1\n")
    with pytest.raises(ValueError):
        tables.read_table(tmp_path / "x.csv")
