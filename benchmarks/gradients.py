"""Compare the gradients of a training step in bfloat16 with those in float32, layer by layer.

    python benchmarks/gradients.py FOLDER
    python benchmarks/gradients.py FOLDER --rounds 20
    python benchmarks/gradients.py FOLDER --eager
    python benchmarks/gradients.py FOLDER --initial he_normal

Prints, for each variant, the seconds per step (variants take turns, so that other load on the
machine slows all of them) and how many weight arrays have a correct gradient: cosine with that in
float32 at least 0.99, and 0.95 to 1.05 times its length. Wrong arrays are listed.

The batch has 4 crops of 256 x 256 pixels of the pairs in FOLDER (x.tif, x_mask.tif); the loss is
that of training on crops; the weights come from a model file or an initializer.

Result (TensorFlow 2.21, Keras 3.15, AMD EPYC with AVX-512 bf16): gradients of kernels are correct
in bfloat16, also at the bottom of the U. Those of biases are not: TensorFlow's BiasAddGrad adds up
a bfloat16 gradient in bfloat16, and a sum over 262,144 pixels stops growing once a summand is below
1/256 of it. If oneDNN fuses bias and convolution (`Conv2D` in a compiled step), the sum is in
float32; for `Conv2DTranspose`, and in eager mode for both, it is not.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import unet
from myelin.folders.naming import training_pairs
from myelin.images.image import read_image, read_mask
from myelin.network.engine import start_keras
from myelin.network.model_file import model_path, read_model_file
from myelin.network.preprocessing import Preprocessing, normalize

NATIVE = Preprocessing(frame="native", rows=None, cols=None, normalize="image")
CROPS, CROP_PX = 4, 256
MIN_COSINE, LENGTH_RATIO = 0.99, (0.95, 1.05)
MIN_RELATIVE_LENGTH = 1e-4  # of a gradient that is compared, relative to the longest one


def in_precision(network, variant):
    """Return a copy of a float32 U-Net, weights included, that computes in another variant.

    Parameters
    ----------
    network : keras.Model
    variant : {"float32", "policy", "output", "upward", "biases"}
        "policy": all layers with `mixed_bfloat16`. "output": the last layer in float32.
        "upward": the last and the transposed convolutions in float32.
        "biases": the last layer in float32, all others with biases added in float32; what
        `unet.get_unet` builds.
    """
    import keras

    precise = unet.precise_convolutions()

    def clone(layer):
        kind, config = type(layer), layer.get_config()
        last = config.get("activation") == "sigmoid"
        whole = last and variant != "policy"
        whole |= variant == "upward" and kind.__name__ == "Conv2DTranspose"
        if variant != "float32" and not whole:
            config["dtype"] = "mixed_bfloat16"
        if variant == "biases" and not last:
            kind = precise.get(kind.__name__, kind)
        return kind.from_config(config)

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy


def make_batch(folder, rng):
    """Return a batch of random crops of a folder's pairs, and masks, float32 (4, 256, 256, 1)."""
    images, masks = [], []
    paths, _ = training_pairs(folder)
    for place in rng.choice(len(paths), CROPS, replace=len(paths) < CROPS):
        image_path, mask_path = paths[place]
        image, mask = read_image(image_path), read_mask(mask_path)
        top, left = (rng.integers(length - CROP_PX + 1) for length in image.shape)
        window = np.s_[top : top + CROP_PX, left : left + CROP_PX]
        images.append(normalize(image, NATIVE)[window])
        masks.append(mask[window] > 127)
    return tuple(np.stack(part)[..., None].astype(np.float32) for part in (images, masks))


def gradients(network, images, masks, loss, eager):
    """Return the gradient of every weight array, float64."""
    import tensorflow as tf

    def step():
        with tf.GradientTape() as tape:
            value = loss(tf.constant(masks), network(images, training=True))
        return tape.gradient(value, network.trainable_variables)

    found = step() if eager else tf.function(step)()
    return [np.asarray(gradient, np.float64) for gradient in found]


def agreement(gradient, reference):
    """Return (cosine, ratio of lengths) of a gradient and that in float32."""
    length, true = np.linalg.norm(gradient), np.linalg.norm(reference)
    return float((gradient * reference).sum() / max(length * true, 1e-30)), float(length / true)


def array_names():
    """Return a short name for every weight array in order: level, place, kernel or bias."""
    places = [f"down {level}, {i}" for level in (1, 2, 3, 4) for i in (1, 2)]
    places += ["bottom, 1", "bottom, 2"]
    places += [f"up {level}, {i}" for level in (4, 3, 2, 1) for i in ("transposed", 1, 2)]
    return [f"{place}, {what}" for place in [*places, "last"] for what in ("kernel", "bias")]


def step_times(networks, images, masks, rounds):
    """Return {variant: seconds of each step}, in turns, after two steps to warm up."""
    times = {variant: [] for variant in networks}
    for turn in range(rounds + 2):
        for variant, network in networks.items():
            start = time.perf_counter()
            network.train_on_batch(images, masks)
            if turn >= 2:
                times[variant].append(time.perf_counter() - start)
    return times


def report(variant, times, found, reference, everything):
    """Print the times of a variant and its wrong arrays, or all arrays."""
    longest = max(np.linalg.norm(gradient) for gradient in reference)
    rows = []
    for name, gradient, true in zip(array_names(), found, reference, strict=True):
        if np.linalg.norm(true) >= MIN_RELATIVE_LENGTH * longest:
            rows.append((name, *agreement(gradient, true)))
    wrong = [
        row for row in rows if row[1] < MIN_COSINE or not LENGTH_RATIO[0] < row[2] < LENGTH_RATIO[1]
    ]
    seconds = f"{min(times):.2f} s at best, median {np.median(times):.2f} s" if times else ""
    print(f"{variant:8} {seconds}  correct: {len(rows) - len(wrong)} of {len(rows)}")
    for name, cosine, ratio in rows if everything else wrong:
        print(f"    {name:28} cosine {cosine:7.4f}, length {ratio:6.3f}")


def main(argv=None):
    """Compare all variants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bestmyelin.h5")
    parser.add_argument("--initial", help="initialize the weights with this Keras initializer")
    parser.add_argument("--eager", action="store_true", help="without a compiled graph")
    parser.add_argument("--all", action="store_true", help="list every weight array")
    parser.add_argument(
        "--rounds", type=int, default=10, help="steps to time (default 10; 0: none)"
    )
    args = parser.parse_args(argv)

    keras = start_keras()
    keras.utils.set_random_seed(1)
    images, masks = make_batch(args.folder, np.random.default_rng(0))
    network = unet.get_unet(None, None, args.initial or "glorot_uniform")
    if not args.initial:
        network.set_weights(read_model_file(model_path(args.model, reading=True))[0])
    loss = unet.dice_crossentropy_loss
    networks = {}
    found = {}
    for variant in ("float32", "policy", "output", "upward", "biases"):
        networks[variant] = in_precision(network, variant)
        found[variant] = gradients(networks[variant], images, masks, loss, args.eager)
        # Adam does all its work, but the weights stay as they are.
        networks[variant].compile(keras.optimizers.Adam(0.0), loss, run_eagerly=args.eager)
    times = step_times(networks, images, masks, args.rounds) if args.rounds else {}
    for variant in networks:
        report(variant, times.get(variant), found[variant], found["float32"], args.all)


if __name__ == "__main__":
    main()
