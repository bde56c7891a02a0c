"""Draw how well each scale serves the images of some folders, and which scales they get.

    python benchmarks/scale_scores.py scores.png ../shared/data/sem ../shared/data/tem

One panel per folder (masks and axons in it are passed over): the scores of every image over the
scales tried, the right way round and the wrong way round, and the scales that the folder gets as a
run of its own. Prints the scale of each image as part of the run and by itself, and what finding
them cost: seconds, and pixels shown to the network as a part of the images' own.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matplotlib.figure import Figure

from myelin.folders.naming import test_images
from myelin.images.image import read_image
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.segment.scale import SCALES, Looker
from myelin.segment.scale_groups import decide


class Counting:
    """An engine that counts the pixels it is shown."""

    def __init__(self, engine):
        self.engine, self.pixels = engine, 0

    def predict(self, frame):
        """Pass a frame on."""
        self.pixels += frame.size
        return self.engine.predict(frame)


def draw(panel, title, looks, scales):
    """Draw the scores of one folder's images."""
    for look in looks:
        panel.plot(SCALES, look.scores[int(look.dark)], color="#0072B2", linewidth=0.8)
        panel.plot(SCALES, look.scores[int(not look.dark)], color="0.75", linewidth=0.6, zorder=0)
    for scale in scales:
        panel.axvline(scale, color="#D55E00", linewidth=1.2)
    panel.set(xscale="log", ylim=(0, 1), title=title, xlabel="scale", ylabel="score")
    panel.set_xticks([0.0625, 0.125, 0.25, 0.5, 1, 2], ["1/16", "1/8", "1/4", "1/2", "1", "2"])


def main():
    """Draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="bestmyelin.h5")
    args = parser.parse_args()
    weights, settings, _ = read_model_file(model_path(args.model, reading=True))
    engine = Counting(open_engine(weights, settings))
    figure = Figure(figsize=(3.2 * len(args.folders), 3), layout="constrained")
    panels = figure.subplots(1, len(args.folders), squeeze=False)[0]
    for panel, folder in zip(panels, args.folders, strict=True):
        paths = test_images(folder)
        images = [read_image(path) for path in paths]
        engine.pixels, start = 0, time.perf_counter()
        choices = decide(engine, settings, images)
        pairs = zip(images, choices, strict=True)
        cost = engine.pixels / sum(image.size * choice.scale**2 for image, choice in pairs)
        print(f"{folder}: {time.perf_counter() - start:.1f} s, {100 * cost:.0f} % of the pixels")
        looks = [Looker(engine, settings, image).look() for image in images]
        for path, choice, look in zip(paths, choices, looks, strict=True):
            way, own = ("dark" if dark else "bright" for dark in (choice.dark, look.dark))
            print(f"  {path.stem:20s} {choice.scale:5.2f} {way:6s} alone {look.own:5.2f} {own}")
        draw(panel, folder.name, looks, {choice.scale for choice in choices})
    figure.savefig(args.out, dpi=150)


if __name__ == "__main__":
    main()
