"""Safe writing and the record of a run."""

import json
import os

import numpy as np
import pytest

from myelin.runtime import cli, files


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
