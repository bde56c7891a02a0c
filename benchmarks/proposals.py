"""How many proposed classes are right on synthetic nerves and on clusters of known fibers.

python benchmarks/proposals.py
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from myelin.measure.doubt import add_doubt
from myelin.measure.fibers import measure_fibers
from myelin.statistics.proposals import Candidates, propose_classes
from myelin.synthetic.nerve import draw_nerve

SHAPE, PIXEL_SIZE_UM, SUBPIXEL_BITS = (1040, 1392), 0.1, 4
Scene = tuple[np.ndarray, np.ndarray, np.ndarray]  # mask, centres (n, 2), kind of each fiber


def nerves(scenes: tuple[str, ...], seeds: range) -> Iterator[Scene]:
    """Yield synthetic nerves."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        _, mask, fibers = draw_nerve(*SHAPE, PIXEL_SIZE_UM, rng, scenes=scenes)
        yield mask, np.stack([fibers["x_px"], fibers["y_px"]], axis=1), fibers["kind"]


def clusters(count: int) -> Iterator[Scene]:
    """Yield discs, in pairs of ordinary fibers and in `count` rings of three to six thin ones."""
    for seed in range(10):
        rng, fibers = np.random.default_rng(seed), []
        spots = [(x, y) for y in range(80, 1000, 160) for x in range(90, 1340, 170)]
        chosen = set(rng.choice(len(spots), count, replace=False).tolist())
        for index, (x, y) in enumerate(spots):
            if index in chosen:
                members, size, gap = rng.integers(3, 7), rng.uniform(2, 3.2), rng.uniform(0.2, 0.8)
                radius = (size + gap) / PIXEL_SIZE_UM / 2 / np.sin(np.pi / members)
                for turn in 2 * np.pi * np.arange(members) / members:
                    place = x + radius * np.cos(turn), y + radius * np.sin(turn)
                    size_um, g = size * rng.uniform(0.92, 1), rng.normal(0.74, 0.04)
                    fibers.append((*place, size_um, np.clip(g, 0.5, 0.85), "cluster"))
            else:
                for side in (-40, 40):
                    size_um = min(rng.lognormal(np.log(5.5), 0.4), 7.6)
                    place = x + side, y + rng.uniform(-30, 30)
                    g = np.clip(0.47 + 0.03 * size_um + rng.normal(0, 0.06), 0.3, 0.85)
                    fibers.append((*place, size_um, g, "healthy"))
        mask = np.zeros(SHAPE, np.uint8)
        for value in (255, 0):
            for x, y, size_um, g, _ in fibers:
                radius = size_um * (1 if value else g) / 2 / PIXEL_SIZE_UM
                numbers = [int(n * 2**SUBPIXEL_BITS) for n in (x, y, radius)]
                cv2.circle(mask, numbers[:2], numbers[2], value, -1, cv2.LINE_8, SUBPIXEL_BITS)
        yield mask > 0, np.array([f[:2] for f in fibers]), np.array([f[4] for f in fibers])


def report(name: str, scenes: Iterator[Scene]) -> None:
    """Print how many fibers of each kind get which class."""
    images, kinds = [], {}
    for number, (mask, centres, kind) in enumerate(scenes):
        fibers = measure_fibers(mask, PIXEL_SIZE_UM)
        add_doubt(fibers, None)
        image = Candidates.of(str(number), "", fibers)
        images.append(image)
        places = np.stack([image.columns[name] for name in ("fiber", "x_px", "y_px")], axis=1)
        for fiber, *place in places.tolist():
            kinds[image.image, int(fiber)] = str(kind[np.hypot(*(centres - place).T).argmin()])
    proposed = Counter(
        f"{kinds[row['image'], row['fiber']]} as {row['class']}" for row in propose_classes(images)
    )
    print(f"{name}: fibers {dict(Counter(kinds.values()))}, proposed {dict(proposed)}")


def main() -> None:
    """Print the table of docs/study.md."""
    report("diseased", nerves(("diseased",), range(101, 109)))
    report("healthy", nerves((), range(100, 108)))
    report("few clusters", clusters(4))
    report("many clusters", clusters(12))


if __name__ == "__main__":
    main()
