"""What every script of the suite shares: folders, messages, safe files, the record of a run."""

import argparse
import contextlib
import csv
import datetime
import functools
import hashlib
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

RAW_TRAIN = Path("raw/train")
RAW_TEST = Path("raw/test")
NPYDATA = Path("npydata")
PREDS = Path("preds")

running = {"command": "called from Python"}  # the script's command line, for provenance

# ---------------------------------------------------------------- scripts


class UserError(Exception):
    """One or more mistakes a user can mend; each argument is `what: found, what to do`."""


def script(main):
    """Decorate a script's `main(argv=None)`: mistakes become `error:` lines and exit code 2.

    Mistakes are `UserError`s, and files that the system will not read or write.
    """

    name = Path(main.__code__.co_filename).name

    @functools.wraps(main)
    def run(argv=None):
        arguments = sys.argv[1:] if argv is None else argv
        quote = subprocess.list2cmdline if os.name == "nt" else shlex.join
        running["command"] = quote(["python", name, *map(str, arguments)])
        # Windows consoles may not know every character of a file name or µ.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        try:
            return main(argv)
        except UserError as mistake:
            for message in mistake.args:
                print("error:", " ".join(str(message).split()), file=sys.stderr)
            raise SystemExit(2) from None
        except OSError as error:
            print(
                f"error: {error.filename or 'files'}: {error.strerror or error}, "
                "check free space, permissions, and whether another program has it open",
                file=sys.stderr,
            )
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("stopped by Ctrl-C; what was finished is kept", file=sys.stderr)
            raise SystemExit(130) from None
        except Exception as error:
            if not out_of_memory(error):
                raise
            print(
                "error: memory: not enough, crop the largest image, or take a smaller --crop or "
                "--batch-size",
                file=sys.stderr,
            )
            raise SystemExit(2) from None

    return run


def out_of_memory(error):
    """Whether an exception is Python's, TensorFlow's or OpenCV's way to say so."""
    named = type(error).__name__ in ("MemoryError", "ResourceExhaustedError")
    return named or "Insufficient memory" in str(error)


class Parser(argparse.ArgumentParser):
    """A command line whose help starts with the script's docstring and whose errors are ours.

    Parameters
    ----------
    doc : str
        The script's docstring.
    """

    def __init__(self, doc):
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(description=doc, formatter_class=formatter, allow_abbrev=False)

    def error(self, message):
        raise UserError(f"{message}, see python {self.prog} --help")


@contextlib.contextmanager
def silent_stderr():
    """Turn the file descriptor of stderr away: libraries in C write there whatever Python does."""
    sys.stderr.flush()
    kept = os.dup(2)
    silent = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silent)


def progress(items, description, unit="image", delay_s=2):
    """Return `items` with a progress bar on stderr; no bar for a loop that ends within a delay."""
    from tqdm import tqdm

    return tqdm(items, desc=description, delay=delay_s, unit=unit, leave=False)


def number(kind, low, high=math.inf):
    """Return an argparse type: a number of `kind` (int, float) from low to high."""

    def check(text):
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high and value != math.inf:
                return value
        what = "whole number" if kind is int else "number"
        top = f" to {high:g}" if high < math.inf else " or more"
        raise argparse.ArgumentTypeError(f"{text!r} is not a {what} of {low:g}{top}")

    return check


# ---------------------------------------------------------------- files


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary path beside `path`, renamed onto it on success, removed on failure.

    The folder is made when absent. The temporary name keeps the suffix, which writers look at.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path):
    """Return the SHA-256 of a file as hexadecimal text."""
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


def write_table(path, header, rows):
    """Write a CSV file atomically.

    Parameters
    ----------
    path : path
    header : sequence of str
    rows : iterable
        Dicts by the header, or sequences in its order. Floats get six digits; None and NaN are
        empty cells.
    """

    def cell(value):
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:.6g}"
        return value

    rows = ([row[name] for name in header] if isinstance(row, dict) else row for row in rows)
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([cell(value) for value in row] for row in rows)


def start_run(folder):
    """Take away the `run.json` of an earlier run, which would speak for files it did not make.

    Nothing else is removed, as masks may have been corrected by hand; `name_leftovers` names it.

    Returns
    -------
    dict of Path to int
        The files in the folder and when each was written, for `name_leftovers`.
    """
    (folder / "run.json").unlink(missing_ok=True)
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
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        print(f"note: {folder}/ also holds older files: {', '.join(left[:10])}{more}")


def write_run_json(folder, **facts):
    """Write `folder/run.json`: command, date, versions and `facts`, enough to repeat a run.

    Parameters
    ----------
    folder : path
    **facts
        JSON values to keep, such as `threshold=0.5`.
    """
    facts = {
        "command": running["command"],
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **facts,
        "versions": versions(),
    }
    with replacing(Path(folder) / "run.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
