"""The steps of one image in a journal, to be undone and redone without end, also after a restart.

A step keeps the exclusive-or of the pixels before and after it, so one patch serves both ways. A
line of the journal is on the disk before the first pixel of its step is written: a step that a
killed process left half is completed when the image is opened again.
"""

import base64
import json
import os
import zlib
from pathlib import Path

import numpy as np

from myelin.folders.mask_record import pixel_hash

Layers = dict[str, np.ndarray | None]  # "mask", "axon", "nerve": uint8 (rows, cols), None if absent
PARTS = ("mask", "axon", "nerve")


def hashes_of(layers: Layers) -> dict[str, str | None]:
    """Return the `pixel_hash` of each layer, None for an absent one."""
    return {part: None if layers[part] is None else pixel_hash(layers[part]) for part in PARTS}


def patches_between(before: Layers, after: Layers) -> list[dict]:
    """Return the patches, JSON values, that turn either state of the layers into the other."""
    patches = []
    for part in PARTS:
        old, new = before[part], after[part]
        if old is new:
            continue
        shape = (old if new is None else new).shape
        zeros = np.zeros(shape, np.uint8)
        change = (zeros if old is None else old) ^ (zeros if new is None else new)
        rows, cols = (np.flatnonzero(change.any(axis=axis)) for axis in (1, 0))
        exists = [old is not None, new is not None]
        if not len(rows) and exists[0] == exists[1]:
            continue
        box = [0, 0, 0, 0]
        if len(rows):
            box = [int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1]
        window = np.ascontiguousarray(change[box[0] : box[1], box[2] : box[3]])
        bits = base64.b64encode(zlib.compress(window, 1)).decode("ascii")
        patches.append({"part": part, "exists": exists, "box": box, "bits": bits})
    return patches


def apply_patch(layers: Layers, patch: dict, shape: tuple[int, int], forward: bool) -> None:
    """Replace a layer by its state after a patch, or before it; the old array stays as it is."""
    part, (top, bottom, left, right) = patch["part"], patch["box"]
    old = layers[part]
    new = np.zeros(shape, np.uint8) if old is None else old.copy()
    bits = np.frombuffer(zlib.decompress(base64.b64decode(patch["bits"])), np.uint8)
    new[top:bottom, left:right] ^= bits.reshape(bottom - top, right - left)
    layers[part] = new if patch["exists"][forward] else None


class History:
    """The journal of one image.

    Attributes
    ----------
    steps : list of dict
        Steps that can be undone or redone: "patches", "before" and "after" (hashes of the layers),
        "decisions" (rows of tables before and after), "what".
    position : int
        Number of steps that are done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: list[dict] = []
        self.position = 0
        self.last: tuple[dict, bool] | None = None  # the last step written, and its direction
        self.whole_bytes = 0
        content = path.read_bytes() if path.exists() else b""
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # torn by a kill, its step was never begun
            self.take(json.loads(line))
            self.whole_bytes += len(line)

    def take(self, line: dict) -> None:
        """Follow one line of the journal."""
        if "move" in line:
            forward = line["move"] > 0
            self.last = self.steps[self.position - (not forward)], forward
            self.position += line["move"]
        else:
            self.steps[self.position :] = [line]
            self.position += 1
            self.last = line, True

    def write(self, line: dict) -> None:
        """Append a line to the journal: a step, or {"move": 1 or -1}."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        with open(self.path, "r+b" if self.path.exists() else "xb") as file:
            file.truncate(self.whole_bytes)
            file.seek(self.whole_bytes)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.whole_bytes += len(content)
        self.take(line)

    def forget(self) -> None:
        """Begin again: the files were changed by another program."""
        if self.path.exists():
            self.path.replace(self.path.with_suffix(".old"))
        self.steps, self.position, self.last, self.whole_bytes = [], 0, None, 0

    def completed(self, layers: Layers) -> Layers | None:
        """Return the layers after the last line, from those in the files.

        The same object is returned if nothing was missing, None if the files are in no state that
        the journal knows.
        """
        if self.last is None:
            return layers
        step, forward = self.last
        wanted, other = (step["after"], step["before"])[:: 1 if forward else -1]
        found = hashes_of(layers)
        missing = [part for part in PARTS if found[part] != wanted[part]]
        if not missing:
            return layers
        if any(found[part] != other[part] for part in missing):
            return None
        result = dict(layers)
        shape = next(layer.shape for layer in layers.values() if layer is not None)
        for patch in step["patches"]:
            if patch["part"] in missing:
                apply_patch(result, patch, shape, forward)
        return result
