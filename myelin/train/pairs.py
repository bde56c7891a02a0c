"""The packed training pairs, and which of them train, validate, and how often each is shown.

pairs = Pairs(as_bright=True)
training, held = split(pairs, 0.2)
"""

import fnmatch
import math

import numpy as np

from myelin.folders.naming import NPYDATA
from myelin.folders.packed import load_train
from myelin.measure.fiber_width import fiber_scale
from myelin.network.preprocessing import histogram
from myelin.runtime.cli import UserError, progress


class Pairs:
    """The packed training pairs, one at a time.

    Parameters
    ----------
    as_bright : bool
        Invert the images whose myelin is darker than the rest, as their masks tell, so that one
        network serves both; else take all as they are, as the original did.
    fiber_px : float, optional
        Width that the fibers of each pair come to, see `fiber_scale`; None takes all pairs at
        their own pixels, as the original did.

    Attributes
    ----------
    scales : list of float
        Magnification of each pair.
    """

    def __init__(self, as_bright, fiber_px=None):
        packed = load_train()
        self.images, self.masks = packed.images, packed.masks
        self.ids, self.shapes = packed.ids, packed.shapes
        self.fiber_px = fiber_px
        self.dark, self.histograms, self.scales = [], [], []
        for index in progress(range(len(self)), "reading pairs"):
            self.dark.append(as_bright and self.is_dark(index))
            self.histograms.append(histogram(self.image(index)))
            self.scales.append(fiber_scale(self.mask(index) > 127, fiber_px) if fiber_px else 1.0)

    def __len__(self):
        return len(self.images)

    def is_dark(self, index):
        """Whether the myelin of a pair is darker than the rest, margins left out."""
        rows, cols = self.shapes[index]
        image = np.array(self.images.mapped(index)[:rows, :cols])
        mask = self.masks.mapped(index)[:rows, :cols] > 0
        content = (image > 0) & (image < 255)
        if not (mask & content).any():  # saturated myelin
            content[:] = True
        if not (mask & content).any() or not (~mask & content).any():
            return False
        return bool(image[mask & content].mean() < image[~mask & content].mean())

    def all_images(self):
        """Yield every image, uint8 (rows, cols)."""
        return map(self.image, progress(range(len(self)), "averaging"))

    def image(self, index, window=np.s_[:, :]):
        """Return the image, uint8 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        image = self.images.mapped(index)[:rows, :cols][window]
        return 255 - image if self.dark[index] else np.array(image)

    def mask(self, index, window=np.s_[:, :]):
        """Return the mask, uint8 0/255 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        return np.array(self.masks.mapped(index)[:rows, :cols][window])

    def scaled_shapes(self):
        """Return the rows and columns of the pairs at their scales, int array (n, 2)."""
        shapes = np.rint(self.shapes * np.array(self.scales)[:, None])
        return np.maximum(shapes, 1).astype(int)


def split(pairs, fraction, pattern=None):
    """Return (training, validation) indices.

    Validation takes the frames whose id fits one of the comma-separated patterns, or else the
    last `fraction` of all frames (never crops of a training frame).
    """
    count = len(pairs)
    if pattern:
        patterns = [pattern] if pattern in pairs.ids else pattern.split(",")
        held = {i for p in patterns for i in matching(pairs, p, "--validate-on")}
    else:
        held = set(range(math.floor(count * (1 - fraction) + 1e-9), count))  # as Keras splits
    training = [i for i in range(count) if i not in held]
    if not training or (fraction and not held):
        raise UserError(
            f"{NPYDATA}/imgs_train.npy: {count} pairs, which leaves {len(training)} to train on "
            f"and {len(held)} to validate on, add pairs to raw/train and run python data.py"
        )
    return training, sorted(held)


def matching(pairs, pattern, option):
    """Return the indices of the images whose id fits a pattern; none is an error."""
    # A name may hold what a pattern uses, such as [1]: it stands for itself first.
    found = [i for i, name in enumerate(pairs.ids) if name == pattern]
    found = found or [i for i, n in enumerate(pairs.ids) if fnmatch.fnmatchcase(n, pattern)]
    if not found:
        known = ", ".join(pairs.ids[:5])
        raise UserError(f"{option} {pattern}: no such training image, give ids such as {known}")
    return found


def sampling_weights(pairs, training, emphasis):
    """Return the probability of each training frame in a crop: its area times its emphasis.

    The area is that at the network's scale.
    """
    weights = np.prod(pairs.scaled_shapes(), axis=1).astype(float)
    for pattern, factor in emphasis:
        weights[matching(pairs, pattern, "--emphasis")] *= factor
    return weights[training] / weights[training].sum()
