"""Train the view, the small network that finds polarity and scale, in one call.

    python models/train_view.py models/newview.h5 sem tem nerve optic few
    python models/train_view.py models/newview.h5 sem tem nerve optic few --resume

Each folder holds images of one kind with their masks, `x.png` and `x_mask.png`; the model card
names them. Synthetic images are drawn here. Windows without fibers come from the photographs of
scikit-image, from textures drawn here, and from parts of the images without myelin.
"""

import argparse
import functools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy import ndarray as Array

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from view_windows import DRAWINGS, as_source, draw_batch, draw_synthetic, photographs, read_folder

from myelin.network.view import folded_weights, get_view, read_view, save_view

Tensor = Any  # of the backend of Keras

STEPS, FINE_STEPS = 3000, 600  # batches; each is used twice
RATE = 2e-3  # highest learning rate
WARM_UP_STEPS = 100
SAVE_STEPS = 50
FINAL_BATCHES = 60  # batches for the final statistics of batch normalisation


def view_loss(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return the negative log-likelihood of fibers, polarity and width."""
    from keras import ops

    fibers, dark, width, sure, polar, sized = (labels[:, place] for place in range(6))

    def entropy(target: Tensor, logit: Tensor) -> Tensor:
        return ops.softplus(logit) - target * logit

    spread = ops.clip(outputs[:, 3], -3.5, 3.0)
    off = ops.abs(outputs[:, 2] - width) * ops.exp(-spread) + spread
    return ops.mean(
        sure * entropy(fibers, outputs[:, 0]) + polar * entropy(dark, outputs[:, 1]) + sized * off
    )


def turned(windows: Array, labels: Array) -> tuple[Array, Array]:
    """Return a batch rotated by 90 degrees and inverted: each batch is used twice."""
    labels = labels.copy()
    labels[:, 1] = 1 - labels[:, 1]
    return -np.rot90(windows, axes=(1, 2)), labels


def train(args: argparse.Namespace, draw: Callable) -> list[Array]:
    """Train, or continue an interrupted run; return the folded weights.

    `draw(step)` returns a batch.
    """
    import keras

    keras.utils.set_random_seed(args.seed)
    unfinished = args.model.with_name(f"{args.model.stem}_resume.keras")
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 2 * args.steps - WARM_UP_STEPS, warmup_target=RATE, warmup_steps=WARM_UP_STEPS
    )
    step = 0
    if args.resume:
        model = keras.models.load_model(unfinished, {"view_loss": view_loss})
        model.optimizer.learning_rate = rate
        step = int(model.optimizer.iterations) // 2
    else:
        model = get_view()
        model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), view_loss)
    run_steps(model, draw, range(step, args.steps), unfinished)
    with ThreadPoolExecutor(1) as pool:
        for batch in pool.map(draw, range(args.steps, args.steps + FINAL_BATCHES)):
            model(batch[0], training=True)  # updates means and variances only
    unfinished.unlink(missing_ok=True)
    return folded_weights(model)


def fine_tune(args: argparse.Namespace, weights: list[Array], draw: Callable) -> list[Array]:
    """Train the network without batch normalisation, at a tenth of the rate; return the weights."""
    import keras

    model = get_view(folded=True)
    model.set_weights(weights)
    rate = keras.optimizers.schedules.CosineDecay(RATE / 10, 2 * args.fine_steps)
    model.compile(keras.optimizers.Adam(rate), view_loss)
    run_steps(model, draw, range(args.fine_steps))
    return model.get_weights()


def run_steps(
    model: Tensor,
    draw: Callable,
    steps: range,
    unfinished: Path | None = None,
    turn: Callable = turned,
) -> None:
    """Train with each batch twice, then turned; print the loss, and save every `SAVE_STEPS`."""
    losses = []
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(draw, steps.start)
        for step in steps:
            windows, labels = ahead.result()
            ahead = pool.submit(draw, step + 1)
            model.reset_metrics()  # otherwise the loss is the mean since the start
            losses.append(float(model.train_on_batch(windows, labels)))
            model.train_on_batch(*turn(windows, labels))
            if (step + 1) % SAVE_STEPS == 0:
                print(f"step {step + 1}: loss {np.mean(losses):.3f}", flush=True)
                losses.clear()
                if unfinished:
                    model.save(unfinished)


def main() -> None:
    """Read the folders, then train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="file to write")
    add = parser.add_argument
    add("folders", nargs="+", help="folders of images with masks, one per kind")
    add("--steps", type=int, default=STEPS, help=f"batches (default {STEPS})")
    add("--fine-steps", type=int, default=FINE_STEPS, help=f"then to fine-tune ({FINE_STEPS})")
    add("--start", type=Path, help="a view's file: only fine-tune it")
    add("--seed", type=int, default=0)
    add(
        "--leave-out",
        nargs="*",
        default=[],
        help="images, such as sem/rat3*, or names of photographs",
    )
    add("--resume", action="store_true", help="continue an interrupted run")
    args = parser.parse_args()
    folders = [read_folder(folder, args.leave_out) for folder in args.folders]
    folders.append(draw_synthetic(args.seed, DRAWINGS, as_source))
    for name, folder in zip([*args.folders, "synthetic"], folders, strict=True):
        typical = np.median([np.median(source.widths) for source in folder])
        dark = sum(source.dark for source in folder)
        print(f"{name}: {len(folder)} images, {dark} dark, fibers {typical:.0f} px", flush=True)
    cv2.setNumThreads(1)  # Keras uses the other cores
    negatives = photographs(args.leave_out)
    draw = functools.partial(draw_batch, folders, negatives)
    start = functools.partial(draw, False, args.seed)
    weights = read_view(args.start) if args.start else train(args, start)
    weights = fine_tune(args, weights, functools.partial(draw, True, args.seed + 1))
    steps = {"steps": args.steps, "fine_steps": args.fine_steps, "seed": args.seed}
    save_view(args.model, weights, steps)


if __name__ == "__main__":
    main()
