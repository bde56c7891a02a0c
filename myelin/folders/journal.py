"""The journal of a run: a line for each image, so that `run.json` need not be written 2,000 times.

`.run.jsonl` beside `run.json` is there as long as a run is not complete. Its first line says of
which run it is; each further one is an image and its fact, written and brought to the disk before
the mask that it speaks of. A line that was cut off ends it.
"""

import contextlib
import json
import os

NAME = ".run.jsonl"


class Journal:
    """The open journal of a run.

    Parameters
    ----------
    folder : Path
        That of `run.json`.
    run : str
        The run's id.
    """

    def __init__(self, folder, run):
        self.path = folder / NAME
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(json.dumps({"run": run}) + "\n")

    def add(self, name, fact):
        """Write a line and bring it to the disk."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, "fact": fact}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self):
        """Remove it; `run.json` says all."""
        self.path.unlink(missing_ok=True)


def add_journal(folder, run):
    """Add to what `run.json` says what the journal of the same run has beyond it."""
    try:
        head, *lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
        if json.loads(head)["run"] != run["run"]:
            return
    except (OSError, ValueError, KeyError, TypeError):
        return
    done, pending = run.setdefault("images", {}), dict.fromkeys(run.get("pending", ()))
    with contextlib.suppress(ValueError, KeyError, TypeError):
        for line in map(json.loads, lines):
            done[line["name"]] = line["fact"]
            pending.pop(line["name"], None)
    run["pending"] = list(pending)
