"""Fit models/doubt.csv: which measures of a fiber tell that it is wrong.

    python models/train_doubt.py ../shared/data [MODEL]

DATA is as for benchmarks/kinds.py. The images of its folders tem, sem, figures and sciatic_em, and
synthetic ones, are segmented as they are, blurred, noisy, at wrong scales and with wrong
thresholds, since the network was trained on some of them and errs too little there. A fiber is
wrong if it matches none of the reference at IoU 0.5; where the reference is sparse (sciatic_em),
only fibers on it are judged. Printed for each kind, rated by weights fitted to the other kinds:
fibers, wrong ones, and of the doubtful ones and of the 30 most doubtful per image, how many are
wrong; before, for the limits of version 1.1.0 and then the lowest confidence.
"""

import argparse
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
from myelin.network.quantization import read_scales
from myelin.runtime.tables import write_table
from myelin.segment.scale_groups import Choice
from myelin.segment.tiles import segment
from myelin.synthetic.nerve import draw_nerve

MAX_PX = 450_000  # of an image at network scale; the middle of a larger one
FOLDERS = {"tem": True, "sem": False, "figures": True, "sciatic_em": True}  # is myelin dark?
DRAWINGS = [("light", 0.12)] * 3 + [("light", 0.18)] * 2 + [("electron", 0.1)] * 2
DRAWINGS += [("stained", 0.18), ("stained", 0.28), ("stained", 0.18)] + [("osmium", 0.15)] * 2
DRAWINGS += [("cars", 0.14)] * 2 + [("transmission", 0.07)] * 2
RATINGS = {
    "probability": ("faint", "filled", "uneven", "notch", "irregular", "thinnest"),
    "shape": ("notch", "thinnest", "small", "thick"),
}
SCENES = (("diseased", "vessel", "fat"), "vessel perineurium blood mast debris cracks".split())
WRONG_THRESHOLDS = (0.3, 0.75)
PENALTY = 5.0  # of squared weights
LISTED = 30  # most doubtful fibers of an image


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
            window = slice(top, top + side), slice(left, left + side)
            yield kind, image[window], mask[window], axon[window], dark, scale
    for number, (look, size_um) in enumerate(DRAWINGS):
        rng, scenes = np.random.default_rng([77, number]), SCENES[number % 2]
        image, mask, _ = draw_nerve(600, 600, size_um, rng, "mixed", look, scenes)
        dark = bool(np.median(image[mask]) < np.median(image[~mask]))
        yield f"synthetic, {look}", image, mask, None, dark, fiber_scale(mask, FIBER_PX)


def degraded(image: np.ndarray, scale: float) -> Iterator[tuple[np.ndarray, float]]:
    """Yield an image as it is and degraded, each with a factor of its scale."""
    rng = np.random.default_rng(1)
    yield from ((image, factor) for factor in (1.0, 0.7, 1.4))
    blurred = cv2.GaussianBlur(image, (0, 0), 2 / scale) + rng.normal(0, 12, image.shape)
    noisy = 0.6 * image + 40 + rng.normal(0, 35, image.shape)
    yield from ((np.clip(part, 0, 255).astype(np.uint8), 1.0) for part in (blurred, noisy))


def judge(kind: str, true: Fibers, found: Fibers, probability: np.ndarray) -> dict:
    """Return kind, measures, and which fibers are wrong, of one segmentation."""
    wrong, judged = np.ones(len(found), bool), np.ones(len(found), bool)
    wrong[match_fibers(true.labels, found.labels)[0][:, 1] - 1] = False
    if kind == "sciatic_em":
        covered = found.labels.sums(true.labels.to_mask(), len(found))
        judged = covered > 0.1 * found.labels.areas(len(found))
    columns, axon = found.columns, found.columns["axon_diameter_um"]
    lower, upper = np.percentile(axon, [25, 75]) if len(axon) else (0, 0)
    before = (columns["confidence"] < 0.6) | (columns["axon_solidity"] < 0.7)
    before |= (columns["axon_circularity"] < 0.3) | (abs(columns["g_ratio"] - 0.575) > 0.375)
    before |= axon > upper + 3 * (upper - lower)
    before = before + (1 - np.nan_to_num(columns["confidence"])) / 2
    measures = doubt_measures(found, probability) | {"wrong": wrong, "before": before}
    return {"kind": kind} | {name: values[judged] for name, values in measures.items()}


def segmentations(data: Path, model: Path) -> Iterator[dict]:
    """Yield every image in each of its segmentations, as `judge` returns it."""
    weights, settings, hashed = read_model_file(model)
    engine = open_engine(weights, settings, scales=read_scales(model, hashed))
    for kind, original, mask, axon, dark, scale in images(data):
        true = measure_fibers(mask, 1.0, axon, original)
        for number, (image, factor) in enumerate(degraded(original, scale)):
            p = segment(engine, settings, image, Choice(scale * factor, dark))
            eight_bit = np.rint(255 * p).astype(np.uint8)
            for threshold in (settings.threshold, *(WRONG_THRESHOLDS if number == 0 else ())):
                found = measure_fibers(p >= threshold, 1.0, None, image, eight_bit)
                yield judge(kind, true, found, eight_bit)


def fit(judged: list[dict], names: tuple[str, ...]) -> Weights:
    """Return mean, standard deviation and weight of each measure, by Newton's method.

    A kind of n fibers has the weight √n; squared weights are penalised.
    """
    x = np.concatenate([np.stack([one[name] for name in names], axis=1) for one in judged])
    wrong = np.concatenate([one["wrong"] for one in judged])
    kind = np.concatenate([np.full(len(one["wrong"]), one["kind"]) for one in judged])
    _, place, sizes = np.unique(kind, return_inverse=True, return_counts=True)
    share = sizes[place] ** -0.5 / np.mean(sizes[place] ** -0.5)
    mean, sd = x.mean(axis=0), x.std(axis=0)
    x = np.insert(np.clip((x - mean) / sd, -MAX_DEVIATION, MAX_DEVIATION), 0, 1, axis=1)
    penalty, weight = np.diag([0, *[PENALTY] * len(names)]), np.zeros(x.shape[1])
    for _ in range(10):
        p = 1 / (1 + np.exp(-x @ weight))
        curvature = (x * (share * p * (1 - p))[:, None]).T @ x + penalty
        weight -= np.linalg.solve(curvature, x.T @ (share * (p - wrong)) + penalty @ weight)
    rows = zip(("intercept", *names), (0, *mean), (1, *sd), weight, strict=True)
    return {name: tuple(map(float, row)) for name, *row in rows}


def found_wrong(own: list[dict], doubts: list[np.ndarray], limit: float) -> str:
    """Return wrong / all of the fibers above a limit, and of the first 30 of each image."""
    over = [one["wrong"][doubt > limit] for one, doubt in zip(own, doubts, strict=True)]
    orders = [np.argsort(-doubt, kind="stable")[:LISTED] for doubt in doubts]
    first = [one["wrong"][order] for one, order in zip(own, orders, strict=True)]
    return ", ".join(f"{sum(map(sum, part))}/{sum(map(len, part))}" for part in (over, first))


def report(judged: list[dict]) -> None:
    """Print a row for each kind, judged by weights of the others; synthetic ones count as one."""
    print("kind; fibers, wrong; wrong / all by limits and listed: before; by probability; by shape")
    for kind in dict.fromkeys(one["kind"] for one in judged):
        own = [one for one in judged if one["kind"] == kind]
        others = [one for one in judged if one["kind"].split(",")[0] != kind.split(",")[0]]
        wrong = np.concatenate([one["wrong"] for one in own])
        texts = [kind, f"{len(wrong)}, {wrong.sum()}"]
        texts.append(found_wrong(own, [one["before"] for one in own], 0.75))
        for names in RATINGS.values():
            fitted = fit(others, names)
            texts.append(found_wrong(own, [rate(one, fitted)[0] for one in own], DOUBTFUL))
        print("; ".join(texts), flush=True)


def main() -> None:
    """Segment, fit, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="?", default="bestmyelin.h5")
    args = parser.parse_args()
    judged = list(segmentations(args.data, model_path(args.model, reading=True)))
    report(judged)
    rows = [
        [rating, measure, *numbers]
        for rating, names in RATINGS.items()
        for measure, numbers in fit(judged, names).items()
    ]
    write_table(TABLE, ["rating", "measure", "mean", "sd", "weight"], rows)


if __name__ == "__main__":
    main()
