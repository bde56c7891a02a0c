"""Several hosts that train one model, `--distribute`: which of them this is, and where it writes.

Each runs the same command on the same packed pairs, and Keras's own environment variables say so:

    KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.1:12355    the first host, at a free port
    KERAS_DISTRIBUTION_NUM_PROCESSES=2
    KERAS_DISTRIBUTION_PROCESS_ID=0                    0 on the first, 1 on the second
"""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from myelin.network.model_file import RESUME
from myelin.runtime.cli import UserError
from myelin.runtime.files import beside
from myelin.runtime.lock import holding

ADDRESS, COUNT, NUMBER = (
    f"KERAS_DISTRIBUTION_{part}" for part in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)


PATIENCE_S = 120  # for the first host to start and to open its port
POLL_S = 0.5


@dataclass(frozen=True)
class Host:
    """One of the hosts of a training.

    Attributes
    ----------
    number : int
        From 0, which is the one that writes.
    count : int
    address : str
        Of the first, with the port where they meet.
    """

    number: int = 0
    count: int = 1
    address: str = ""

    @property
    def share(self):
        """Which of the pairs of a batch it takes, a slice."""
        return slice(self.number, None, self.count)


def this_host(distributed):
    """Return the `Host` that this process is.

    Parameters
    ----------
    distributed : bool
        Whether the training was asked to be shared.

    Raises
    ------
    UserError
        The variables do not say it.
    """
    given = [os.environ.get(name, "") for name in (ADDRESS, COUNT, NUMBER)]
    if not distributed or not any(given):
        return Host()
    address, count, number = given
    if not (count.isdecimal() and number.isdecimal() and int(number) < int(count) and address):
        raise UserError(
            f"{ADDRESS}, {COUNT}, {NUMBER}: {', '.join(map(repr, given))}, set the address of the "
            "first host, how many there are, and the number of this one from 0, or none of them"
        )
    return Host(int(number), int(count), address.split(",")[0])


def find_first(address):
    """Wait until the first host answers; the library would end without a word after five minutes.

    Raises
    ------
    UserError
        Nothing answers there.
    """
    name, _, port = address.rpartition(":")
    last = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError, ValueError, OverflowError):
            socket.create_connection((name, int(port)), timeout=PATIENCE_S).close()
            return
        if time.monotonic() > last:
            raise UserError(
                f"--distribute: no host answers at {address}, check {ADDRESS}, and start the one "
                "with the number 0"
            )
        time.sleep(POLL_S)


@contextlib.contextmanager
def writing(path, host):
    """Yield the model file that a host is to write, held: the first writes `path`.

    The others compute the same; theirs is in a folder that goes.
    """
    if host.number == 0:
        with holding(path.parent, path.name):
            yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / path.name
        if beside(path, RESUME).exists():
            shutil.copyfile(beside(path, RESUME), beside(own, RESUME))
        yield own
