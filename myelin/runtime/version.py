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
    command = ["git", "-C", str(ROOT), "describe", "--tags", "--always", f"--match={release}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # git is not installed
        return __version__
    described = done.stdout.strip()  # v1.1.0, v1.1.0-3-gabc1234, abc1234, or nothing
    commit = described.rpartition("-g")[2]
    return __version__ if described in ("", release) else f"{__version__}+{commit}"
