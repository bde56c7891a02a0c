"""Write files safely: atomic replacing, and the record of a run, `run.json`."""

import contextlib
import datetime
import errno
import functools
import hashlib
import json
import os
import platform
import re
import time
from pathlib import Path

from myelin.runtime.cli import running, shortened_list
from myelin.runtime.disk import FULL
from myelin.runtime.stopping import temporary_files
from myelin.runtime.version import suite_version

# The end of a temporary file's name: its process, its computer, its kind.
TEMPORARY = re.compile(r"\.tmp-(\d+)-([0-9a-f]{8})(\.\w+)*$")
DAY_S = 24 * 3600


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary path beside `path`, renamed onto it on success, removed on failure.

    The folder is made when absent. The temporary name keeps the suffix, which writers look at.

    Raises
    ------
    OSError
        It cannot be written; `filename` is then that of the file to be, and a full disk is
        `ENOSPC`, whatever a library calls it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    remove_leftovers(path.parent.resolve())
    temporary_files.add(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        if FULL.search(str(error)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
        temporary_files.discard(temporary)


# ---------------------------------------------------------------- what killed runs left


def temporary_path(path):
    """Return the name that a file has until it is complete; it says whose it is."""
    return path.with_name(f".{path.stem}.tmp-{os.getpid()}-{computer()}{path.suffix}")


@functools.cache
def computer():
    """Return eight letters that tell this computer from others on a network drive."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@functools.cache
def remove_leftovers(folder):
    """Remove the temporary files of runs that were killed, once for a folder.

    Whether a run still lives can only be told on its own computer, where its number may be another
    program's by now; a file that nothing was written to for a day is nobody's.
    """
    for path in folder.glob(".*.tmp-*-*"):
        owner = TEMPORARY.search(path.name)
        with contextlib.suppress(OSError):
            if not owner:
                continue
            dead = owner[2] == computer() and not is_running(int(owner[1]))
            if dead or time.time() - path.stat().st_mtime > DAY_S:
                path.unlink()


def is_running(number):
    """Whether a process of this number runs on this computer."""
    if os.name == "nt":  # where os.kill would end it
        import ctypes

        synchronize, timeout = 0x100000, 0x102
        handle = ctypes.windll.kernel32.OpenProcess(synchronize, False, number)
        runs = bool(handle) and ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == timeout
        ctypes.windll.kernel32.CloseHandle(handle)
        return runs
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's
        pass
    return True


def beside(path, ending):
    """Return a file's companion: models/x.h5 and "_history.csv" give models/x_history.csv."""
    return path.with_name(path.stem + ending)


def sha256(path):
    """Return the SHA-256 of a file, or of all files in a folder, as hexadecimal text."""
    if os.path.isdir(path):
        files = sorted(file for file in Path(path).rglob("*") if file.is_file())
        facts = [(file.relative_to(path).as_posix(), sha256(file)) for file in files]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions():
    """Return the versions of Python and of the installed packages that shape results."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    shaping = "tensorflow torch jax keras numpy scipy opencv-python scikit-image tifffile h5py"
    for name in [*shaping.split(), "openvino"]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def start_run(folder):
    """Take away the `run.json` of an earlier run, which would speak for files it did not make.

    Nothing else is removed, as files may have been edited by hand; `name_leftovers` names it.

    Returns
    -------
    dict of Path to int
        As `times_written`.
    """
    (folder / "run.json").unlink(missing_ok=True)
    return times_written(folder)


def times_written(folder):
    """Return {path: when it was written, in ns} of the files in a folder, for `name_leftovers`."""
    files = [path for path in folder.glob("*") if path.is_file() and path.name[0] != "."]
    return {path: path.stat().st_mtime_ns for path in files}


def name_leftovers(folder, before):
    """Say which files of the folder a run has left as they were before it."""
    left = [
        path.name
        for path, written in sorted(before.items())
        if path.exists() and path.stat().st_mtime_ns == written
    ]
    if left:
        print(f"note: {folder}/ also holds older files: {shortened_list(left)}")


def write_run_json(folder, **facts):
    """Write `folder/run.json`: command, date, versions and `facts`, enough to repeat a run.

    Parameters
    ----------
    folder : path
    **facts
        JSON values to keep, such as `threshold=0.5`.
    """
    write_json(Path(folder) / "run.json", run_facts(**facts))


def run_facts(**facts):
    """Return what `run.json` says: command, date, versions and `facts`."""
    return {
        "command": running["command"],
        "version": suite_version(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **facts,
        "versions": versions(),
    }


def fsync_file(path):
    """Bring a written file to the disk, so that it is whole even if the power fails after that."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_json(path, facts):
    """Write a JSON file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        fsync_file(temporary)
