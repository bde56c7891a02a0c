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
import time
from pathlib import Path

from myelin.runtime.stopping import State, interruptible, stop_line
from myelin.runtime.version import suite_version

MAX_SAID_BYTES = 2**16  # of a library's own messages, of which the first says enough

# The script's command line, for provenance, and its arguments.
running = {"command": "called from Python", "arguments": []}
shown = threading.local()  # `shown.bar`: what makes the bars of a thread, see `new_bar`


class UserError(Exception):
    """One or more mistakes a user can mend; each argument is `what: found, what to do`."""


class PartlyDone(UserError):
    """Mistakes that a run has gone past: the rest is done, and the exit code is 3."""


def script(main):
    """Decorate a script's `main(argv=None)`: mistakes become `error:` lines and exit code 2.

    Mistakes are `UserError`s, and files that the system will not read or write.
    """

    name = Path(main.__code__.co_filename).name

    @functools.wraps(main)
    def run(argv=None):
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
            if State.signal:  # where a library lost the exception
                raise KeyboardInterrupt
            return result
        except BaseException as error:
            code, lines = exit_code_and_messages(error)
            for message in lines:
                print(message, file=sys.stderr)
            if code is None:
                raise
            raise SystemExit(code) from None

    return run


def exit_code_and_messages(error):
    """Return the exit code and the lines for what ended a command; None where it is a defect.

    Once a signal has come, that is what ended it, whatever a library made of it.
    """
    if State.signal or isinstance(error, KeyboardInterrupt):
        number = State.signal or signal.SIGINT
        return 128 + number, [stop_line(number)]
    if isinstance(error, UserError):
        code = 3 if isinstance(error, PartlyDone) else 2
        return code, [f"error: {one_line(message)}" for message in error.args]
    if isinstance(error, OSError):
        return 2, [f"error: {one_line(system_text(error))}"]
    if out_of_memory(error):
        remedy = "crop the largest image, or take a smaller --crop or --batch-size"
        return 2, [f"error: memory: not enough, {remedy}"]
    return None, []


def one_line(message):
    """Return a text as one line that a terminal shows as it is: names and cells can hold anything.

    What a terminal would obey, such as a change of direction, becomes a question mark.
    """
    line = " ".join(str(message).split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def system_text(error):
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


def size_text(size):
    """Return a number of bytes in the unit that fits it.

    >>> size_text(12), size_text(3_712_000), size_text(120_000_000_000)
    ('12 bytes', '3.7 MB', '120 GB')
    """
    if size < 1000:
        return f"{size} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            return f"{size:.3g} {unit}" if size >= 10 else f"{size:.1f} {unit}"


def quote(words):
    """Return a command line that a terminal of this system takes."""
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(map(str, words))


def out_of_memory(error):
    """Whether an exception is Python's, TensorFlow's or OpenCV's way to say so."""
    named = type(error).__name__ in ("MemoryError", "ResourceExhaustedError")
    return named or "Insufficient memory" in str(error)


class PrintVersion(argparse.Action):
    """Print the version; it is looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"DeepMyelinSegmentation {suite_version()}")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """A command line whose help starts with the script's docstring and whose errors are ours.

    Parameters
    ----------
    doc : str
        The script's docstring.
    **options
        As for `ArgumentParser`, which makes the parsers of sub-commands with `prog`.
    """

    def __init__(self, doc, **options):
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(description=doc, formatter_class=formatter, allow_abbrev=False, **options)
        self.add_argument(
            "--version",
            action=PrintVersion,
            nargs=0,
            dest=argparse.SUPPRESS,
            help="print the version",
        )

    def error(self, message):
        raise UserError(f"{message}{self.meant(message)}, see python {self.prog} --help")

    def meant(self, message):
        """Return the option that a mistyped one is near to, as text; mostly none."""
        typed = message.removeprefix("unrecognized arguments: ").split(maxsplit=1)[0]
        near = difflib.get_close_matches(typed.partition("=")[0], self._option_string_actions, 1)
        return f" (did you mean {near[0]}?)" if typed != message.split()[0] and near else ""


# There is one stderr: a thread that took it beside another would give back the other's silence.
taking_stderr = threading.RLock()


@contextlib.contextmanager
def silent_stderr():
    """Keep from the terminal what libraries in C write to stderr, whatever Python does.

    Yields
    ------
    list of str
        Filled at the end: the lines that were written.
    """
    lines = []
    with taking_stderr, tempfile.TemporaryFile() as said:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            os.dup2(said.fileno(), 2)
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            lines += said.read(MAX_SAID_BYTES).decode(errors="replace").splitlines()


def progress(items, description, unit="image", delay_s=2, total=None):
    """Return `items` with a progress bar on stderr; no bar for a loop that ends within a delay."""
    start, bar = time.monotonic(), None
    try:
        for index, item in enumerate(items, 1):
            yield item
            if bar is None and time.monotonic() - start > delay_s:
                if total is None and hasattr(items, "__len__"):
                    total = len(items)
                bar = new_bar(desc=description, unit=unit, total=total, initial=index)
            elif bar is not None:
                bar.update()
    finally:
        if bar is not None:
            bar.close()


def new_bar(**facts):
    """Return a progress bar, of tqdm if this thread has no other way to show one."""
    make = getattr(shown, "bar", None)
    if make is None:
        from tqdm import tqdm  # late: most loops end before

        return tqdm(leave=False, **facts)
    return make(**facts)


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


def printable(name):
    """Return a file name with a question mark for each byte that is not text."""
    return name.encode("utf-8", "replace").decode()


def shortened_list(names):
    """Return the first names of a list as a text."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(printable, names[:5])) + more


def count_of(n: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    >>> count_of(1, "image"), count_of(2000, "image"), count_of(2, "axis", "axes")
    ('1 image', '2,000 images', '2 axes')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
