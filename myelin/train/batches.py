"""Batches of pairs for Keras: whole frames, or random crops."""

import math

import numpy as np
from keras.utils import PyDataset

from myelin.network.preprocessing import magnify, normalize, resize
from myelin.train.crops import random_crop
from myelin.train.pairs import sampling_weights
from unet import STRIDE

# A validation frame of "native" models is cut to this at most: a big one fills memory.
VALIDATION_SIZE = 1024


class Batches(PyDataset):
    """What every data set for Keras here has: (image, mask) batches, float32 (n, rows, cols, 1).

    What is random in a batch follows from the seed, the epoch and the step alone: so a run that
    goes on sees what it would have seen, and batches may be made ahead.

    Parameters
    ----------
    seed : int or None
    epoch : int
        The first, counted from 0.
    """

    def __init__(self, seed=None, epoch=0):
        super().__init__()
        self.seed, self.epoch = seed, epoch

    def rng(self, *step):
        """Return the random numbers of the epoch, or of one step of it."""
        return np.random.default_rng([self.seed, self.epoch, *step])

    def on_epoch_end(self):
        """Go on to the next epoch; Keras calls this."""
        self.epoch += 1

    def __getitem__(self, step):
        images, masks = zip(*self.batch(step), strict=True)
        return (
            np.stack(images)[..., None].astype(np.float32),
            np.stack(masks)[..., None].astype(np.float32),
        )


class FrameBatches(Batches):
    """Whole frames, each once an epoch.

    Parameters
    ----------
    pairs : Pairs
    indices : list of int
        The frames to take.
    settings : Preprocessing
    batch_size : int
    seed, epoch
        See `Batches`; the frames are shuffled in each epoch, without a seed they keep their order.
    """

    def __init__(self, pairs, indices, settings, batch_size=1, seed=None, epoch=0):
        super().__init__(seed, epoch)
        self.pairs, self.settings, self.batch_size = pairs, settings, batch_size
        self.indices = list(indices)
        self.shape = validation_shape(pairs, indices) if settings.frame == "native" else None

    def __len__(self):
        return math.ceil(len(self.indices) / self.batch_size)

    def batch(self, step):
        """Return the pairs of one step, list of (image, mask)."""
        order = self.indices if self.seed is None else self.rng().permutation(self.indices)
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        return [whole_frame(self.pairs, i, self.settings, self.shape) for i in chosen]


class CropBatches(Batches):
    """Random crops.

    Parameters
    ----------
    pairs : Pairs
    indices : list of int
        The frames to cut from.
    settings : Preprocessing
    recipe : recipe.Recipe
    emphasis : list of (str, float)
        See `pairs.sampling_weights`.
    seed, epoch
        See `Batches`.
    """

    def __init__(self, pairs, indices, settings, recipe, emphasis, seed, epoch=0):
        super().__init__(seed, epoch)
        self.pairs, self.indices, self.settings, self.recipe = pairs, indices, settings, recipe
        self.weights = sampling_weights(pairs, indices, emphasis)

    def __len__(self):
        return self.recipe.steps

    def batch(self, step):
        """Return the pairs of one step, list of (image, mask)."""
        rng = self.rng(step)
        chosen = rng.choice(self.indices, self.recipe.batch_size, p=self.weights)
        size, augment = self.recipe.crop, self.recipe.augment
        return [random_crop(self.pairs, i, size, self.settings, augment, rng) for i in chosen]


def whole_frame(pairs, index, settings, shape=None):
    """Return one pair as the network sees it: float32 (rows, cols) image and 0..1 mask.

    Frames for a network of any size are at the scale of their pair, then cut from their centre, or
    mirrored at the bottom and right, to `shape`: Keras takes batches of one shape only.
    """
    image, mask = pairs.image(index), pairs.mask(index)
    if settings.frame == "resize":
        image = resize(image, settings.rows, settings.cols)
        mask = resize(mask, settings.rows, settings.cols)
        return normalize(image, settings), mask.astype(np.float32) / 255
    image = normalize(image, settings)  # by the whole image's statistics, before the cut
    image, mask = (magnify(part, pairs.scales[index]) for part in (image, mask))
    top, left = (
        max(length - size, 0) // 2 for length, size in zip(image.shape, shape, strict=True)
    )
    window = np.s_[top : top + shape[0], left : left + shape[1]]
    image, mask = image[window], mask[window].astype(np.float32) / 255
    missing = [(0, size - length) for length, size in zip(image.shape, shape, strict=True)]
    return np.pad(image, missing, mode="symmetric"), np.pad(mask, missing, mode="symmetric")


def validation_shape(pairs, indices):
    """Return the (rows, cols) that hold the largest of some frames, up to VALIDATION_SIZE."""
    largest = np.minimum(np.max(pairs.scaled_shapes()[list(indices)], axis=0), VALIDATION_SIZE)
    return tuple(-(-largest // STRIDE) * STRIDE)
