"""The command line: error lines, exit codes, options, progress."""

import argparse
import contextlib
import difflib
import errno
import functools
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from myelin.runtime.stopping import State, interruptible, stop_line
from myelin.runtime.version import suite_version

# Folders in the current folder that commands read and write by default.
FOLDERS = ("raw", "npydata", "preds", "morphometry", "models", "rois", "evaluation")
MAX_STDERR_BYTES = 2**16  # of a library's own messages that are kept

# The call of the command that runs, for `run.json`, locks and the report.
running = {"command": "called from Python", "arguments": []}


class UserError(Exception):
    """One or more mistakes a user can correct; each argument is `what: found, what to do`."""


class PartlyDone(UserError):
    """Mistakes in some images; the rest is done, and the exit code is 3."""


def script(main: Callable) -> Callable:
    """Decorate a script's `main(argv=None)`: mistakes become `error:` lines and exit code 2."""
    name = Path(main.__code__.co_filename).name

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> object:
        arguments = sys.argv[1:] if argv is None else argv
        running["command"] = quote(["python", name, *arguments])
        running["arguments"] = list(map(str, arguments))
        # Windows consoles may not know every character of a file name or µ.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        try:
            with interruptible():
                result = main(argv)
            if State.signal:  # a library has lost the exception
                raise KeyboardInterrupt
            return result
        except BaseException as error:
            code, messages = exit_code_and_messages(error)
            for message in messages:
                print(message, file=sys.stderr)
            if code is None:
                raise
            raise SystemExit(code) from None

    return run


def exit_code_and_messages(error: BaseException) -> tuple[int | None, list[str]]:
    """Return the exit code and the lines for the error that ended a command.

    The exit code is None for a defect of the program. After a signal, the signal is the reason,
    whatever error a library made of it.
    """
    if State.signal or isinstance(error, KeyboardInterrupt):
        number = State.signal or signal.SIGINT
        return 128 + number, [stop_line(number)]
    if isinstance(error, UserError):
        code = 3 if isinstance(error, PartlyDone) else 2
        return code, [f"error: {one_line(message)}{elsewhere(message)}" for message in error.args]
    if isinstance(error, OSError):
        return 2, [f"error: {one_line(system_text(error))}"]
    memory_errors = ("MemoryError", "ResourceExhaustedError")  # the second is TensorFlow's
    if type(error).__name__ in memory_errors or "Insufficient memory" in str(error):  # OpenCV
        remedy = "crop the largest image, or take a smaller --crop or --batch-size"
        return 2, [f"error: memory: not enough, {remedy}"]
    return None, []


def elsewhere(message: object) -> str:
    """Return where to start if a message is about a folder of the suite, and there is none here."""
    home, here = Path(__file__).parents[2], Path.cwd()
    about = str(message).replace("\\", "/").split(":")[0].split("/")[0] in FOLDERS
    if not about or here == home or any((here / name).is_dir() for name in FOLDERS):
        return ""
    return f"; or is {here} the wrong folder? The suite is in {home}"


def one_line(message: object) -> str:
    """Return a text as one line; what a terminal would interpret becomes a question mark."""
    line = " ".join(str(message).split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def system_text(error: OSError) -> str:
    """Return what an OSError means for a user: which file, and what to do."""
    path = error.filename or "files"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        room = ""
        with contextlib.suppress(OSError):
            folder = Path(path).absolute().parent
            room = f" ({size_text(shutil.disk_usage(folder).free)} free on the disk of {folder})"
        return f"{path}: {error.strerror}{room}, make room and start again"
    return (
        f"{path}: {error.strerror or error}, check free space, permissions, and whether another "
        "program has it open"
    )


# ---------------------------------------------------------------- words of messages


def count_of(n: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    >>> count_of(1, "image"), count_of(2000, "image"), count_of(2, "axis", "axes")
    ('1 image', '2,000 images', '2 axes')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def size_text(size: float) -> str:
    """Return a number of bytes in MB or GB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def quote(words: Iterable[object]) -> str:
    """Return a command line that a terminal of this system takes."""
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(map(str, words))


def shortened_list(names: Sequence[object], most: int = 5) -> str:
    """Return the first names of a list, and how many more there are, as a text."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(one_line, names[:most])) + more


# ---------------------------------------------------------------- options


class PrintVersion(argparse.Action):
    """Print the version; it is looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"DeepMyelinSegmentation {suite_version()}")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """A command line whose help starts with the script's docstring and whose errors are ours."""

    def __init__(self, doc: str, **options: object) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(description=doc, formatter_class=formatter, allow_abbrev=False, **options)
        self.add_argument(
            "--version",
            action=PrintVersion,
            nargs=0,
            default=argparse.SUPPRESS,
            help="print the version",
        )

    def error(self, message: str) -> None:
        """Raise a UserError that suggests the option a mistyped one is near to."""
        typed = message.removeprefix("unrecognized arguments: ").split(maxsplit=1)[0]
        near = difflib.get_close_matches(typed.partition("=")[0], self._option_string_actions, 1)
        meant = f" (did you mean {near[0]}?)" if near and typed != message.split()[0] else ""
        raise UserError(f"{message}{meant}, see python {self.prog} --help")


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], float]:
    """Return an argparse type: a number of `kind` (int, float) from low to high."""

    def check(text: str) -> float:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high and value != math.inf:
                return value
        what = "whole number" if kind is int else "number"
        top = f" to {high:g}" if high < math.inf else " or more"
        raise argparse.ArgumentTypeError(f"{text!r} is not a {what} of {low:g}{top}")

    return check


# ---------------------------------------------------------------- the terminal

# There is one stderr: a thread that took it beside another would give back the other's silence.
stderr_lock = threading.RLock()


@contextlib.contextmanager
def silent_stderr() -> Iterator[list[str]]:
    """Keep the messages of libraries in C off the terminal; yield a list that gets their lines."""
    lines: list[str] = []
    with stderr_lock, tempfile.TemporaryFile() as written:
        sys.stderr.flush()
        terminal = os.dup(2)
        try:
            os.dup2(written.fileno(), 2)
            yield lines
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            written.seek(0)
            lines += written.read(MAX_STDERR_BYTES).decode(errors="replace").splitlines()


def progress(
    items: Iterable,
    description: str,
    unit: str = "image",
    delay_s: float = 2,
    total: int | None = None,
) -> Iterable:
    """Return `items`, with a progress bar on stderr once the loop has taken longer than a delay."""
    from tqdm import tqdm  # late: --help does without

    return tqdm(items, description, total, leave=False, unit=unit, delay=delay_s)
