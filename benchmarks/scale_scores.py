"""Draw the score of each scale for the images of some folders, and the scales chosen for them.

    python benchmarks/scale_scores.py scores.png ../shared/data/sem ../shared/data/tem

One panel per folder: the scores of every image in its polarity (blue) and in the other one (grey),
and the scales chosen if the folder is one run (red). Masks in a folder are skipped. Prints the
scale of each image in that run and by itself, the time, and the pixels computed by the network as a
percentage of those of the images.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from myelin.folders.naming import test_images
from myelin.images.image import read_image
from myelin.network.engine import KerasEngine, OpenVinoEngine, open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.segment.scale import SCALES, ScaleProbe, ScaleScores
from myelin.segment.scale_groups import decide


class PixelCounter:
    """An engine that counts the pixels of its inputs."""

    def __init__(self, engine: OpenVinoEngine | KerasEngine) -> None:
        self.engine = engine
        self.pixels = 0

    def predict(self, frame: np.ndarray) -> np.ndarray:
        """Return the engine's output, float32 (rows, cols)."""
        self.pixels += frame.size
        return self.engine.predict(frame)


def draw(panel: Axes, title: str, probed: list[ScaleScores], chosen: Iterable[float]) -> None:
    """Draw the scores of one folder's images and the chosen scales."""
    for found in probed:
        panel.plot(SCALES, found.scores[int(found.dark)], color="#0072B2", linewidth=0.8)
        panel.plot(SCALES, found.scores[int(not found.dark)], color="0.75", linewidth=0.6, zorder=0)
    for scale in chosen:
        panel.axvline(scale, color="#D55E00", linewidth=1.2)
    panel.set(xscale="log", ylim=(0, 1), title=title, xlabel="scale", ylabel="score")
    panel.set_xticks([0.0625, 0.125, 0.25, 0.5, 1, 2], ["1/16", "1/8", "1/4", "1/2", "1", "2"])


def main() -> None:
    """Draw the panels and print the scales."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="bestmyelin.h5")
    args = parser.parse_args()
    weights, settings, _ = read_model_file(model_path(args.model, reading=True))
    figure = Figure(figsize=(3.2 * len(args.folders), 3), layout="constrained")
    panels = figure.subplots(1, len(args.folders), squeeze=False)[0]
    engine = PixelCounter(open_engine(weights, settings))
    for panel, folder in zip(panels, args.folders, strict=True):
        paths = test_images(folder)
        images = [read_image(path) for path in paths]
        engine.pixels = 0
        start = time.perf_counter()
        choices = decide(engine, settings, images)
        duration = time.perf_counter() - start
        pairs = zip(images, choices, strict=True)
        cost = engine.pixels / sum(image.size * choice.scale**2 for image, choice in pairs)
        print(f"{folder}: {duration:.1f} s, {100 * cost:.0f} % of the pixels")
        probed = [ScaleProbe(engine, settings, image).score_scales() for image in images]
        for path, choice, found in zip(paths, choices, probed, strict=True):
            in_run = f"{choice.scale:5.2f} {'dark' if choice.dark else 'bright':6s}"
            alone = f"{found.preferred_scale:5.2f} {'dark' if found.dark else 'bright'}"
            print(f"  {path.stem:20s} {in_run} alone {alone}")
        draw(panel, folder.name, probed, {choice.scale for choice in choices})
    figure.savefig(args.out, dpi=150)


if __name__ == "__main__":
    main()
