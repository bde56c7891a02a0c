"""Count small parts of images whose polarity is found wrongly, each part by itself.

    python benchmarks/polarity.py ../shared/data/nerve bright
    python benchmarks/polarity.py ../shared/data/tem dark --sizes 350x350 400x450

Takes --count parts of each size from random places (--seed) of every image in the folder, without
those that are mostly margin. Prints every part with the wrong polarity and its best score in both
polarities, then the number of such parts and of parts without fibers.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import list_images
from myelin.images.image import read_image
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.network.quantization import read_scales
from myelin.runtime.files import sha256
from myelin.segment.scale import MIN_FIBER_SCORE, ScaleProbe

MAX_MARGIN = 0.6  # of a part, as the fraction of pixels with its darkest value


def random_parts(
    image: np.ndarray, sizes: list[tuple[int, int]], count: int, rng: np.random.Generator
) -> Iterator[tuple[slice, slice]]:
    """Yield the places of `count` parts of each size, without those that are mostly margin."""
    for size in sizes:
        for _ in range(count):
            starts = rng.integers(np.maximum(np.subtract(image.shape, size), 0) + 1)
            place = tuple(map(slice, starts, np.add(starts, size)))
            if (image[place] == image[place].min()).mean() <= MAX_MARGIN:
                yield place


def main() -> None:
    """Print a line for each part with the wrong polarity, and the totals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("myelin", choices=["bright", "dark"], help="the right polarity")
    parser.add_argument("model", nargs="?", default="bestmyelin.h5")
    parser.add_argument("--sizes", nargs="+", default=["300x400", "400x500", "500x600"])
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    path = model_path(args.model, reading=True)
    weights, settings, _ = read_model_file(path)
    engine = open_engine(weights, settings, scales=read_scales(path, sha256(path)))
    rng = np.random.default_rng(args.seed)
    sizes = [tuple(map(int, size.split("x"))) for size in args.sizes]
    dark = args.myelin == "dark"
    parts = wrong = empty = 0
    for name, file in list_images(args.folder).items():
        if name.endswith(("_mask", "_axon")):
            continue
        image = read_image(file)
        for place in random_parts(image, sizes, args.count, rng):
            parts += 1
            found = ScaleProbe(engine, settings, image[place]).score_scales()
            if found.best < MIN_FIBER_SCORE:
                empty += 1
            elif found.dark != dark:
                wrong += 1
                rows, cols = (f"{part.start}:{part.stop}" for part in place)
                best = found.scores.max(axis=1)
                print(f"{name} [{rows}, {cols}]: bright {best[0]:.2f}, dark {best[1]:.2f}")
    print(f"parts: {parts}, wrong polarity: {wrong}, without fibers: {empty}")


if __name__ == "__main__":
    main()
