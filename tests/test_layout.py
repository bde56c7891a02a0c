"""The layout: what the root holds, who imports whom, how long files and functions are."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = "data train extra_training find_myelin morphometry evaluate rois synthetic".split()
CODE = [*ROOT.glob("*.py"), *(ROOT / "myelin").glob("*.py")]
EVERYTHING = [*CODE, *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "models").glob("*.py")]


PAGE = [*(ROOT / "myelin" / "page").iterdir()]


def imported(path):
    """Return the modules of this suite that a file imports, late imports too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "myelin":
            found |= {f"myelin.{name.name}" for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    ours = {p.stem if p.parent == ROOT else f"myelin.{p.stem}" for p in CODE}
    return found & ours


def test_the_root_holds_the_commands_and_the_network():
    assert {path.stem for path in ROOT.glob("*.py")} == {*COMMANDS, "unet"}


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: path.name)
def test_nothing_imports_a_command(path):
    assert not imported(path) & set(COMMANDS)


def test_imports_only_go_downwards():
    """No module imports one that imports it, directly or through others."""
    below = {f"myelin.{path.stem}": imported(path) for path in (ROOT / "myelin").glob("*.py")}

    def visit(name, above):
        assert name not in above, " -> ".join([*above, name])
        for other in below.get(name, ()):
            visit(other, [*above, name])

    for name in below:
        visit(name, [])


@pytest.mark.parametrize("path", PAGE, ids=lambda path: path.name)
def test_files_of_the_page_too(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 350 and max(map(len, lines)) <= 120


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: path.name)
def test_files_and_functions_can_be_read_in_one_sitting(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
