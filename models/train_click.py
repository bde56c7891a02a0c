"""Train the click model, the small network that outlines the fiber at a click, in one call.

    python models/train_click.py models/newclick.h5 sem tem nerve figures sciatic_em optic
    python models/train_click.py models/newclick.h5 sem tem nerve figures sciatic_em optic --resume

Each folder holds images of one kind with their masks, `x.png`, `x_mask.png` and perhaps
`x_axon.png`; the model card names them. In a folder with an `x_ignore.png`, only some fibers are
outlined: none of its clicks counts as beside a fiber. Synthetic images are drawn here.
"""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator as Rng

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from train_view import run_steps
from view_windows import draw_synthetic, log_uniform, tinted, varied

import unet
from myelin.images.image import read_image, read_mask
from myelin.measure.fibers import find_fibers
from myelin.network import click

Tensor = Any  # of the backend of Keras

STEPS = 900  # batches; each is used twice
BATCH = 32
RATE = 2e-3  # highest learning rate
WARM_UP_STEPS = 100
MIN_AXON_PX = 30
KIND_POWER = 0.3  # of a kind's number of fibers, which gives its share of the windows
BESIDE = 0.25  # share of clicks that are in no axon
USUAL, USUAL_PX, OTHER_PX = 0.7, (18, 48), (5, 130)  # share of fiber widths in a window, and others
FIT_OCTAVES = 0.5  # standard deviation of the fit
MIN_FIT = 0.1  # for which the outlines are learned
MARGIN_PX = (6, 24)  # of a blank margin in a window
TINTED = 0.4  # share of windows with other grey values of sheaths, axons and background
# Look, images, µm per pixel of the synthetic images.
DRAWINGS = (("mixed", 16, 0.1), ("mixed", 8, 0.06), ("stained", 6, 0.15))
DRAWINGS += (("osmium", 4, 0.12), ("cars", 4, 0.12), ("transmission", 10, 0.05))


@dataclasses.dataclass
class Source:
    """An image with the fibers in it."""

    image: Array  # uint8 (rows, cols)
    axons: Array  # numbers of the fibers on their axons, int (rows, cols)
    fibers: Array  # on axons and sheaths
    boxes: Array  # left, top, width, height and area of each axon, int (n, 5); the first is none
    widths: Array  # diameters of circles of the fibers' areas, px, float (n,)
    sparse: bool  # whether only some of the fibers are known

    def __post_init__(self) -> None:
        self.numbers = np.flatnonzero(self.boxes[:, 4] >= MIN_AXON_PX)


def as_source(image: Array, mask: Array, axon: Array | None = None, sparse: bool = False) -> Source:
    """Return the `Source` of an image, uint8, with its myelin and axons, bool."""
    found = find_fibers(mask if axon is None else mask & ~axon, axon, image)
    boxes, fibers = found.axons.boxes(), found.labels[:]
    widths = np.sqrt(4 / np.pi * np.bincount(fibers.ravel(), minlength=len(boxes)))
    return Source(image, found.axons[:], fibers, boxes, widths, sparse)


def read_folder(folder: str) -> list[Source]:
    """Return the `Source` of each pair of a folder."""
    sources = []
    for path in sorted(Path(folder).iterdir()):
        mask, axon, ignore = (
            next(iter(Path(folder).glob(f"{path.stem}_{part}.*")), None)
            for part in ("mask", "axon", "ignore")
        )
        if mask is not None:
            masks = [read_mask(part) > 0 for part in (mask, axon) if part]
            sources.append(as_source(read_image(path), *masks, sparse=ignore is not None))
    return sources


# ---------------------------------------------------------------- windows


def click_in_axon(source: Source, number: int, rng: Rng) -> tuple[int, int]:
    """Return x and y of a random click into an axon, more often near its middle."""
    left, top, width, height = source.boxes[number, :4]
    y, x = np.nonzero(source.axons[top : top + height, left : left + width] == number)
    two = rng.integers(len(x), size=2)
    nearer = two[np.hypot(x[two] - x.mean(), y[two] - y.mean()).argmin()]
    return int(left + x[nearer]), int(top + y[nearer])


def click_beside(source: Source, rng: Rng) -> tuple[int, int]:
    """Return x and y of a click that is in no axon."""
    while True:
        y, x = (int(rng.integers(length)) for length in source.image.shape)
        if not source.axons[y, x]:
            return x, y


def random_turn(rng: Rng) -> Array:
    """Return a random rotation with mirroring and some stretch, float (2, 2)."""
    angle = rng.uniform(0, 2 * np.pi)
    stretch = np.exp(rng.uniform(-0.12, 0.12, 2)) * [rng.choice([-1, 1]), 1]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag(stretch)


def draw_window(kinds: list[list[Source]], shares: Array, rng: Rng) -> tuple[Array, Array]:
    """Return one window, float32 (SIDE, SIDE), and its labels, float32 (SIDE, SIDE, 4).

    The labels are axon, fiber, fit and the weight of the first two.
    """
    kind = kinds[rng.choice(len(kinds), p=shares)]
    source = kind[rng.integers(len(kind))]
    number = int(rng.choice(source.numbers))
    beside = rng.random() < BESIDE and not source.sparse
    x, y = click_beside(source, rng) if beside else click_in_axon(source, number, rng)
    width = log_uniform(*(USUAL_PX if rng.random() < USUAL else OTHER_PX), rng)
    scale = width / source.widths[number]
    reach = int(click.SIDE / scale) + 2
    rows, cols = (slice(max(place - reach, 0), place + reach) for place in (y, x))
    axons, fibers = source.axons[rows, cols], source.fibers[rows, cols]
    masks = (fibers > 0) & (axons == 0), axons > 0, axons == number, fibers == number
    planes = np.dstack([source.image[rows, cols], *(mask * np.uint8(255) for mask in masks)])
    x, y, turn = x - cols.start, y - rows.start, random_turn(rng)
    window = click.cut_window(planes[..., :3], x, y, scale, turn)
    own = click.cut_window(planes[..., 3:], x, y, scale, turn) / 255
    tint = rng.random() < TINTED and not source.sparse
    grey = tinted(window, rng) if tint else window[..., 0]
    fit = 0 if beside else np.exp(-0.5 * (np.log2(width / click.FIBER_PX) / FIT_OCTAVES) ** 2)
    extra = np.broadcast_to(np.float32([fit, fit > MIN_FIT]), (click.SIDE, click.SIDE, 2))
    return varied(grey, rng, MARGIN_PX), np.concatenate([own, extra], axis=-1)


def draw_batch(kinds: list[list[Source]], seed: int, step: int) -> tuple[Array, Array]:
    """Return the inputs and the labels of a step."""
    rng = np.random.default_rng([seed, step])
    shares = np.array([sum(len(one.numbers) for one in kind) ** KIND_POWER for kind in kinds])
    drawn = [draw_window(kinds, shares / shares.sum(), rng) for _ in range(BATCH)]
    windows, labels = (np.stack(part) for part in zip(*drawn, strict=True))
    return click.network_input(100 * windows), labels


def turned(inputs: Array, labels: Array) -> tuple[Array, Array]:
    """Return a batch rotated by 90 degrees and inverted: each batch is used twice."""
    inputs, labels = (np.rot90(part, axes=(1, 2)) for part in (inputs, labels))
    return inputs * np.float32([-1, 1]), labels


def click_loss(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return the cross-entropy of the three maps, and 1 - Dice of axon and fiber."""
    from keras import ops

    own, weight = labels[..., :2], labels[..., 3:]
    entropy = ops.binary_crossentropy(labels[..., :3], outputs)
    overlap = ops.sum(own * outputs[..., :2], axis=(1, 2))
    total = ops.sum(own + outputs[..., :2], axis=(1, 2))
    off = 1 - (2 * overlap + unet.SMOOTH) / (total + unet.SMOOTH)
    outlines = 3 * entropy[..., :2] + off[:, None, None]
    return ops.mean(entropy[..., 2]) + ops.mean(weight * outlines)


def train(args: argparse.Namespace, draw: Callable) -> list[Array]:
    """Train, or continue an interrupted run; return the weights. `draw(step)` returns a batch."""
    import keras

    keras.utils.set_random_seed(args.seed)
    unfinished = args.model.with_name(f"{args.model.stem}_resume.keras")
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 2 * args.steps - WARM_UP_STEPS, warmup_target=args.rate, warmup_steps=WARM_UP_STEPS
    )
    if args.resume:
        model = keras.models.load_model(unfinished, {"click_loss": click_loss})
    else:
        model = unet.get_unet(click.SIDE, click.SIDE, "he_normal", plan=click.PLAN)
        if args.start:
            model.set_weights(click.read_click(args.start))
        optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=1.0)
        model.compile(optimizer, click_loss, jit_compile=False)  # a third faster on processors
    first = int(model.optimizer.iterations) // 2
    run_steps(model, draw, range(first, args.steps), unfinished, turned)
    unfinished.unlink(missing_ok=True)
    return model.get_weights()


def main() -> None:
    """Read the folders, then train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="file to write")
    add("folders", nargs="*", help="folders of images with masks, one per kind")
    add("--steps", type=int, default=STEPS, help=f"batches (default {STEPS})")
    add("--start", type=Path, help="a click model's file to begin with")
    add("--rate", type=float, default=RATE, help=f"highest learning rate (default {RATE})")
    add("--seed", type=int, default=0)
    add("--resume", action="store_true", help="continue an interrupted run")
    args = parser.parse_args()
    kinds = [*map(read_folder, args.folders), draw_synthetic(args.seed, DRAWINGS, as_source)]
    kinds = [[one for one in kind if one.numbers.any()] for kind in kinds]
    for name, kind in zip([*args.folders, "synthetic"], kinds, strict=True):
        print(f"{name}: {len(kind)} images, {sum(len(one.numbers) for one in kind)} fibers")
    cv2.setNumThreads(1)  # Keras uses the other cores
    found = train(args, functools.partial(draw_batch, kinds, args.seed))
    click.save_click(args.model, found, {"steps": args.steps, "seed": args.seed})


if __name__ == "__main__":
    main()
