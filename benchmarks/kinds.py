"""Accuracy of a model by kind of image, with polarity and scale given: the network alone.

    python benchmarks/kinds.py ../shared/data [MODEL] [--images 374 366A rat2 rat4 g4 b22]

DATA holds folders of pairs x, x_mask, perhaps x_axon (tem, sem, figures), a sparse reference
(sciatic_em: only some of the fibers are outlined) and images with manual counts (optic_nerve). The
scale is that at which the fibers of the reference are 35 px wide. One row per kind: Dice of myelin
and axons, F1 of fibers, density against the reference; the Dice of myelin at 1.4 times that scale
and at 1/1.4. For the sparse reference: fibers found and the Dice within them. For counts: r² and
the mean absolute error; a fiber cut by the image's edge counts half. With --images only files whose
name, or nerve in counts.csv, contains one of the words.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import list_images, training_pairs
from myelin.images.image import read_image, read_mask
from myelin.measure.agreement import compare, overlap
from myelin.measure.fiber_width import FIBER_PX, fiber_scale
from myelin.measure.fibers import measure_fibers
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.segment.scale_groups import Choice
from myelin.segment.tiles import segment

Find = Callable[[np.ndarray, float, bool], np.ndarray]  # image, scale, dark -> mask
WRONG_BY = 1.4  # factor by which the scale is off
SPARSE_MARGIN_PX = 5  # around the outlined fibers of a sparse reference
COUNT_SCALE = 1.7  # rat optic nerve at 0.0637 µm per pixel


def main() -> None:
    """Print a row per kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="?", default="bestmyelin.h5")
    parser.add_argument("--images", nargs="*", default=[""])
    parser.add_argument("--kinds", nargs="*", default=["tem", "sem", "figures", "sciatic", "optic"])
    args = parser.parse_args()
    weights, settings, _ = read_model_file(model_path(args.model, reading=True))
    engine = open_engine(weights, settings)

    def find(image: np.ndarray, scale: float, dark: bool) -> np.ndarray:
        return segment(engine, settings, image, Choice(scale, dark)) >= settings.threshold

    def wanted(name: str) -> bool:
        return any(word in name for word in args.images)

    for kind, dark in (("tem", True), ("sem", False), ("figures", True)):
        if kind in args.kinds:
            pairs = training_pairs(args.data / kind)[0]
            pairs = [pair for pair in pairs if kind == "figures" or wanted(pair[0].stem)]
            axons = list_images(args.data / ("sem_axons" if kind == "sem" else kind))
            rows = [dense_row(*pair, axons, find, dark) for pair in pairs]
            print(f"{kind}, {len(rows)} images: {text(np.nanmean(rows, axis=0))}", flush=True)
    if "sciatic" in args.kinds:
        print(f"sciatic_em: {sparse_row(args.data / 'sciatic_em', find)}", flush=True)
    if "optic" in args.kinds:
        print(f"optic_nerve: {counts_row(args.data / 'optic_nerve', wanted, find)}", flush=True)


def dense_row(
    image_path: Path, mask_path: Path, axons: dict, find: Find, dark: bool
) -> list[float]:
    """Return Dice of myelin and axons, F1, density difference in %, and Dice at wrong scales."""
    image, mask = read_image(image_path), read_mask(mask_path) > 0
    axon = axons.get(f"{image_path.stem}_axon")
    true = measure_fibers(mask, 1.0, None if axon is None else read_mask(axon), image)
    scale = fiber_scale(mask, FIBER_PX)
    found = find(image, scale, dark)
    row = compare(
        image_path.stem, true, measure_fibers(found, 1.0, None, image), (mask, found), "px"
    ).row
    numbers = [row[name] for name in ("myelin_dice", "axon_dice", "f1")]
    numbers.append(row["fiber_density_per_megapixel_difference_percent"])
    wrong = [find(image, scale * factor, dark) for factor in (WRONG_BY, 1 / WRONG_BY)]
    numbers += [overlap(mask, other)[0] for other in wrong]
    return [np.nan if number is None else number for number in numbers]


def text(row: np.ndarray) -> str:
    """Return a dense row as text."""
    return (
        f"myelin {row[0]:.3f}, axon {row[1]:.3f}, F1 {row[2]:.3f}, density {row[3]:+.1f} %; "
        f"myelin at {WRONG_BY} times the scale {row[4]:.3f}, at 1/{WRONG_BY} {row[5]:.3f}"
    )


def sparse_row(folder: Path, find: Find) -> str:
    """Return how many of the outlined fibers are found, and the Dice within them."""
    image_path, mask_path = training_pairs(folder)[0][0]
    image, mask = read_image(image_path), read_mask(mask_path) > 0
    axon = read_mask(folder / f"{image_path.stem}_axon.png") > 0
    found = find(image, fiber_scale(mask, FIBER_PX), True)
    true = measure_fibers(mask, 1.0, axon, image)
    row = compare("sciatic", true, measure_fibers(found, 1.0, None, image), (mask, found), "px").row
    near = cv2.dilate((mask | axon).astype(np.uint8), np.ones((2 * SPARSE_MARGIN_PX + 1,) * 2)) > 0
    dice = overlap(mask, found & near)[0]
    return f"recall {row['recall']:.3f} of {len(true)} fibers, myelin within them {dice:.3f}"


def counts_row(folder: Path, wanted: Callable[[str], bool], find: Find) -> str:
    """Return r² and the mean absolute error of fiber counts against manual ones."""
    with open(folder / "counts.csv", newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if wanted(row["nerve"])]
    manual = np.array([float(row["manual_count"]) for row in rows])
    counts = []
    for row in rows:
        found = find(read_image(folder / f"{row['image']}.png"), COUNT_SCALE, True)
        at_edge = np.array(measure_fibers(found, 1.0).columns["touches_border"], bool)
        counts.append(len(at_edge) - at_edge.sum() / 2)
    r = np.corrcoef(manual, counts)[0, 1]
    error = np.array(counts) - manual
    return (
        f"{len(rows)} images, r² {r**2:.3f}, mean error {np.abs(error).mean():.2f}, "
        f"bias {error.mean():+.2f}"
    )


if __name__ == "__main__":
    main()
