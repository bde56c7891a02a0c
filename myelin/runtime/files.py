"""Write files atomically, and the record of a run, `run.json`."""

import contextlib
import datetime
import errno
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePath

from myelin.runtime.cli import running, shortened_list
from myelin.runtime.stopping import temporary_files
from myelin.runtime.version import suite_version

DAY_S = 24 * 3600
# Messages of libraries about a full disk that lack the system's error number.
DISK_FULL = re.compile(r"No space left|errno = 28\b|free space to write|requested and \d+ written")
# Packages that shape results.
PACKAGES = """tensorflow torch jax keras numpy scipy opencv-python scikit-image tifffile h5py
    openvino""".split()


def stem_of(path: str | PurePath) -> str:
    """Return the name of a file without its ending; `.ome.tif` and its kind are one ending.

    >>> stem_of("raw/a.ome.tif"), stem_of("a_mask.OME.TIFF"), stem_of("a.1.tif")
    ('a', 'a_mask', 'a.1')
    """
    path = PurePath(path)
    whole = path.suffix.lower() in (".tif", ".tiff", ".zarr") and path.stem.lower().endswith(".ome")
    return path.stem[: -len(".ome")] if whole else path.stem


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed onto it on success, removed on failure.

    The folder is created if absent. The temporary name keeps the suffix, by which writers choose a
    format.

    Raises
    ------
    OSError
        The file cannot be written; `filename` is that of the final file, and a full disk is
        `ENOSPC`, whatever a library raised.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_old_leftovers(path.parent.resolve())
    temporary = path.with_name(f".{path.stem}.tmp-{uuid.uuid4().hex[:8]}{path.suffix}")
    temporary_files.add(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        if DISK_FULL.search(str(error)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
        temporary_files.discard(temporary)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file to a path atomically."""
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)


@functools.cache
def remove_old_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed runs: those that nobody wrote to for a day."""
    remove_leftovers(folder, ".*.tmp-*", DAY_S)


def remove_leftovers(folder: Path, pattern: str, idle_s: float = 0) -> None:
    """Remove the temporary files of killed runs that match a pattern, if idle for some seconds."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= idle_s:
                path.unlink()


def fsync_file(path: str | Path) -> None:
    """Flush a written file to disk, so that it is whole even if the power fails after that."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_json(path: str | Path, facts: dict) -> None:
    """Write a JSON file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        fsync_file(temporary)


def beside(path: Path, ending: str) -> Path:
    """Return a file's companion: models/x.h5 and "_history.csv" give models/x_history.csv."""
    return path.with_name(path.stem + ending)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, or of all files in a folder, as hexadecimal text."""
    if os.path.isdir(path):
        files = sorted(file for file in Path(path).rglob("*") if file.is_file())
        facts = [(file.relative_to(path).as_posix(), sha256(file)) for file in files]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- the record of a run


def start_run(folder: Path) -> dict:
    """Remove the `run.json` of an earlier run; return `times_written`.

    Other files stay, as they may have been edited by hand; `name_leftovers` lists them.
    """
    (folder / "run.json").unlink(missing_ok=True)
    return times_written(folder)


def times_written(folder: Path) -> dict:
    """Return {path: time in ns} when the files of a folder were written."""
    files = [path for path in folder.glob("*") if path.is_file() and path.name[0] != "."]
    return {path: path.stat().st_mtime_ns for path in files}


def left_from(before: dict) -> list[Path]:
    """Return the files that a run did not write; `before` is `times_written` before the run."""
    times = [(path, written) for path, written in sorted(before.items()) if path.exists()]
    return [path for path, written in times if path.stat().st_mtime_ns == written]


def name_leftovers(folder: Path, before: dict) -> None:
    """Print which files a run did not write; `before` is `times_written` before the run."""
    left = [path.name for path in left_from(before)]
    if left:
        print(f"note: {folder}/ also holds older files: {shortened_list(left)}")


def write_run_json(folder: str | Path, **facts: object) -> None:
    """Write `folder/run.json`: `run_facts`, which suffice to repeat a run."""
    write_json(Path(folder) / "run.json", run_facts(**facts))


def run_facts(**facts: object) -> dict:
    """Return the command, version and date of this run, `facts`, and the versions of packages."""
    from importlib import metadata

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "command": running["command"],
        "version": suite_version(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **facts,
        "versions": versions,
    }
