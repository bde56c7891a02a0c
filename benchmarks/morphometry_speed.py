"""Time morphometry: tables and label images, without overlays and plots.

    python benchmarks/morphometry_speed.py mask.png [axon.png]   (default: rat5_14, ../shared/data)
    python benchmarks/morphometry_speed.py --large      10,000 x 10,000 pixels, 50,000 fibers

The first prints wall and processor time of the best of five runs in one process (measuring, and
writing table and label images), from the myelin mask alone and from both masks; AxonDeepSeg 5.5,
which always has both, took 13.8 s for rat5_14. The second also shows how
time grows with the number of fibers, and the largest memory of the process.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from myelin.images.image import read_mask
from myelin.measure.fibers import measure_fibers, write_fibers

DATA = ROOT.parent / "shared" / "data"
MASK, AXON = DATA / "sem" / "rat5_14_mask.png", DATA / "sem_axons" / "rat5_14_axon.png"
PIXEL_SIZE_UM = 0.13
PUBLISHED_S = 13.8
RUNS = 5
SPACING_PX = 44  # 227 x 227 fibers on 10,000 x 10,000 pixels


def clock(work):
    """Return wall and processor time of a call, s, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def grid(side, rng):
    """Return a mask of side x side pixels with a fiber every `SPACING_PX`, some of which touch."""
    myelin = np.zeros((side, side), np.uint8)
    for y in range(SPACING_PX // 2, side, SPACING_PX):
        for x in range(SPACING_PX // 2, side, SPACING_PX):
            outer = int(rng.integers(12, SPACING_PX // 2 + 2))
            cv2.circle(myelin, (x, y), outer, 1, -1)
    for y in range(SPACING_PX // 2, side, SPACING_PX):
        for x in range(SPACING_PX // 2, side, SPACING_PX):
            cv2.circle(myelin, (x, y), int(rng.integers(6, 11)), 0, -1)
    return myelin > 0


def peak_gib():
    """Return the largest memory of this process so far, GiB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def main():
    """Print the times of one image, or of masks of growing size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mask", nargs="?", type=Path, default=MASK)
    parser.add_argument("axon", nargs="?", type=Path)
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.large:
            for side in (2500, 5000, 10000):
                mask = grid(side, np.random.default_rng(1))
                wall, cpu, fibers = clock(lambda mask=mask: measure_fibers(mask, 0.1))
                more, cpu_more, _ = clock(lambda f=fibers: write_fibers(Path(folder), "x", f))
                print(
                    f"{side:6} px, {len(fibers):6} fibers: {wall:6.2f} s + {more:5.2f} s to write, "
                    f"processor {cpu + cpu_more:6.2f} s, "
                    f"{1e6 * (cpu + cpu_more) / len(fibers):.0f} µs per fiber, "
                    f"peak {peak_gib() or 0:.1f} GiB"
                )
            return
        axon = AXON if args.mask == MASK else args.axon
        for name in ("myelin alone", "both masks") if axon else ("myelin alone",):
            best_of_runs(args.mask, axon if name == "both masks" else None, name, Path(folder))


def best_of_runs(mask_path, axon_path, name, folder):
    """Measure one image several times and print the best run."""
    mask, axon = read_mask(mask_path), read_mask(axon_path) if axon_path else None
    runs = []
    for _ in range(RUNS):
        wall, cpu, fibers = clock(lambda: measure_fibers(mask, PIXEL_SIZE_UM, axon))
        more, cpu_more, _ = clock(lambda f=fibers: write_fibers(folder, "x", f))
        runs.append((wall + more, cpu + cpu_more, wall, more))
    total, cpu, measure, write = min(runs)
    print(
        f"{mask_path.name}, {name}: {len(fibers)} fibers on {mask.shape[0]} x {mask.shape[1]} "
        f"pixels; first run, with imports, {runs[0][0]:.2f} s; best of {RUNS} {total:.2f} s "
        f"({measure:.2f} measure, {write:.2f} write), processor {cpu:.2f} s: "
        f"{PUBLISHED_S / total:.0f} times faster than AxonDeepSeg 5.5"
    )


if __name__ == "__main__":
    main()
