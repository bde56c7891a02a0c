"""Lock what a command writes, so that one run at a time does; the lock ends with its process.

    with holding(PREDS):                                   # nobody else may read or write it
    with holding(NPYDATA, "imgs_test.npy", shared=True):   # others may read it too

The lock is the system's, on a hidden file: a killed run leaves nothing locked. Whoever gets the
lock to write removes the temporary files that killed runs have left.
"""

import contextlib
import datetime
import errno
import glob
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from myelin.runtime.cli import UserError, running
from myelin.runtime.files import remove_leftovers

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

PATIENCE_S = 0.5  # wait for another run that is about to end
HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


@contextlib.contextmanager
def holding(folder: Path, name: str = "", shared: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, or of one file in it, while the block runs.

    Parameters
    ----------
    folder : Path
        Created if absent, and removed if nothing was written to it.
    name : str
        Name of the file.
    shared : bool
        Only read, as others may too. A folder that is absent or write-protected needs no lock.

    Raises
    ------
    UserError
        Another run holds the lock; the message names it. Or the folder is a file.
    """
    if folder.is_file():
        raise UserError(f"{folder}: is a file, name a folder")
    if shared and not os.access(folder, os.W_OK):
        yield
        return
    created = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{'.' if name else ''}{name}.lock"
    try:
        file = acquire(path, shared)
        if file is None:
            who = "another run"
            with contextlib.suppress(OSError):  # it has just ended
                who = path.read_text(encoding="utf-8").strip() or who
            raise UserError(f"{folder / name}: in use by {who}, wait until it has ended")
        try:
            if name and not shared:
                remove_leftovers(folder, f".{glob.escape(Path(name).stem)}.tmp-*")
            elif not shared:
                for inner in unlocked_folders(folder):
                    remove_leftovers(inner, ".*.tmp-*")
            yield
        finally:
            release(file, path)
    finally:
        if created:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def unlocked_folders(folder: Path) -> Iterator[Path]:
    """Yield a folder and those in it, without hidden ones and those that another run may hold."""
    for inner, folders, _ in os.walk(folder):
        yield Path(inner)
        folders[:] = [
            name for name in folders if name[0] != "." and not any(Path(inner, name).glob(".*lock"))
        ]


def acquire(path: Path, shared: bool) -> TextIO | None:
    """Return the open and locked file, None if another run holds it."""
    last = time.monotonic() + PATIENCE_S
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  closed by `release`
        if lock(file, shared):
            with contextlib.suppress(FileNotFoundError):  # another run has just removed it
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    break
        file.close()
        if time.monotonic() > last:
            return None
        time.sleep(0.05)
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
    with contextlib.suppress(OSError):  # a full disk is an error of the run itself
        file.truncate(0)
        process = f"process {os.getpid()} on {platform.node()}, since {now}"
        file.write(f"{running['command']} ({process})")
        file.flush()
    return file


def lock(file: TextIO, shared: bool) -> bool:
    """Lock an open file unless another process has; return whether it is locked."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        else:
            os.lseek(file.fileno(), 2**30, os.SEEK_SET)  # a locked byte cannot be read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            if shared:  # Windows knows no shared locks: only check that nobody writes
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    except OSError as error:
        if error.errno in HELD:
            return False
        print(f"note: {file.name}: this drive has no locks, start one run at a time")
    return True


def release(file: TextIO, path: Path) -> None:
    """Unlock and remove the file, unless other readers hold it too."""
    with contextlib.suppress(OSError):
        if fcntl and lock(file, shared=False):
            path.unlink()
    file.close()
    if not fcntl:
        with contextlib.suppress(OSError):  # Windows removes no file that another process has open
            path.unlink()
