"""Compare the suite's resizing with scikit-image's, side by side in one run.

    python benchmarks/resize_speed.py

Prints the median milliseconds of both for frames of the study's size, and the largest difference
in grey levels.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def reference_resize(image, rows, cols):
    """Resize as the original suite did."""
    from skimage.transform import resize

    return resize(
        image, (rows, cols), order=1, mode="constant", anti_aliasing=False, preserve_range=True
    )


def median_ms(function, repeats):
    """Return the median run time of a function in milliseconds, after one run to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def main(argv=None):
    """Print one line per pair of sizes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20, help="runs per figure (default 20)")
    repeats = parser.parse_args(argv).repeats
    from myelin.network.preprocessing import resize

    print(f"{'from':>13} {'to':>13} {'scikit-image':>13} {'OpenCV':>9} {'faster':>7} {'differ':>7}")
    random = np.random.default_rng(0)
    for before, after in (
        ((1040, 1392), (1024, 1024)),
        ((1024, 1024), (1040, 1392)),
        ((4160, 5568), (1024, 1024)),
    ):
        image = random.integers(0, 256, before, dtype=np.uint8)
        slow = median_ms(lambda: reference_resize(image, *after), repeats)  # noqa: B023
        fast = median_ms(lambda: resize(image, *after), repeats)  # noqa: B023
        difference = np.abs(resize(image, *after) - np.rint(reference_resize(image, *after)))
        inner = difference[1:-1, 1:-1]  # enlarged, scikit-image's edges fade to black
        sizes = (f"{rows} x {cols}" for rows, cols in (before, after))
        print(
            "{:>13} {:>13} {:>10.1f} ms {:>6.1f} ms {:>6.1f}x {:>7.0f}".format(
                *sizes, slow, fast, slow / fast, inner.max()
            )
        )


if __name__ == "__main__":
    main()
