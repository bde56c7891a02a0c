"""Compare int8 masks of real images with float32 masks, by their Dice coefficient.

    python benchmarks/eight_bit_masks.py ../shared/data/nerve ../shared/data/sem ../shared/data/tem

The images of each folder are segmented unchanged, at half their size, and inverted at half their
size, in both precisions at the scale and polarity that float32 finds. Prints the lowest Dice with
its image, the median, and for how many images int8 finds another scale or polarity.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from myelin.folders.naming import test_images
from myelin.images.image import read_image
from myelin.network.engine import OpenVinoEngine
from myelin.network.model_file import model_path, read_model_file
from myelin.network.quantization import read_scales
from myelin.runtime.files import sha256
from myelin.segment.scale_groups import decide
from myelin.segment.tiles import segment


def halved(image):
    """Return an image at half its size."""
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


FORMS = {"unchanged": lambda x: x, "half": halved, "half, inverted": lambda x: 255 - halved(x)}


def compare(engines, settings, images):
    """Return the Dice of each image, and how many get another scale or polarity in int8.

    Parameters
    ----------
    engines : (OpenVinoEngine, OpenVinoEngine)
        In float32 and in int8.
    settings : preprocessing.Preprocessing
    images : list of uint8 arrays, (rows, cols)
    """
    choices, others = (decide(engine, settings, images) for engine in engines)
    changed = sum(
        (one.scale, one.dark, one.has_fibers) != (other.scale, other.dark, other.has_fibers)
        for one, other in zip(choices, others, strict=True)
    )
    dice = []
    for image, choice in zip(images, choices, strict=True):
        first, second = (
            segment(engine, settings, image, choice) >= settings.threshold for engine in engines
        )
        total = first.sum() + second.sum()
        dice.append(2 * (first & second).sum() / total if total else 1.0)
    return dice, changed


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="bestmyelin.h5")
    args = parser.parse_args()
    model = model_path(args.model, reading=True)
    weights, settings, _ = read_model_file(model)
    scales = read_scales(model, sha256(model))
    engines = (OpenVinoEngine(weights, "float32"), OpenVinoEngine(weights, "int8", scales))
    for folder in args.folders:
        paths = list(test_images(folder).values())
        images = [read_image(path) for path in paths]
        for form, change in FORMS.items():
            dice, changed = compare(engines, settings, [change(image) for image in images])
            print(
                f"{folder.name:8s} {form:15s} {len(dice):3d} images: lowest {min(dice):.4f} "
                f"({paths[int(np.argmin(dice))].stem}), median {np.median(dice):.4f}, "
                f"other scale or polarity: {changed}",
                flush=True,
            )


if __name__ == "__main__":
    main()
