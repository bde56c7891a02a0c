"""The steps of one image in a journal, to be undone and redone without end, also after a restart.

A step keeps the exclusive-or of the pixels before and after it, so one patch serves both ways. A
line of the journal is on the disk before the first pixel of its step is written: a step that a
killed process left half is completed when the image is opened again.
"""

import base64
import hashlib
import json
import os
import zlib
from pathlib import Path

import cv2
import numpy as np

from myelin.pixels.regions import Window

Layers = dict[str, np.ndarray | None]  # "mask", "axon", "nerve": uint8 (rows, cols), None if absent
BAND_ROWS = 256  # of a layer are hashed at once


def make_patches(before: Layers, after: Layers, window: Window) -> list[dict]:
    """Return the patches, JSON values, that turn layers into those after a step, and back.

    Both have the pixels of a window of the image; layers that `after` lacks stay.
    """
    patches = []
    for part, new in after.items():
        old = before[part]
        change = np.bitwise_xor(0 if old is None else old, 0 if new is None else new)
        exists = [old is not None, new is not None]
        if not change.any() and exists[0] == exists[1]:
            continue
        x, y, width, height = cv2.boundingRect(change)
        top, left = window[0].start + y, window[1].start + x
        bits = zlib.compress(np.ascontiguousarray(change[y : y + height, x : x + width]), 1)
        bits = base64.b64encode(bits).decode("ascii")
        box = [top, top + height, left, left + width]
        patches.append({"part": part, "exists": exists, "box": box, "bits": bits})
    return patches


def window_of(patches: list[dict]) -> Window:
    """Return the window of the image in which patches change pixels."""
    top, bottom, left, right = zip(*(patch["box"] for patch in patches), strict=True)
    return slice(min(top), max(bottom)), slice(min(left), max(right))


def apply_patch(layers: Layers, patch: dict, shape: tuple[int, int], forward: bool) -> None:
    """Turn a layer into its state after a patch, or before it, in place."""
    part, (top, bottom, left, right) = patch["part"], patch["box"]
    if layers[part] is None:
        layers[part] = np.zeros(shape, np.uint8)
    bits = np.frombuffer(zlib.decompress(base64.b64decode(patch["bits"])), np.uint8)
    layers[part][top:bottom, left:right] ^= bits.reshape(bottom - top, right - left)
    if not patch["exists"][forward]:
        layers[part] = None


def hash_of(layer: np.ndarray, bands: dict[int, bytes], window: Window | None = None) -> str:
    """Return the hash of a layer from those of its bands of rows.

    The bands in a window, or without one all, are hashed; those beside it are taken as they are.
    """
    for top in range(0, len(layer), BAND_ROWS):
        beside = window and (top >= window[0].stop or top + BAND_ROWS <= window[0].start)
        if not beside or top not in bands:
            rows = np.ascontiguousarray(layer[top : top + BAND_ROWS])
            bands[top] = hashlib.sha256(rows).digest()
    return hashlib.sha256(b"".join(bands.values())).hexdigest()


class History:
    """The journal of one image.

    Attributes
    ----------
    steps : list of dict
        Steps that can be undone or redone: "what", "patches", "hashes" and "tables" (rows of the
        tables of decisions), the latter two before and after the step.
    position : int
        Number of steps that are done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin()
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            if not line.endswith(b"\n"):
                break  # torn by a kill, its step was never begun
            self.take(json.loads(line))
            self.whole_bytes += len(line)

    def begin(self) -> None:
        """Begin without steps."""
        self.steps: list[dict] = []
        self.position = self.whole_bytes = 0
        self.last: tuple[dict, bool] | None = None  # the last step written, and its direction
        self.bands: dict[str, dict[int, bytes]] = {}  # hashes of bands of the layers

    def forget(self) -> None:
        """Begin again: the files were changed by another program."""
        if self.path.exists():
            self.path.replace(self.path.with_suffix(".old"))
        self.begin()

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

    def hashes(self, layers: Layers, window: Window | None = None) -> dict[str, str | None]:
        """Return a hash of each layer, None for an absent one.

        Outside `window` the layers are as they were at the last call.
        """
        self.bands = {part: self.bands.get(part, {}) for part in layers if layers[part] is not None}
        return {
            part: None if layer is None else hash_of(layer, self.bands[part], window)
            for part, layer in layers.items()
        }

    def missing(self, layers: Layers) -> list[dict] | None:
        """Return the patches of the last line that the files, read as layers, lack.

        None if the files are in no state that the journal knows.
        """
        if self.last is None:
            return []
        step, forward = self.last
        wanted, other, found = step["hashes"][forward], step["hashes"][not forward], None
        found = self.hashes(layers)
        late = [part for part in found if found[part] != wanted[part]]
        if any(found[part] != other[part] for part in late):
            return None
        return [patch for patch in step["patches"] if patch["part"] in late]
