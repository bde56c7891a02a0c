"""The layout: what the root holds, who imports whom, how long files and functions are."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = "data train extra_training find_myelin morphometry evaluate rois synthetic app".split()
# The folders of the package by floor. A file imports from its own folder and from lower floors.
FLOORS = {
    "runtime": 1,
    "pixels": 1,
    "images": 2,
    "synthetic": 2,
    "folders": 3,
    "network": 3,
    "measure": 4,
    "statistics": 5,
    "segment": 6,
    "train": 6,
    "report": 6,
    "exchange": 6,
    "app": 7,
}
PACKAGE = sorted((ROOT / "myelin").rglob("*.py"))
CODE = [*sorted(ROOT.glob("*.py")), *PACKAGE]
EVERYTHING = [*CODE, *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "models").glob("*.py")]
PAGE = sorted(
    path for room in ("report", "app") for path in (ROOT / "myelin" / room / "page").iterdir()
)
MAX_FILES, MAX_LINES, MAX_PAGE_LINES, MAX_FUNCTION_LINES = 15, 450, 350, 60


def relative(path):
    """Return a path within the repository as text, to name a test case by it."""
    return path.relative_to(ROOT).as_posix()


def module_name(path):
    """Return the dotted name that a file is imported by."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {module_name(path): path for path in CODE}


def imported(path):
    """Return the names of the modules of this suite that a file imports, late imports too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found & MODULES.keys()


def test_the_root_holds_the_commands_and_the_network():
    assert {path.stem for path in ROOT.glob("*.py")} == {*COMMANDS, "unet"}


def test_every_file_of_the_package_is_in_a_folder_of_a_floor():
    assert len(PACKAGE) > 60  # a pattern that looks into one level would find one file
    folders = {path.parent.name for path in PACKAGE if path.parent != ROOT / "myelin"}
    assert folders == FLOORS.keys()
    assert all(path.parent.parent == ROOT / "myelin" for path in PACKAGE if path.stem != "__init__")


@pytest.mark.parametrize("folder", FLOORS)
def test_a_folder_can_be_taken_in_at_a_glance(folder):
    assert len([*(ROOT / "myelin" / folder).glob("*")]) <= MAX_FILES + 1  # and __pycache__


@pytest.mark.parametrize("path", EVERYTHING, ids=relative)
def test_nothing_imports_a_command(path):
    assert not imported(path) & set(COMMANDS)


@pytest.mark.parametrize("path", PACKAGE, ids=relative)
def test_imports_between_folders_go_down(path):
    floor = FLOORS.get(path.parent.name, 0)
    for name in imported(path) - {"unet"}:  # the root may be named as one of the folders
        folder = MODULES[name].parent.name
        if folder in FLOORS and folder != path.parent.name and floor:
            assert FLOORS[folder] < floor, name


def test_no_imports_in_a_circle():
    below = {module_name(path): imported(path) for path in PACKAGE}

    def visit(name, above):
        assert name not in above, " -> ".join([*above, name])
        for other in below.get(name, ()):
            visit(other, [*above, name])

    for name in below:
        visit(name, [])


@pytest.mark.parametrize("path", PAGE, ids=relative)
def test_files_of_the_page_can_be_read_in_one_sitting(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_PAGE_LINES and max(map(len, lines)) <= 120


@pytest.mark.parametrize("path", EVERYTHING, ids=relative)
def test_files_and_functions_can_be_read_in_one_sitting(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name
