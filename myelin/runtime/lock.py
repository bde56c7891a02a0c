"""One run at a time: a lock on what a command writes, which ends with its process.

    with holding(PREDS):                                   # nobody else may read or write it
    with holding(NPYDATA, "imgs_test.npy", shared=True):   # others may read it too

It is the system's lock on a hidden file: a killed run leaves nothing locked.
"""

import contextlib
import datetime
import errno
import os
import platform
import time

from myelin.runtime.cli import UserError, running

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

PATIENCE_S = 0.5  # for another run that is about to end
HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
# How drives say that they know no locks, as some network drives.
UNKNOWN = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
READERS = 64  # at most at a time on Windows: each locks one byte, a writer all of them
FIRST_BYTE = 2**30  # far behind what is written, for Windows lets nobody read a locked byte


@contextlib.contextmanager
def holding(folder, name="", shared=False):
    """Hold the lock of a folder, or of one file in it, for as long as the block runs.

    Parameters
    ----------
    folder : Path
        Made where absent, unless `shared`.
    name : str
        That of the file.
    shared : bool
        Whether it is only read, so that other readers are let in. What is not there, or where
        nothing can be written, needs no lock to be read.

    Raises
    ------
    UserError
        Another run holds it; the message says which. Or it is a file.
    """
    path = folder / f"{'.' if name else ''}{name}.lock"
    with contextlib.ExitStack() as stack:
        if folder.is_file():
            raise UserError(f"{folder}: is a file, name a folder")
        if not shared and not folder.exists():
            folder.mkdir(parents=True)
            stack.callback(remove_empty, folder)
        try:
            file = acquire(path, shared)
        except OSError as error:
            if not shared or error.errno not in (errno.ENOENT, errno.EACCES, errno.EROFS):
                raise
        else:
            if file is None:
                who = holder(path)
                raise UserError(f"{folder / name}: in use by {who}, wait until it has ended")
            stack.callback(release, file, path)
        yield


def remove_empty(folder):
    """Remove a folder unless something has come into it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def acquire(path, shared):
    """Return the open and locked file, None where others hold it."""
    last = time.monotonic() + PATIENCE_S
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  closed by `release`
        if lock(file, shared) and is_still(file, path):
            break
        file.close()
        if time.monotonic() > last:
            return None
        time.sleep(0.05)
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
    with contextlib.suppress(OSError):  # a full disk is for the run itself to name
        file.truncate(0)
        file.write(
            f"{running['command']} (process {os.getpid()} on {platform.node()}, since {now})"
        )
        file.flush()
    return file


def lock(file, shared):
    """Lock an open file if no other process has, at once; return whether that was possible."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            return True
        return lock_bytes(file, shared)
    except OSError as error:
        if error.errno in HELD:
            return False
        if error.errno not in UNKNOWN:
            raise
        print(f"note: {file.name}: this drive knows no locks, start one run at a time")
        return True


def lock_bytes(file, shared):
    """Lock as `lock` on Windows, which knows no shared locks."""
    for number in range(READERS if shared else 1):
        os.lseek(file.fileno(), FIRST_BYTE + number, os.SEEK_SET)
        with contextlib.suppress(PermissionError):
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1 if shared else READERS)
            return True
    return False


def is_still(file, path):
    """Whether an open file is the one of that name: another run may just have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def release(file, path):
    """Unlock and remove the file, unless other readers hold it too."""
    with contextlib.suppress(OSError):
        if fcntl and lock(file, shared=False):
            path.unlink()
    file.close()
    if not fcntl:
        with contextlib.suppress(OSError):  # Windows removes no file that another has open
            path.unlink()


def mark_of(folder):
    """Return what the lock of a folder says; "another run" where there is none."""
    return holder(folder / ".lock")


def holder(path):
    """Return what a lock says of the run that took it last."""
    try:
        return path.read_text(encoding="utf-8").strip() or "another run"
    except OSError:
        return "another run"
