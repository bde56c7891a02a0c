"""Write training masks for images without hand-drawn ones, from a model's own probabilities.

    python models/teacher_masks.py FOLDER --prefix optic_ --myelin dark --scales 1.5 2.1 \\
        --counts counts.csv

The model sees each image at several scales, turned and flipped; averaging removes much of what it
gets wrong in one view. Writes PREFIXx.tif and PREFIXx_mask.tif to raw/train; images on which it is
unsure are left out. With --counts (columns `image`, `manual_count`) fibers that it sees only weakly
are added, or weak ones removed, until the mask comes nearest to the manual count; images that stay
far from it are left out.
"""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import RAW_TRAIN, list_images
from myelin.images.image import read_image, write_image
from myelin.measure.fibers import measure_fibers
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.runtime.cli import Parser, count_of, progress
from myelin.segment.scale_groups import Choice
from myelin.segment.tiles import segment

MIN_CERTAINTY = 0.70  # mean of |2p - 1|; below it half of the outlines are guesses
CUT, STRICTER, SENSITIVE = 0.5, (0.58, 0.65), (0.42, 0.35, 0.28, 0.22, 0.15)
MAX_COUNT_ERROR = (3, 0.15)  # fibers, or this part of the manual count


def mean_probability(find: Callable, image: np.ndarray, scales: list[float]) -> np.ndarray:
    """Return what `find(image, scale)` gives, averaged over scales, each with another turn."""
    total = np.zeros(image.shape, np.float32)
    for number, scale in enumerate(scales):
        turns, step = number + 1, (-1) ** number
        found = find(np.ascontiguousarray(np.rot90(image, turns)[:, ::step]), scale)
        total += np.rot90(found[:, ::step], -turns)
    return total / len(scales)


def count_fibers(myelin: np.ndarray) -> float:
    """Return the number of fibers; those at the image's edge count half."""
    at_edge = np.array(measure_fibers(myelin, 1.0).columns["touches_border"], bool)
    return len(at_edge) - at_edge.sum() / 2


def add_fibers(myelin: np.ndarray, sensitive: np.ndarray) -> np.ndarray:
    """Return a mask with the fibers added whose axons only a more sensitive mask encloses."""
    more = measure_fibers(sensitive, 1.0)
    fibers, axons = more.labels[:], more.axons[:]
    known = axons[measure_fibers(myelin, 1.0).axons[:] > 0]
    sizes = [np.bincount(part, minlength=len(more) + 1) for part in (axons.ravel(), known)]
    new = sizes[1] < sizes[0] / 2
    new[0] = False
    return myelin | (new[fibers] & (axons == 0))


def best_mask(probability: np.ndarray, manual_count: float | None) -> np.ndarray | None:
    """Return the mask, bool (rows, cols); None if the teacher is unsure or far from the count."""
    if np.abs(2 * probability - 1).mean() < MIN_CERTAINTY:
        return None
    masks = [probability >= CUT]
    if manual_count is None:
        return masks[0]
    masks += [probability >= cut for cut in STRICTER]
    masks += [add_fibers(masks[0], probability >= cut) for cut in SENSITIVE]
    errors = [abs(count_fibers(mask) - manual_count) for mask in masks]
    fewest, part = MAX_COUNT_ERROR
    return masks[np.argmin(errors)] if min(errors) <= max(fewest, part * manual_count) else None


def main() -> None:
    """Write the pairs."""
    parser = Parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="pattern of the names to take")
    parser.add_argument("--prefix", default="", help="start of the names of the pairs")
    parser.add_argument("--myelin", choices=("bright", "dark"), required=True)
    parser.add_argument("--scales", type=float, nargs="+", required=True)
    parser.add_argument("--counts", type=Path)
    parser.add_argument("--model", default="bestmyelin.h5", help="the teacher")
    args = parser.parse_args()
    counts = {}
    if args.counts:
        with open(args.counts, newline="", encoding="utf-8-sig") as file:
            counts = {row["image"]: float(row["manual_count"]) for row in csv.DictReader(file)}
    weights, settings, _ = read_model_file(model_path(args.model, reading=True))
    engine = open_engine(weights, settings)

    def find(view: np.ndarray, scale: float) -> np.ndarray:
        return segment(engine, settings, view, Choice(scale, args.myelin == "dark"))

    left_out = []
    paths = [path for path in list_images(args.folder).values() if path.match(args.only)]
    for path in progress(paths, "teacher"):
        image = read_image(path)
        found = mean_probability(find, image, args.scales)
        mask = best_mask(found, counts.get(path.stem))
        if mask is None:
            left_out.append(path.stem)
            continue
        write_image(RAW_TRAIN / f"{args.prefix}{path.stem}.tif", image)
        write_image(RAW_TRAIN / f"{args.prefix}{path.stem}_mask.tif", mask * np.uint8(255))
    print(
        f"{count_of(len(paths) - len(left_out), 'pair')}; left out: {', '.join(left_out) or 'none'}"
    )


if __name__ == "__main__":
    main()
