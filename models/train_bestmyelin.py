"""Train bestmyelin.h5 (see README.md here): train.py --crop, but bfloat16 on processors with AMX.

    python data.py
    python models/train_bestmyelin.py held.h5 3500 --start models/third.h5 --learning-rate 0.0005
    python models/train_bestmyelin.py bestmyelin.h5 900 --start held.h5 --half-at 0.4

Needs PyTorch (`pip install torch`), and the pairs that the model card names in raw/train. A step
of four crops takes 0.36 s on two cores, where train.py takes 1.06 s: TensorFlow's own bfloat16
gave wrong gradients on processors, and Keras's PyTorch backend moves the channels of every array.
"""

import dataclasses
import datetime
import fnmatch
import math
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("KERAS_BACKEND", "torch")

import cv2
import numpy as np
import torch
from torch.nn import functional

import unet
from myelin import engine, model_file
from myelin.cli import Parser, number, running, script
from myelin.crops import random_crop
from myelin.pairs import Pairs, matching, sampling_weights
from myelin.preprocessing import Preprocessing
from myelin.recipe import Recipe

REPORT_STEPS = 100
PIXEL_SIZE_UM = 0.1
# What extra_training.py goes on with.
RECIPE = Recipe(
    crop=256,
    augment=True,
    loss="dice+crossentropy",
    batch_size=4,
    steps=200,
    schedule="cosine",
    learning_rate=1e-4,
)
# Shares of the crops, and emphases within them: animals whose fibers are small, or have one image.
SHARES = {"rat*": 0.6, "nerve_*": 0.25, "*synthetic_*": 0.15}
EMPHASIS = [("rat[1-4]*", 2), ("rat2*", 1.5), ("rat8*", 2)]


def to_torch(array):
    """Turn a Keras array into a parameter: kernels become (outputs, inputs, rows, cols)."""
    tensor = torch.from_numpy(np.asarray(array))
    if tensor.ndim == 4:
        tensor = tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    return torch.nn.Parameter(tensor)


def to_keras(parameter):
    """Undo `to_torch`."""
    tensor = parameter.detach()
    return (tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor).numpy()


def forward(frames, weights):
    """Return the U-Net's output before the sigmoid, (batch, 1, rows, cols)."""
    arrays = iter(weights)

    def convolve(x):
        return functional.relu(functional.conv2d(x, next(arrays), next(arrays), padding=1))

    x, skips = frames.contiguous(memory_format=torch.channels_last), []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in unet.FILTERS:
            x = convolve(convolve(x))
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = convolve(convolve(x))
        for skip in reversed(skips):
            x = functional.conv_transpose2d(x, next(arrays), next(arrays), stride=2)
            x = convolve(convolve(torch.cat([x, skip], 1)))
        x = functional.conv2d(x, next(arrays), next(arrays))
    return x.float()


def crop_probabilities(pairs, training):
    """Return the probability of each training image in a crop."""
    weights = sampling_weights(pairs, training, EMPHASIS)
    for pattern, share in SHARES.items():
        group = [fnmatch.fnmatchcase(pairs.ids[i], pattern) for i in training]
        if any(group):
            weights[group] *= share / weights[group].sum()
    return weights / weights.sum()


def train(weights, pairs, training, settings, args):
    """Change the weights, by Adam along a cosine."""
    recipe = dataclasses.replace(RECIPE, learning_rate=args.learning_rate)
    rng = np.random.default_rng(args.seed)
    chances = crop_probabilities(pairs, training)
    adam = torch.optim.Adam(weights, args.learning_rate, fused=True)
    reached = []
    for step in range(args.steps):
        adam.param_groups[0]["lr"] = recipe.rate(step, args.steps)
        chosen = rng.choice(training, recipe.batch_size, p=chances)
        crops = [random_crop(pairs, i, recipe.crop, settings, True, rng) for i in chosen]
        frames, masks = (
            torch.from_numpy(np.stack(arrays)[:, None].astype(np.float32))
            for arrays in zip(*crops, strict=True)
        )
        logits = forward(frames, weights)
        dice = unet.dice_coef(masks, torch.sigmoid(logits))
        loss = functional.binary_cross_entropy_with_logits(logits, masks) - dice
        adam.zero_grad()
        loss.backward()
        adam.step()
        reached.append(dice.item())
        if (step + 1) % REPORT_STEPS == 0:
            print(f"{step + 1} steps, Dice {np.mean(reached[-REPORT_STEPS:]):.4f}", flush=True)


@script
def main(argv=None):
    """Train, and write the model."""
    parser = Parser(__doc__)
    parser.add_argument("model", help="model file to write")
    parser.add_argument("steps", type=number(int, 1), help="of four crops each")
    parser.add_argument("--start", help="model to go on from (default: none)")
    parser.add_argument(
        "--learning-rate",
        type=number(float, 1e-8, 1),
        default=0.001,
        metavar="R",
        help="Adam's, after the warm-up; falls to 0 along a cosine (default: 0.001)",
    )
    parser.add_argument(
        "--leave-out",
        metavar="IDS",
        help="not to train on, separated by commas, * stands for anything (default: none)",
    )
    parser.add_argument(
        "--half-at",
        type=number(float, 0.1, 0.9),
        default=0.5,
        metavar="P",
        help="shift what the trained network says so that this probability becomes a half: it is "
        "too careful on animals it has not seen (default: 0.5, as it is)",
    )
    parser.add_argument("--seed", type=number(int, 0, 2**32 - 1), default=0)
    args = parser.parse_args(argv)
    path = model_file.model_path(args.model)
    cv2.setNumThreads(1)
    keras = engine.start_keras()
    keras.utils.set_random_seed(args.seed)
    if args.start:
        network, settings, _ = model_file.load_model(
            model_file.model_path(args.start, reading=True)
        )
    else:
        network = unet.get_unet(None, None, "he_normal")
        settings = Preprocessing("native", None, None, myelin="bright", normalize="image")
    pairs = Pairs(as_bright=True)
    patterns = args.leave_out.split(",") if args.leave_out else []
    left_out = {i for pattern in patterns for i in matching(pairs, pattern, "--leave-out")}
    training = [i for i in range(len(pairs)) if i not in left_out]
    weights = [to_torch(array) for array in network.get_weights()]
    train(weights, pairs, training, settings, args)
    arrays = [to_keras(weight) for weight in weights]
    arrays[-1] = arrays[-1] + np.float32(math.log((1 - args.half_at) / args.half_at))
    network.set_weights(arrays)
    settings.pixel_size_um = PIXEL_SIZE_UM
    settings.training = dataclasses.asdict(RECIPE)
    settings.provenance = {
        "date": datetime.date.today().isoformat(),
        "command": running["command"],
        "training_images": len(training),
        "earlier": settings.earlier_runs(),
    }
    model_file.save_model(path, network, settings, optimizer=False)


if __name__ == "__main__":
    main()
