"""Batches for training and validation."""

import fnmatch
import math

import numpy as np

from myelin import preprocessing
from myelin.cli import UserError
from myelin.naming import NPYDATA
from myelin.pairs import random_crop
from unet import STRIDE

# A validation frame of "native" models is cut to this at most: a big one fills memory.
VALIDATION_SIZE = 1024


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
    """Return the probability of each training frame in a crop: its area times its emphasis."""
    weights = np.prod(pairs.shapes, axis=1).astype(float)
    for pattern, factor in emphasis:
        weights[matching(pairs, pattern, "--emphasis")] *= factor
    return weights[training] / weights[training].sum()


def whole_frame(pairs, index, settings, shape=None):
    """Return one pair as the network sees it: float32 (rows, cols) image and 0..1 mask.

    Frames of their own size are cut from their centre, or mirrored at the bottom and right, to
    `shape`: Keras takes batches of one shape only.
    """
    image, mask = pairs.image(index), pairs.mask(index)
    if settings.frame == "resize":
        image = preprocessing.resize(image, settings.rows, settings.cols)
        mask = preprocessing.resize(mask, settings.rows, settings.cols)
        return preprocessing.normalize(image, settings), mask.astype(np.float32) / 255
    image = preprocessing.normalize(
        image, settings
    )  # by the whole image's statistics, before the cut
    top, left = (
        max(length - size, 0) // 2 for length, size in zip(image.shape, shape, strict=True)
    )
    window = np.s_[top : top + shape[0], left : left + shape[1]]
    image, mask = image[window], mask[window].astype(np.float32) / 255
    missing = [(0, size - length) for length, size in zip(image.shape, shape, strict=True)]
    return np.pad(image, missing, mode="symmetric"), np.pad(mask, missing, mode="symmetric")


def validation_shape(pairs, indices):
    """Return the (rows, cols) that hold the largest of some frames, up to VALIDATION_SIZE."""
    largest = np.minimum(np.max(pairs.shapes[list(indices)], axis=0), VALIDATION_SIZE)
    return tuple(-(-largest // STRIDE) * STRIDE)


def make_batches(pairs, indices, settings, args, training, start=0):
    """Return a keras PyDataset of (image, mask) batches, float32 (batch, rows, cols, 1)."""
    from keras.utils import PyDataset

    shape = validation_shape(pairs, indices) if settings.frame == "native" else None
    rng = np.random.default_rng([args.seed, start])  # a resumed run draws other crops
    weights = sampling_weights(pairs, indices, args.emphasis) if training and args.crop else None
    size = args.batch_size if training else 1

    class Batches(PyDataset):
        def __init__(self):
            super().__init__()
            self.order = list(indices)
            self.on_epoch_end()

        def __len__(self):
            return args.steps if weights is not None else math.ceil(len(indices) / size)

        def __getitem__(self, step):
            if weights is not None:
                chosen = rng.choice(indices, size, p=weights)
                batch = [
                    random_crop(pairs, i, args.crop, settings, args.augment, rng) for i in chosen
                ]
            else:
                chosen = self.order[step * size : (step + 1) * size]
                batch = [whole_frame(pairs, i, settings, shape) for i in chosen]
            images, masks = zip(*batch, strict=True)
            return (
                np.stack(images)[..., None].astype(np.float32),
                np.stack(masks)[..., None].astype(np.float32),
            )

        def on_epoch_end(self):
            if training:
                rng.shuffle(self.order)

    return Batches()
