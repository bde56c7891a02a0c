"""How often small parts of images are taken the wrong way round, each looked at by itself.

    python benchmarks/polarity.py ../shared/data/nerve bright
    python benchmarks/polarity.py ../shared/data/tem dark --sizes 350x350 400x450

Of every image of the folder, --count parts of each size, from places drawn by --seed; those that
are mostly margin are left out. Prints the parts that are taken the wrong way round, with their best
score each way, and how many there were and showed no fibers at any scale.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.folders.naming import list_images
from myelin.images.image import read_image
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.network.quantization import read_scales
from myelin.runtime.files import sha256
from myelin.segment.scale import FIBERS, Looker

MARGIN = 0.6  # of a part that may be of its darkest value


def parts_of(image, sizes, count, rng):
    """Yield the place of each part, as slices, and its pixels."""
    for size in sizes:
        for _ in range(count):
            starts = rng.integers(np.maximum(np.subtract(image.shape, size), 0) + 1)
            place = tuple(map(slice, starts, np.add(starts, size)))
            if (image[place] == image[place].min()).mean() <= MARGIN:
                yield place, image[place]


def main():
    """Print a line for each part taken wrongly, and one for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("myelin", choices=["bright", "dark"])
    parser.add_argument("model", nargs="?", default="bestmyelin.h5")
    parser.add_argument("--sizes", nargs="+", default=["300x400", "400x500", "500x600"])
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    path, rng = model_path(args.model, reading=True), np.random.default_rng(args.seed)
    weights, settings, _ = read_model_file(path)
    engine = open_engine(weights, settings, scales=read_scales(path, sha256(path)))
    sizes = [tuple(map(int, size.split("x"))) for size in args.sizes]
    dark, found = args.myelin == "dark", []
    for name, file in list_images(args.folder).items():
        if name.endswith(("_mask", "_axon")):
            continue
        for place, part in parts_of(read_image(file), sizes, args.count, rng):
            look = Looker(engine, settings, part).look()
            right, wrong = look.scores[int(dark)].max(), look.scores[int(not dark)].max()
            found.append((look.best >= FIBERS, look.dark == dark))
            if found[-1] == (True, False):
                rows, cols = (f"{part.start}:{part.stop}" for part in place)
                print(f"{name} [{rows}, {cols}]: {right:.2f} the right way, {wrong:.2f} the wrong")
    shown, right = np.array(found).T
    print(
        f"{len(found)} parts, {np.count_nonzero(shown & ~right)} the wrong way round, "
        f"{np.count_nonzero(~shown)} without fibers"
    )


if __name__ == "__main__":
    main()
