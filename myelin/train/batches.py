"""Batches of pairs for Keras: whole frames, or random crops."""

import math

import numpy as np
from keras.utils import PyDataset

from myelin.network.preprocessing import Preprocessing, magnify, normalize, resize
from myelin.train.crops import random_crop
from myelin.train.pairs import Pairs, sampling_weights
from myelin.train.recipe import Recipe
from unet import STRIDE

# Validation frames of "native" models are cropped to this side: a large one fills memory.
MAX_VALIDATION_SIDE = 1024


class Batches(PyDataset):
    """Batches of images and masks of some pairs, float32 (n, rows, cols, 1).

    A batch depends on the seed, the epoch and the step alone, so a resumed training sees the same
    batches, and batches may be made in advance. `epoch` is the first one, counted from 0.
    """

    def __init__(
        self,
        pairs: Pairs,
        indices: list[int],
        settings: Preprocessing,
        seed: int | None = None,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self.pairs = pairs
        self.indices = list(indices)
        self.settings = settings
        self.seed = seed
        self.epoch = epoch

    def rng(self, *step: int) -> np.random.Generator:
        """Return the random numbers of the epoch, or of one of its steps."""
        return np.random.default_rng([self.seed, self.epoch, *step])

    def on_epoch_end(self) -> None:
        """Start the next epoch; Keras calls this."""
        self.epoch += 1

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        images, masks = zip(*self.batch(step), strict=True)
        return (
            np.stack(images)[..., None].astype(np.float32),
            np.stack(masks)[..., None].astype(np.float32),
        )


class FrameBatches(Batches):
    """Whole frames of some pairs, each once per epoch: shuffled, or in order without a seed."""

    def __init__(
        self,
        pairs: Pairs,
        indices: list[int],
        settings: Preprocessing,
        batch_size: int = 1,
        **seed_and_epoch: int | None,
    ) -> None:
        super().__init__(pairs, indices, settings, **seed_and_epoch)
        self.batch_size = batch_size
        self.shape = validation_shape(pairs, indices) if settings.frame == "native" else None

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def batch(self, step: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the pairs of one step."""
        order = self.indices if self.seed is None else self.rng().permutation(self.indices)
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        return [whole_frame(self.pairs, i, self.settings, self.shape) for i in chosen]


class CropBatches(Batches):
    """Random crops of some pairs; `emphasis` as in `pairs.sampling_weights`."""

    def __init__(
        self,
        pairs: Pairs,
        indices: list[int],
        settings: Preprocessing,
        recipe: Recipe,
        emphasis: list[tuple[str, float]],
        **seed_and_epoch: int | None,
    ) -> None:
        super().__init__(pairs, indices, settings, **seed_and_epoch)
        self.recipe = recipe
        self.weights = sampling_weights(pairs, indices, emphasis)

    def __len__(self) -> int:
        return self.recipe.steps

    def batch(self, step: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the pairs of one step."""
        rng = self.rng(step)
        chosen = rng.choice(self.indices, self.recipe.batch_size, p=self.weights)
        size = self.recipe.crop
        augment = self.recipe.augment
        return [random_crop(self.pairs, i, size, self.settings, augment, rng) for i in chosen]


def whole_frame(
    pairs: Pairs, index: int, settings: Preprocessing, shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return one pair as network input: float32 (rows, cols) image and mask, 0 to 1.

    Frames of "native" models have the scale of their pair; they are cropped at the centre, or
    mirrored at the bottom and right, to `shape`, since all batches of Keras have one shape.
    """
    image = pairs.image(index)
    mask = pairs.mask(index)
    if settings.frame == "resize":
        image = resize(image, settings.rows, settings.cols)
        mask = resize(mask, settings.rows, settings.cols)
        return normalize(image, settings), mask.astype(np.float32) / 255
    image = normalize(image, settings)  # by the statistics of the whole image, before cropping
    image = magnify(image, pairs.scales[index])
    mask = magnify(mask, pairs.scales[index])
    top, left = (
        max(length - size, 0) // 2 for length, size in zip(image.shape, shape, strict=True)
    )
    window = np.s_[top : top + shape[0], left : left + shape[1]]
    image = image[window]
    mask = mask[window].astype(np.float32) / 255
    missing = [(0, size - length) for length, size in zip(image.shape, shape, strict=True)]
    return np.pad(image, missing, mode="symmetric"), np.pad(mask, missing, mode="symmetric")


def validation_shape(pairs: Pairs, indices: list[int]) -> tuple[int, int]:
    """Return rows and cols that hold the largest of some frames, up to MAX_VALIDATION_SIDE."""
    largest = np.max(pairs.scaled_shapes()[list(indices)], axis=0)
    return tuple(-(-np.minimum(largest, MAX_VALIDATION_SIDE) // STRIDE) * STRIDE)
