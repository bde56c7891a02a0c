"""Damaged files are read, or refused by one line; `benchmarks/faults.py` tries many more."""

import fuzzing
import mutations
import pytest
from whole_files import table_samples


@pytest.mark.parametrize(
    ("kind", "count"), [("images", 600), ("arrays", 250), ("tables", 80), ("outlines", 200)]
)
def test_damaged_files_are_read_or_refused_by_one_line(kind, count):
    found = list(fuzzing.run(kind, 1, range(count)))
    assert [facts for facts in found if facts["outcome"] not in fuzzing.GOOD] == []
    assert len(found) == count
    shares = [sum(f["outcome"] == outcome for f in found) / count for outcome in fuzzing.GOOD]
    assert min(shares) > 0.02, "neither all were whole nor all beyond reading"


def test_damaged_model_files_are_read_or_refused_by_one_line(small_network, tmp_path):
    """In this process: the whole file needs Keras, which takes long to start."""
    outcomes = []
    for number, _, content in mutations.cases("models", 1, range(80)):
        path = tmp_path / f"{number}.h5"
        path.write_bytes(content)
        outcomes.append(fuzzing.judge(fuzzing.read_model, path, 1)["outcome"])
        path.unlink()
    assert set(outcomes) == set(fuzzing.GOOD)


def test_a_reader_that_hangs_dies_or_fails_is_told_from_one_that_refuses(tmp_path):
    suite = tmp_path / "suite"
    for name in ("myelin/runtime", "myelin/statistics", "raw"):
        (suite / name).mkdir(parents=True)
    (suite / "unet.py").write_text("")
    (suite / "myelin/runtime/cli.py").write_text(
        "class UserError(Exception): pass\ndef script(main):\n    return main\n"
    )
    (suite / "myelin/statistics/groups.py").write_text(
        "import os, time\n"
        "def read_groups(path, names):\n"
        "    if path.name == '4.csv': time.sleep(99)\n"
        "    if path.name == '1.csv': os.kill(os.getpid(), 11)\n"
        "    if path.name == '2.csv': raise TypeError\n"
        "    if path.name == '3.csv': raise SystemExit(2)\n"
    )
    found = list(fuzzing.run("tables", 1, range(5), suite, patience_s=2))
    outcomes = [facts["outcome"] for facts in found]
    assert outcomes[1].startswith("exit")
    assert [outcomes[0], *outcomes[2:]] == ["read", "TypeError", "0 lines", "slow"]
    assert set(table_samples()) == {facts["name"] for facts in found[:4]}
