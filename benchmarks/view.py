"""How often the view finds polarity and scale, kind by kind, and what it costs.

    python benchmarks/view.py docs/scales.png ../shared/data/sem ../shared/data/tem

Each folder holds images of one kind with masks, `x.png` and `x_mask.png`; the median width of the
fibers of a mask is the truth. Prints how many images, each alone, get the right polarity and a
scale within a factor of 1.8: as they are, inverted, twice and three times as large, half as large.
Then the photographs of scikit-image that are said to show fibers, and the share of the time of a
run that finding polarity and scale takes. The picture has one panel per folder: the weight of the
votes over the scales that they are for.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matplotlib.figure import Figure

from myelin.folders.naming import list_images
from myelin.images.image import read_image, read_mask
from myelin.measure.fiber_width import FIBER_PX, fiber_width
from myelin.network.engine import open_engine
from myelin.network.model_file import model_path, read_model_file
from myelin.network.quantization import read_scales
from myelin.network.view import VIEW, open_view
from myelin.runtime.files import sha256
from myelin.segment.scale_groups import decide
from myelin.segment.tiles import segment
from myelin.segment.votes import SCALES, collect_votes

WITHIN = 1.8  # factor
SIDE = 1000  # px; larger images are cut, so that three times as large fits memory
CHANGES = {
    "as it is": lambda image: image,
    "inverted": lambda image: 255 - image,
    "x 2": lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "x 3": lambda image: cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC),
    "/ 2": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
}
FACTORS = {"x 2": 2, "x 3": 3, "/ 2": 0.5}
PHOTOGRAPHS = "brick camera cell coffee coins grass gravel ihc moon page retina text"


def pairs(folder, most):
    """Return up to `most` images of a folder, spread evenly, {name: (image, dark, octave)}.

    `dark` says whether myelin is dark, `octave` is log2 of the scale that the mask asks for.
    """
    files, found = list_images(folder), {}
    names = [name for name in files if f"{name}_mask" in files]
    for name in names[:: max(len(names) // most, 1)][:most]:
        part = np.s_[:SIDE, :SIDE]
        image, myelin = read_image(files[name])[part], read_mask(files[f"{name}_mask"])[part] > 0
        width = fiber_width(myelin)
        if width:
            dark = bool(np.median(image[myelin]) < np.median(image[~myelin]))
            found[name] = image, dark, np.log2(FIBER_PX / width)
    return found


def judge(view, images, change):
    """Return what the view finds in changed images, {name: (votes, right, octaves off)}."""
    found = {}
    for name, (image, dark, octave) in images.items():
        votes = collect_votes(view, CHANGES[change](image))
        right = votes.has_fibers and (votes.polarity > 0) == (dark != (change == "inverted"))
        off = votes.octave - octave + np.log2(FACTORS.get(change, 1))
        found[name] = votes, right, off
    return found


def print_kind(kind, change, found):
    """Print a line for a kind, and one for each image that is wrong."""
    near = {name: abs(off) < np.log2(WITHIN) for name, (_, _, off) in found.items()}
    offs = np.array([off for _, _, off in found.values()])
    rights = sum(right for _, right, _ in found.values())
    print(
        f"{kind:12s} {change:9s} {len(found):3d} images: polarity {rights:3d}, scale "
        f"{sum(near.values()):3d}; too large by {2 ** np.median(offs):.2f}, "
        f"{2 ** offs.min():.2f} to {2 ** offs.max():.2f}",
        flush=True,
    )
    for name, (votes, right, off) in found.items():
        if not (right and near[name]):
            print(f"    {name}: polarity {votes.polarity:+.2f}, too large by {2**off:.2f}")


def draw(panel, title, found):
    """Draw the weight of the votes of one folder's images over the scales that they are for."""
    edges = np.linspace(-6, 4, 61)
    for votes, _, _ in found.values():
        for color, part in (("#0072B2", votes.dark), ("#D55E00", 1 - votes.dark)):
            heights, _ = np.histogram(votes.octaves, edges, weights=votes.weights * part)
            panel.step(2 ** edges[1:], heights / votes.weights.sum(), color=color, linewidth=0.7)
    panel.set(xscale="log", xlim=(SCALES[0], SCALES[-1]), title=title, xlabel="scale")
    panel.set_xticks([1 / 16, 1 / 4, 1, 4], ["1/16", "1/4", "1", "4"])


def print_photographs(view):
    """Print which photographs are said to show fibers."""
    import skimage.data

    folder, wrong = Path(skimage.data.__file__).parent, []
    for name in PHOTOGRAPHS.split():
        (path,) = (path for path in folder.glob(f"{name}.*") if path.suffix in (".png", ".jpg"))
        if collect_votes(view, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)).has_fibers:
            wrong.append(name)
    print(f"photographs: fibers in {len(wrong)} of {len(PHOTOGRAPHS.split())}: {' '.join(wrong)}")


def print_time(images, model):
    """Print the share of the time that finding polarity and scale takes."""
    path = model_path(model, reading=True)
    weights, settings, _ = read_model_file(path)
    engine = open_engine(weights, settings, scales=read_scales(path, sha256(path)))
    start = time.perf_counter()
    choices = decide(engine, settings, images)
    middle = time.perf_counter()
    for image, choice in zip(images, choices, strict=True):
        segment(engine, settings, image, choice)
    seconds = np.diff([start, middle, time.perf_counter()])
    print(
        f"{len(images)} images: {seconds[0] / len(images):.3f} s to find polarity and scale, "
        f"{seconds[1] / len(images):.3f} s to segment ({engine.name}), share "
        f"{100 * seconds[0] / seconds.sum():.1f} %"
    )


def main():
    """Print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--view", type=Path, default=VIEW, help="file of the view")
    parser.add_argument("--model", default="bestmyelin.h5")
    parser.add_argument("--most", type=int, default=20, help="images of a folder (default 20)")
    parser.add_argument("--changes", nargs="*", choices=list(CHANGES), default=list(CHANGES))
    args = parser.parse_args()
    view = open_view(args.view)
    figure = Figure(figsize=(3 * len(args.folders), 2.6), layout="constrained")
    panels = figure.subplots(1, len(args.folders), squeeze=False)[0]
    timed = []
    for panel, folder in zip(panels, args.folders, strict=True):
        images = pairs(folder, args.most)
        timed += [image for image, _, _ in images.values()]
        for change in args.changes:
            found = judge(view, images, change)
            print_kind(folder.name, change, found)
            if change == args.changes[0]:
                draw(panel, folder.name, found)
    print_photographs(view)
    figure.savefig(args.out, dpi=150)
    print_time(timed[:20], args.model)


if __name__ == "__main__":
    main()
