"""Train bestmyelin.h5 (see README.md here): train.py --crop, but bfloat16 on processors with AMX.

    python data.py
    python models/train_bestmyelin.py held.h5 3500 --start models/third.h5 --learning-rate 0.0005
    python models/train_bestmyelin.py bestmyelin.h5 900 --start held.h5 --half-at 0.4

Needs PyTorch (`pip install torch`), and the pairs that the model card names in raw/train. A step
of four crops takes 0.34 s on two cores, where train.py takes 1.06 s: TensorFlow's own bfloat16
gave wrong gradients on processors, and Keras's PyTorch backend moves the channels of every array.
"""

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
from pairs import Pairs, random_crop, sampling_weights
from suite import Parser, number, running, script

WARM_UP_STEPS = 200
REPORT_STEPS = 100
PIXEL_SIZE_UM = 0.1
# What extra_training.py goes on with.
TRAINING = {
    "crop": 256,
    "augment": True,
    "loss": "dice+crossentropy",
    "batch_size": 4,
    "steps": 200,
    "schedule": "cosine",
    "learning_rate": 1e-4,
}
# Shares of the crops, and emphases within them: animals whose fibers are small, or have one image.
SHARES = {"rat*": 0.6, "nerve_*": 0.25, "*synthetic_*": 0.15}
EMPHASIS = [("rat[1-4]*", 2), ("rat2*", 1.5), ("rat8*", 2)]


def first_weights(rng):
    """Draw weights as He et al. (2015) do, those of layers without ReLU half as spread."""
    weights = []
    for shape in unet.weight_shapes():
        if len(shape) == 1:
            weights.append(np.zeros(shape, np.float32))
            continue
        rows, _, *channels = shape
        inputs = channels[1] if rows == 2 else channels[0]  # transposed: (2, 2, outputs, inputs)
        spread = math.sqrt(2 / (9 * inputs)) if rows == 3 else math.sqrt(1 / inputs)
        weights.append(rng.standard_normal(shape, dtype=np.float32) * np.float32(spread))
    return weights


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


def dice_coef(masks, probabilities):
    """Return the Dice coefficient over the batch, as `unet.dice_coef`."""
    overlap = 2 * (masks * probabilities).sum() + unet.SMOOTH
    return overlap / (masks.sum() + probabilities.sum() + unet.SMOOTH)


def crop_probabilities(pairs, left_out):
    """Return each pair's probability in a crop."""
    weights = sampling_weights(pairs, range(len(pairs)), EMPHASIS)
    for pattern in left_out:
        weights[[fnmatch.fnmatchcase(name, pattern) for name in pairs.ids]] = 0
    for pattern, share in SHARES.items():
        group = [fnmatch.fnmatchcase(name, pattern) for name in pairs.ids]
        if weights[group].any():
            weights[group] *= share / weights[group].sum()
    return weights / weights.sum()


def train(weights, pairs, chances, settings, rng, args):
    """Change the weights, by Adam along a cosine."""
    adam = torch.optim.Adam(weights, args.learning_rate, fused=True)
    reached = []
    for step in range(args.steps):
        rate = min(1, (step + 1) / WARM_UP_STEPS) * (1 + math.cos(math.pi * step / args.steps)) / 2
        adam.param_groups[0]["lr"] = args.learning_rate * rate
        chosen = rng.choice(len(pairs), TRAINING["batch_size"], p=chances)
        crops = [random_crop(pairs, i, TRAINING["crop"], settings, True, rng) for i in chosen]
        frames, masks = (
            torch.from_numpy(np.stack(arrays)[:, None].astype(np.float32))
            for arrays in zip(*crops, strict=True)
        )
        logits = forward(frames, weights)
        dice = dice_coef(masks, torch.sigmoid(logits))
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
        default="",
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
    parser.add_argument("--seed", type=number(int, 0), default=0)
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    if args.start:
        arrays, settings, _ = unet.read_model_file(args.start)
    else:
        arrays = first_weights(rng)
        settings = unet.Preprocessing("native", None, None, myelin="bright", normalize="image")
    weights = [to_torch(array) for array in arrays]
    pairs = Pairs(as_bright=True)
    chances = crop_probabilities(pairs, args.leave_out.split(","))
    train(weights, pairs, chances, settings, rng, args)
    arrays = [to_keras(weight) for weight in weights]
    arrays[-1] = arrays[-1] + np.float32(math.log((1 - args.half_at) / args.half_at))
    settings.pixel_size_um = PIXEL_SIZE_UM
    settings.training = TRAINING
    earlier = settings.provenance.pop("earlier", [])
    settings.provenance = {
        "date": datetime.date.today().isoformat(),
        "command": running["command"],
        "training_images": int(np.count_nonzero(chances)),
        "earlier": [settings.provenance, *earlier],
    }
    unet.start_keras()
    network = unet.get_unet(None, None)
    network.set_weights(arrays)
    unet.save_model(args.model, network, settings, optimizer=False)


if __name__ == "__main__":
    main()
