"""Train bestmyelin.h5 by the suite's own commands, in one call.

    python path/to/models/train_bestmyelin.py models/newbest.h5

Call it in a folder of its own with models/start.h5, the model to start from, and raw/train, which
holds pairs of these kinds, image and mask each (the model card tells how they were made):

    sem_* tem_*                        hand-drawn
    nerve_*                            derived masks
    optic_* osmium_* cars_* survey_*   masks by models/teacher_masks.py

Synthetic images are drawn beside them if there are none. Validation takes no images and the last
epoch is kept, so nothing is chosen on images by which the model is judged: leave those pairs out.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.runtime.cli import Parser, UserError, script

SUITE = Path(__file__).resolve().parent.parent
TRAIN = Path("raw/train")
START = Path("models/start.h5")
# Share of each kind among the crops. Within a kind, images count by their area at network scale.
SHARES = {
    "sem_*": 0.24,
    "tem_*": 0.17,
    "nerve_*": 0.08,
    "optic_*": 0.14,
    "osmium_*": 0.03,
    "cars_*": 0.03,
    "survey_*": 0.03,
    "synthetic_*": 0.28,
}
# Look, images, µm per pixel: fibers from 8 px wide, since small sheaths are missed most.
DRAWINGS = (
    ("light", 6, 0.12),
    ("electron", 6, 0.10),
    ("stained", 10, 0.18),
    ("stained", 10, 0.28),
    ("osmium", 6, 0.15),
    ("cars", 6, 0.14),
    ("transmission", 8, 0.07),
)
STEPS, EPOCHS = 30, 46  # an interruption costs at most one epoch
THRESHOLD = 0.55  # above 0.5 sheaths of scanning microscopy are less too thick
TRAINING = f"""
    --crop 256 --augment --batch-size 4 --precision float32 --loss dice+gaps --average 0.9
    --schedule cosine --learning-rate 0.0003 --seed 1 --validation-split 0 --without-optimizer
    --steps {STEPS} --threshold {THRESHOLD}
""".split()


def call(command: str, *arguments: object) -> None:
    """Run a command of the suite; end where it fails."""
    print("python", command, *arguments, flush=True)
    done = subprocess.run([sys.executable, str(SUITE / command), *map(str, arguments)])
    if done.returncode:
        raise SystemExit(done.returncode)


def draw() -> None:
    """Draw the synthetic images, each look under names of its own."""
    for seed, (look, count, pixel_size_um) in enumerate(DRAWINGS, 21):
        options = f"--train {count} --test 0 --size 448 448 --myelin mixed --seed {seed}"
        call("synthetic.py", *options.split(), "--look", look, "--pixel-size", pixel_size_um)
        for path in TRAIN.glob("synthetic_[0-9][0-9]*"):
            path.rename(path.with_name(path.name.replace("_", f"_{look}{seed}_", 1)))


def emphasis() -> list[str]:
    """Return the options that give each kind its share of the crops."""
    from myelin.measure.fiber_width import FIBER_PX
    from myelin.train.pairs import Pairs, matching

    pairs = Pairs(as_bright=True, fiber_px=FIBER_PX)
    areas = np.prod(pairs.scaled_shapes(), axis=1)
    options = []
    for pattern, share in SHARES.items():
        if list(TRAIN.glob(f"{pattern}.tif")) or list(TRAIN.glob(f"{pattern}.png")):
            factor = 1e6 * share / areas[matching(pairs, pattern, "SHARES")].sum()
            options += ["--emphasis", f"{pattern}={factor:.4g}"]
    return options


@script
def main(argv: list[str] | None = None) -> None:
    """Check the inputs, draw, pack and train."""
    parser = Parser(__doc__)
    parser.add_argument("model", type=Path, help="model file to write, such as models/newbest.h5")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"(default: {EPOCHS})")
    args = parser.parse_args(argv)
    if not START.exists() or not list(TRAIN.glob("*_mask.*")):
        raise UserError(f"{START} or pairs in {TRAIN}: missing, see --help")
    if not list(TRAIN.glob("synthetic_*")):
        draw()
    if not args.resume:
        call("data.py")
    resume = ["--resume"] if args.resume else []
    call("extra_training.py", START, args.model, args.epochs, *TRAINING, *emphasis(), *resume)


if __name__ == "__main__":
    main()
