"""Safe writing and the record of a run."""

import json
import os

import numpy as np
import pytest

from myelin import cli, files


def test_replacing_keeps_the_old_file_on_failure(tmp_path):
    path = tmp_path / "new/x.txt"
    with files.replacing(path) as temporary:
        assert temporary.suffix == ".txt" and not path.exists()
        temporary.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [file.name for file in path.parent.iterdir()] == ["x.txt"]
    assert path.read_text() == "old"


def test_run_json_can_repeat_the_run(tmp_path):
    @cli.script
    def main(argv=None):
        files.write_run_json(tmp_path, threshold=0.4)

    main(["my model.h5", "--threshold", 0.4])
    facts = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    quote = '"' if os.name == "nt" else "'"
    assert facts["command"] == f"python test_files.py {quote}my model.h5{quote} --threshold 0.4"
    assert facts["threshold"] == 0.4 and facts["date"].endswith("+00:00")
    assert facts["versions"]["numpy"] == np.__version__


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


ROWS = [
    ["=1+1", -0.5, 3, "-0.25"],
    ["+a", 1234.5678, True, "-b"],
    ["Öl, \t", float("nan"), None, "@x"],
]


@pytest.mark.parametrize("decimal", ["point", "comma"])
def test_tables_open_in_spreadsheets_and_read_back(tmp_path, decimal):
    path = tmp_path / "x.csv"
    files.write_table(path, ["name", "number", "other", "text"], ROWS, decimal)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfname")
    first, second, third = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    if decimal == "point":
        assert first == "'=1+1,-0.5,3,-0.25" and second == "'+a,1234.57,True,'-b"
    else:
        assert first == "'=1+1;-0,5;3;-0.25" and second == "'+a;1234,57;True;'-b"
    assert third.endswith("'@x")
    header, rows = files.read_table(path)
    assert header == ["name", "number", "other", "text"]
    assert rows == [
        ["=1+1", "-0.5", "3", "-0.25"],
        ["+a", "1234.57", "True", "-b"],
        ["Öl, \t", "", "", "@x"],
    ]


@pytest.mark.parametrize("start", "= + - @ \t \r \n ＝ ＋ － ＠".split(" "))
def test_no_name_is_a_formula(tmp_path, start):
    files.write_table(tmp_path / "x.csv", ["name"], [[f"{start}cmd|' /C calc'!A0"]])
    text = (tmp_path / "x.csv").read_bytes().decode("utf-8-sig").partition("\r\n")[2]
    assert text.strip('"').startswith(f"'{start}cmd")


def test_empty_and_broken_tables(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"")
    assert files.read_table(tmp_path / "x.csv") == ([], [])
    (tmp_path / "x.csv").write_bytes(b"a;b\n\xe4;1\n")
    with pytest.raises(ValueError):
        files.read_table(tmp_path / "x.csv")
