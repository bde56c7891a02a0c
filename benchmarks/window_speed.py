"""Measure what the window costs on an image of any size: first tile, opening, steps.

    python benchmarks/window_speed.py 6000 --folder /tmp/window

mirrors a bundled image and its mask into a scan of 6000 x 6000 pixels in the folder, and prints
processor time and elapsed time of each action, and the memory used so far. docs/window.md has its
figures.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from myelin.app.server import response_to
from myelin.app.study import Study
from myelin.app.window import Window
from myelin.images.image import read_image, write_image

STEPS = 5


def draw(source, path, side):
    """Write an image of side x side pixels, the mirrored one in another file."""
    part = read_image(source)
    part = np.block([[part, part[:, ::-1]], [part[::-1], part[::-1, ::-1]]])
    scan = np.tile(part, [-(-side // length) for length in part.shape])[:side, :side]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.ascontiguousarray(scan), 0.1)


def timed(what, action):
    """Print the times of an action; return its result."""
    cpu, start = time.process_time(), time.perf_counter()
    result = action()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what}: {cpu:.2f} s of processor time, {wall:.2f} s, {memory:.1f} GiB", flush=True)
    return result


def main():
    """Print a line for each action."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", type=int, help="pixels")
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in")
    args = parser.parse_args()
    pair = REPOSITORY / "raw/test/synthetic_test_01"
    draw(Path(f"{pair}.tif"), args.folder / "raw/test/scan.tif", args.side)
    draw(Path(f"{pair}_mask.tif"), args.folder / "preds/scan_mask.tif", args.side)
    os.chdir(args.folder)
    given = {"id": "scan"}
    timed("thumbnail", lambda: Window(Study()).thumbnail(given))
    window = Window(Study())
    level = {"level": window.size(given)["levels"] - 1, "x": 0, "y": 0, "kind": "image"}
    timed("first tile", lambda: window.tile(given | level))
    view = timed("open", lambda: window.view("scan"))
    print(f"{view['count']} fibers")
    rows = np.linspace(0, int(view["count"]) - STEPS - 2, STEPS + 1).astype(int).tolist()
    for index, row in enumerate(rows):
        step = given | {"tool": "delete", "row": row}
        timed("step" if index else "first step", lambda step=step: response_to(window.step(step)))
    timed("undo", lambda: response_to(window.step(given | {"tool": "undo"})))


if __name__ == "__main__":
    main()
