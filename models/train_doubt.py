"""Fit models/doubt.csv: which measures of a fiber tell that it is wrong.

    python models/train_doubt.py ../shared/data [MODEL]

The images in the folders tem, sem, figures and sciatic_em of DATA, and synthetic ones, are
segmented as they are and degraded, as the network errs too little on those that it was trained on.
A fiber is wrong if it matches none of the reference at IoU 0.5; where that is sparse (sciatic_em),
fibers beside it are left out. Printed for each kind, with weights of the other kinds: wrong / all
doubtful fibers, and the 30 most doubtful of each image. It takes 4 minutes of processor time.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import list_images, training_pairs
from myelin.images.image import read_image, read_mask
from myelin.measure.agreement import match_fibers
from myelin.measure.doubt import MAX_DEVIATION, TABLE, Weights, doubt_measures, rate
from myelin.measure.exclude import DOUBTFUL
from myelin.measure.fiber_width import FIBER_PX, fiber_scale
from myelin.measure.fibers import Fibers, measure_fibers
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.runtime.cli import Parser
from myelin.runtime.tables import write_table
from myelin.segment.scale_groups import Choice
from myelin.segment.tiles import segment
from myelin.synthetic.nerve import draw_nerve

MAX_PX = 450_000  # of an image at network scale; the middle of a larger one
FOLDERS = {"tem": True, "sem": False, "figures": True, "sciatic_em": True}  # is myelin dark?
DRAWINGS = [("light", 0.12)] * 3 + [("light", 0.18)] * 2 + [("electron", 0.1)] * 2
DRAWINGS += [("stained", 0.18), ("stained", 0.28), ("stained", 0.18)] + [("osmium", 0.15)] * 2
DRAWINGS += [("cars", 0.14)] * 2 + [("transmission", 0.07)] * 2
RATINGS = {"probability": ("faint", "filled", "uneven", "notch", "irregular", "thinnest")}
RATINGS["shape"] = ("notch", "thinnest", "small", "thick")
SCENES = (("diseased", "vessel", "fat"), "vessel perineurium blood mast debris cracks".split())
WRONG_THRESHOLDS = (0.3, 0.75)
PENALTY = 5.0  # of squared weights
LISTED = 30


def images(data: Path) -> Iterator[tuple]:
    """Yield kind, image, myelin and axon mask, dark, and scale of every image."""
    for kind, dark in FOLDERS.items():
        axons = list_images(data / ("sem_axons" if kind == "sem" else kind))
        for image_path, mask_path in training_pairs(data / kind)[0]:
            image, mask = read_image(image_path), read_mask(mask_path) > 0
            axon = read_mask(axons[f"{image_path.stem}_axon"]) > 0
            scale = fiber_scale(mask, FIBER_PX)
            side = int(MAX_PX**0.5 / scale)
            top, left = (max((length - side) // 2, 0) for length in image.shape)
            parts = (x[top : top + side, left : left + side] for x in (image, mask, axon))
            yield kind, *parts, dark, scale
    for number, (look, size_um) in enumerate(DRAWINGS):
        rng = np.random.default_rng([77, number])
        image, mask, _ = draw_nerve(600, 600, size_um, rng, "mixed", look, SCENES[number % 2])
        dark = bool(np.median(image[mask]) < np.median(image[~mask]))
        yield f"synthetic, {look}", image, mask, None, dark, fiber_scale(mask, FIBER_PX)


def degraded(image: np.ndarray, scale: float) -> Iterator[tuple[np.ndarray, float]]:
    """Yield an image as it is and degraded, each with a factor of its scale."""
    rng = np.random.default_rng(1)
    blurred = cv2.GaussianBlur(image, (0, 0), 2 / scale) + rng.normal(0, 12, image.shape)
    noisy = 0.6 * image + 40 + rng.normal(0, 35, image.shape)
    yield from ((image, factor) for factor in (1.0, 0.7, 1.4))
    yield from ((np.clip(part, 0, 255).astype(np.uint8), 1.0) for part in (blurred, noisy))


def judge(kind: str, true: Fibers, found: Fibers, probability: np.ndarray) -> dict:
    """Return kind, measures, and which fibers are wrong, of one segmentation."""
    wrong, judged = np.ones(len(found), bool), np.ones(len(found), bool)
    wrong[match_fibers(true.labels, found.labels)[0][:, 1] - 1] = False
    if kind == "sciatic_em":
        judged = found.labels.sums(true.labels.to_mask(), len(found)) > 0.1 * found.labels.areas()
    measures = doubt_measures(found, probability) | {"wrong": wrong}
    return {"kind": kind} | {name: values[judged] for name, values in measures.items()}


def segmentations(data: Path, model: Path) -> Iterator[dict]:
    """Yield every image in each of its segmentations, as `judge` returns it."""
    weights, settings, _ = read_model_file(model)
    engine = open_engine(weights, settings)
    for kind, original, mask, axon, dark, scale in images(data):
        true = measure_fibers(mask, 1.0, axon, original)
        for number, (image, factor) in enumerate(degraded(original, scale)):
            p = segment(engine, settings, image, Choice(scale * factor, dark))
            eight_bit = np.rint(255 * p).astype(np.uint8)
            for threshold in (settings.threshold, *(WRONG_THRESHOLDS if number == 0 else ())):
                found = measure_fibers(p >= threshold, 1.0, None, image, eight_bit)
                yield judge(kind, true, found, eight_bit)


def fit(judged: list[dict], names: tuple[str, ...]) -> Weights:
    """Return mean, standard deviation and weight of each measure; n fibers of a kind count √n."""
    *x, wrong = (np.concatenate([one[name] for one in judged]) for name in (*names, "wrong"))
    x = np.stack(x, axis=1)
    kind = np.concatenate([np.full(len(one["wrong"]), one["kind"]) for one in judged])
    _, place, sizes = np.unique(kind, return_inverse=True, return_counts=True)
    share = sizes[place] ** -0.5 / np.mean(sizes[place] ** -0.5)
    mean, sd = x.mean(axis=0), x.std(axis=0)
    x = np.insert(np.clip((x - mean) / sd, -MAX_DEVIATION, MAX_DEVIATION), 0, 1, axis=1)
    penalty, weight = PENALTY * np.diag([0, *[1] * len(names)]), np.zeros(x.shape[1])
    for _ in range(10):
        p = 1 / (1 + np.exp(-x @ weight))
        slope = x.T @ (share * (p - wrong)) + penalty @ weight
        weight -= np.linalg.solve((x.T * (share * p * (1 - p))) @ x + penalty, slope)
    rows = zip(("intercept", *names), (0, *mean), (1, *sd), weight, strict=True)
    return {name: tuple(map(float, row)) for name, *row in rows}


def report(judged: list[dict]) -> None:
    """Print a row for each kind, judged by weights of the others; synthetic ones count as one."""
    print("wrong / all: fibers; by probability: doubtful, listed; by shape: doubtful, listed")
    for kind in dict.fromkeys(one["kind"] for one in judged):
        own = [one for one in judged if one["kind"] == kind]
        others = [one for one in judged if one["kind"].split(",")[0] != kind.split(",")[0]]
        parts = [[one["wrong"] for one in own]]
        for names in RATINGS.values():
            fitted = fit(others, names)
            pairs = [(one["wrong"], rate(one, fitted)[0]) for one in own]
            parts.append([wrong[doubt > DOUBTFUL] for wrong, doubt in pairs])
            parts.append([wrong[np.argsort(-doubt)[:LISTED]] for wrong, doubt in pairs])
        print(kind, *(f"{sum(map(sum, part))} / {sum(map(len, part))}" for part in parts), sep="; ")


def main() -> None:
    """Segment, fit, print and write the table."""
    parser = Parser(__doc__)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("model", nargs="?", default="bestmyelin.h5", metavar="MODEL")
    args = parser.parse_args()
    judged, rows = list(segmentations(args.data, model_path(args.model, reading=True))), []
    report(judged)
    for rating, names in RATINGS.items():
        rows += [[rating, name, *numbers] for name, numbers in fit(judged, names).items()]
    write_table(TABLE, ["rating", "measure", "mean", "sd", "weight"], rows)


if __name__ == "__main__":
    main()
