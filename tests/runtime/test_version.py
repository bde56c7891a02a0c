"""The version that outputs name: the release, and the commit where the code is newer."""

import subprocess
import sys

import pytest

from myelin import __version__
from myelin.runtime import version


@pytest.fixture(autouse=True)
def forget():
    version.suite_version.cache_clear()
    yield
    version.suite_version.cache_clear()


def git(folder, *arguments):
    call = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-C", folder, *arguments]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()


def test_code_between_releases_names_its_commit(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    monkeypatch.setattr(version, "ROOT", tmp_path)
    commit = git(tmp_path, "rev-parse", "HEAD")
    release, _, added = version.suite_version().partition("+")
    assert release == __version__ and len(added) >= 7 and commit.startswith(added)
    version.suite_version.cache_clear()
    git(tmp_path, "tag", f"v{__version__}")
    assert version.suite_version() == __version__


@pytest.mark.parametrize(
    "archived, expected",
    [
        ("abc1234 ", f"{__version__}+abc1234"),
        ("abc1234 HEAD -> main, tag: v" + __version__, __version__),
    ],
)
def test_a_downloaded_archive_names_its_commit(archived, expected, monkeypatch):
    monkeypatch.setattr(version, "ARCHIVED", archived)
    assert version.suite_version() == expected


def test_every_command_prints_it():
    call = [sys.executable, version.ROOT / "data.py", "--version"]
    shown = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"DeepMyelinSegmentation {version.suite_version()}"
