"""Check that a disk has room for what a run will write, and reserve it."""

import os
import shutil
from pathlib import Path

from myelin.runtime.cli import UserError, size_text

BLOCK_BYTES = 2**20
# Added to each disk's need: directories, records, what a file system rounds up.
MARGIN_BYTES = 2**17


def check_room(needed: dict, remedy: str = "make room on it") -> None:
    """Raise a UserError if a run would fill a disk: before it starts, not hours later.

    Parameters
    ----------
    needed : dict of path to int
        Bytes that will be written to each folder; if they are on several disks, the fullest must
        have room for all.
    remedy : str
        What to do, for the message.
    """
    total = MARGIN_BYTES + sum(needed.values())
    for folder in needed:
        path = Path(folder).absolute()
        existing = next(above for above in (path, *path.parents) if above.is_dir())
        free = shutil.disk_usage(existing).free
        if total > free:
            raise UserError(
                f"{' and '.join(map(str, needed))}: {size_text(total)} needed, {size_text(free)} "
                f"free on the disk of {existing}, {remedy}"
            )


def allocate(file: object, size: int) -> None:
    """Reserve the next `size` bytes of an open file, as zeros.

    Writing to a memory map of a file that has only claimed its size would crash on a full disk;
    this raises an OSError.
    """
    start = file.tell()
    file.flush()
    if hasattr(os, "posix_fallocate"):
        if size:
            os.posix_fallocate(file.fileno(), start, size)
        return
    zeros = bytes(BLOCK_BYTES)
    for place in range(0, size, BLOCK_BYTES):
        file.write(zeros[: size - place])
