"""The version of the suite, with the commit where the code is newer than the release."""

import subprocess
from functools import cache
from pathlib import Path

from myelin import __version__

ROOT = Path(__file__).resolve().parents[2]
# `git archive`, and so "Download ZIP", fills in the commit and the tags that point to it.
ARCHIVED = "$Format:%h %D$"


@cache
def suite_version() -> str:
    """Return "1.1.0" for a release, else "1.1.0+<commit>"; the bare number without git."""
    release = f"v{__version__}"
    if "$" not in ARCHIVED:
        commit, _, references = ARCHIVED.partition(" ")
        return __version__ if release in references else f"{__version__}+{commit}"
    if not (ROOT / ".git").exists():
        return __version__
    command = ["git", "-C", str(ROOT), "describe", "--tags", "--always", "--exclude=*"]
    tagged = ["git", "-C", str(ROOT), "describe", "--tags", "--exact-match", f"--match={release}"]
    if _output(tagged) == release:
        return __version__
    commit = _output(command)
    return f"{__version__}+{commit}" if commit else __version__


def _output(command: list[str]) -> str:
    """Return what a command prints, empty where it fails or is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
