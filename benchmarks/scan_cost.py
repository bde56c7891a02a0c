"""Measure what a scan costs: processor time and memory of each command, on Linux or macOS.

    python benchmarks/scan_cost.py 5000 --folder /tmp/scan

draws a scan of 5000 x 5000 pixels by mirroring a bundled image, a tiled BigTIFF, packs, segments
and measures it in the folder. docs/scaling.md has its figures; 20,000 takes about 10 minutes.
With --count 12 it draws 12 scans, each from another place. One of 96 x 96 pixels costs little but
the start of each command.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from tifffile import imwrite

REPOSITORY = Path(__file__).resolve().parent.parent
COMMANDS = (
    ["data.py"],
    ["find_myelin.py"],
    ["morphometry.py", "--pixel-size", "0.1", "--no-pictures"],
    ["morphometry.py", "--pixel-size", "0.1", "--out", "pictures"],
)


def draw(path, side, first):
    """Write a scan of side x side pixels, which begins at an offset in the pattern."""
    sys.path.insert(0, str(REPOSITORY))
    from myelin.images.image import read_image

    part = read_image(REPOSITORY / "raw/test/synthetic_test_01.tif")
    part = np.block([[part, part[:, ::-1]], [part[::-1], part[::-1, ::-1]]])
    part = np.roll(part, (-first, -first), axis=(0, 1))
    scan = np.tile(part, [-(-side // length) for length in part.shape])[:side, :side]
    imwrite(path, scan, tile=(512, 512), bigtiff=True, compression="zlib")


def run(command):
    """Run a command; return processor time in s, memory in GiB, and time in s."""
    start = time.perf_counter()
    process = os.spawnv(
        os.P_NOWAIT, sys.executable, [sys.executable, str(REPOSITORY / command[0]), *command[1:]]
    )
    _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(f"{command[0]}: failed")
    unit = 2**30 if sys.platform == "darwin" else 2**20
    seconds = used.ru_utime + used.ru_stime
    return seconds, used.ru_maxrss / unit, time.perf_counter() - start


def main():
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", type=int, help="pixels")
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in")
    parser.add_argument("--count", type=int, default=1, help="number of scans (default: 1)")
    parser.add_argument("--no-pictures", action="store_true", help="leave the last command out")
    args = parser.parse_args()
    (args.folder / "raw/test").mkdir(parents=True)
    for index in range(args.count):
        draw(args.folder / f"raw/test/scan_{index}.tif", args.side, 37 * index)
    os.chdir(args.folder)
    megapixels = args.count * args.side**2 / 1e6
    for command in COMMANDS[: len(COMMANDS) - args.no_pictures]:
        cpu, memory, wall = run(command)
        print(
            f"{' '.join(command)}: {cpu:.1f} s of processor time, {cpu / megapixels:.3f} s "
            f"a megapixel, {memory:.2f} GiB, {wall:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
