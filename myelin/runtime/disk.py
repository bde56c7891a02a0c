"""Room on a disk: whether what a run will write fits, and setting it aside."""

import os
import re
import shutil
from pathlib import Path

from myelin.runtime.cli import UserError, size_text

# How libraries say that a disk is full where they do not say it as the system does.
FULL = re.compile(r"No space left|errno = 28\b|free space to write|requested and \d+ written")
BLOCK_BYTES = 2**20
# Added to each folder's need: directories, records, what a file system rounds up.
MARGIN_BYTES = 2**17


def nearest_existing_folder(path):
    """Return the nearest folder above a path, or itself, that exists."""
    path = Path(path).absolute()
    while not path.is_dir():
        path = path.parent
    return path


def check_room(needed, remedy="make room on it"):
    """Raise a UserError where a run would fill a disk: before it starts, not hours later.

    Parameters
    ----------
    needed : dict of path to int
        Bytes that will be written into each folder; those on one disk are added up.
    remedy : str
        What to do, for the message.
    """
    disks = {}
    for folder, size in needed.items():
        standing = nearest_existing_folder(folder)
        device = os.stat(standing).st_dev
        folders, _, total = disks.get(device, ([], standing, MARGIN_BYTES))
        disks[device] = [*folders, str(folder)], standing, total + size
    for folders, standing, total in disks.values():
        free = shutil.disk_usage(standing).free
        if total > free:
            raise UserError(
                f"{' and '.join(folders)}: {size_text(total)} needed, {size_text(free)} free on "
                f"the disk of {standing}, {remedy}"
            )


def allocate(file, size):
    """Set aside the next `size` bytes of an open file, as zeros.

    A file that only claims its size would fail later, at any place that is written to.

    Raises
    ------
    OSError
        The disk is full.
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
