"""The packed training pairs: which train or validate, and how often each is sampled.

pairs = Pairs(as_bright=True)
training, held_out = split(pairs, 0.2)
"""

import fnmatch
import math
from collections.abc import Iterator

import numpy as np

from myelin.folders.naming import NPYDATA
from myelin.folders.packed import load_train
from myelin.measure.fiber_width import fiber_scale
from myelin.network.preprocessing import histogram
from myelin.runtime.cli import UserError, count_of, progress


class Pairs:
    """The packed training pairs, read one at a time.

    Parameters
    ----------
    as_bright : bool
        Invert images whose myelin is darker than the rest, as their masks show, so that one
        network serves both; False keeps all as they are, as in 2018.
    fiber_px : float, optional
        Fiber width to which `scales` brings each pair, see `fiber_scale`; None keeps the pixels of
        all pairs, as in 2018.
    """

    def __init__(self, as_bright: bool, fiber_px: float | None = None) -> None:
        packed = load_train()
        self.images = packed.images
        self.masks = packed.masks
        self.ids = packed.ids
        self.shapes = packed.shapes
        self.fiber_px = fiber_px
        self.dark = []
        self.histograms = []
        self.scales = []
        for index in progress(range(len(self)), "reading pairs"):
            self.dark.append(as_bright and self.is_dark(index))
            self.histograms.append(histogram(self.image(index)))
            self.scales.append(fiber_scale(self.mask(index) > 127, fiber_px) if fiber_px else 1.0)

    def __len__(self) -> int:
        return len(self.images)

    def is_dark(self, index: int) -> bool:
        """Return whether the myelin of a pair is darker than the rest, without margins."""
        rows, cols = self.shapes[index]
        image = np.array(self.images.mapped(index)[:rows, :cols])
        mask = self.masks.mapped(index)[:rows, :cols] > 0
        content = (image > 0) & (image < 255)
        if not (mask & content).any():  # saturated myelin
            content[:] = True
        if not (mask & content).any() or not (~mask & content).any():
            return False
        return bool(image[mask & content].mean() < image[~mask & content].mean())

    def all_images(self) -> Iterator[np.ndarray]:
        """Yield every image, uint8 (rows, cols)."""
        return map(self.image, progress(range(len(self)), "averaging"))

    def image(self, index: int, window: tuple[slice, slice] = np.s_[:, :]) -> np.ndarray:
        """Return the image, uint8 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        image = self.images.mapped(index)[:rows, :cols][window]
        return 255 - image if self.dark[index] else np.array(image)

    def mask(self, index: int, window: tuple[slice, slice] = np.s_[:, :]) -> np.ndarray:
        """Return the mask, uint8 0/255 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        return np.array(self.masks.mapped(index)[:rows, :cols][window])

    def scaled_shapes(self) -> np.ndarray:
        """Return rows and columns of the pairs at their scales, int (n, 2)."""
        shapes = np.rint(self.shapes * np.array(self.scales)[:, None])
        return np.maximum(shapes, 1).astype(int)


def split(pairs: Pairs, fraction: float, pattern: str | None = None) -> tuple[list, list]:
    """Return the indices to train on and the indices to validate on.

    Validation takes the frames whose id matches one of the comma-separated patterns, or else the
    last `fraction` of all frames (never crops of a training frame).
    """
    count = len(pairs)
    if pattern:
        patterns = [pattern] if pattern in pairs.ids else pattern.split(",")
        held_out = {i for p in patterns for i in matching(pairs, p, "--validate-on")}
    else:
        held_out = set(range(math.floor(count * (1 - fraction) + 1e-9), count))  # as Keras splits
    training = [i for i in range(count) if i not in held_out]
    if not training or (fraction and not held_out):
        raise UserError(
            f"{NPYDATA}/imgs_train.npy: {count_of(count, 'pair')}, {len(training)} to train on and "
            f"{len(held_out)} to validate on, add pairs to raw/train and run python data.py"
        )
    return training, sorted(held_out)


def matching(pairs: Pairs, pattern: str, option: str) -> list[int]:
    """Return the indices of the images whose id matches a pattern; raise if there are none."""
    # An id may contain characters of a pattern, such as [1]: the exact id comes first.
    found = [i for i, name in enumerate(pairs.ids) if name == pattern]
    found = found or [i for i, n in enumerate(pairs.ids) if fnmatch.fnmatchcase(n, pattern)]
    if not found:
        known = ", ".join(pairs.ids[:5])
        raise UserError(f"{option} {pattern}: no such training image, give ids such as {known}")
    return found


def sampling_weights(
    pairs: Pairs, training: list[int], emphasis: list[tuple[str, float]]
) -> np.ndarray:
    """Return the probability of each training frame in a crop.

    It is proportional to the frame's area at the network's scale, times the factors of `emphasis`,
    (pattern of ids, factor).
    """
    weights = np.prod(pairs.scaled_shapes(), axis=1).astype(float)
    for pattern, factor in emphasis:
        weights[matching(pairs, pattern, "--emphasis")] *= factor
    return weights[training] / weights[training].sum()
