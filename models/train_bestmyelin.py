"""Train bestmyelin.h5 anew by the suite's own commands: one call, 45 minutes on two cores.

    python path/to/models/train_bestmyelin.py models/newbest.h5
    python path/to/models/train_bestmyelin.py models/newbest.h5 --resume

Call it from a folder of its own, whose raw/train holds pairs of three kinds, image and mask each:

    sem_rat*     scanning electron microscopy, hand-drawn (DOI 10.5281/zenodo.5498378)
    tem_mouse*   transmission electron microscopy, hand-drawn (DANDI 001350)
    nerve_*      light microscopy of 2018, masks by models/derive_nerve_masks.py

and models/start.h5, the model that it starts from. synthetic_* are drawn beside them. To measure on
subjects that were left out, do not put their pairs into raw/train: validation takes none, so no
epoch is chosen on anything, and the last one is kept.
"""

import argparse
import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).resolve().parent.parent
TRAIN = "raw/train"
NEEDED = ("sem_rat*", "tem_mouse*", "nerve_*")
START = Path("models/start.h5")  # `git show 787f0a9:models/bestmyelin.h5 > models/start.h5`
STEPS, EPOCHS = 50, (48, 16)  # an epoch is what an interruption can cost: about a minute

# Two calls, the second from what the first gave: after the first, blood cells and dark frames were
# still taken for myelin, since few drawn images show any.
#
# Both looks, both polarities, every scene: what the real pairs lack, such as dark light microscopy,
# and what is no fiber. Drawn images teach the outline to the pixel.
DRAWING = "--train 48 --test 0 --size 600 600 --look mixed --myelin mixed".split()
SCENES = (
    "--seed 11 --scenes random".split(),
    "--seed 12 --scenes vessel blood mast debris annotation frame".split(),
)
# Dice hardly changes from 0.5 to 0.6. Above 0.5 sheaths of scanning microscopy are less too thick
# and outlines on light microscopy nearer to half height; at 0.6 more fibers are lost.
THRESHOLD = 0.55
TRAINING = f"""
    --crop 256 --augment --batch-size 4 --precision bfloat16
    --loss dice+gaps --schedule cosine --learning-rate 0.0003
    --validation-split 0 --without-optimizer --steps {STEPS} --threshold {THRESHOLD}
""".split()
SEEDS = ("1", "2")

# How much more often than their area at the network's scale says. Of the crops 34 % are then of
# transmission, 36 % of scanning electron microscopy, 12 % of nerve, and 18 % are drawn; in the
# second call 30, 32, 6 and 32 %.
DRAWN = (0.58, 1.15)
NERVE = (0.33, 0.18)  # what the model at the start knows best
EMPHASIS = {
    "tem_*": 74,  # 600 x 600 images shrunk to 150 x 150
    # Within scanning electron microscopy: no animal should be more than a fifth.
    "sem_rat1_*": 0.7,
    "sem_rat2_*": 2,
    "sem_rat4_*": 2,
    "sem_rat5_*": 0.4,
    "sem_rat8_*": 3,
}


def call(command, *arguments):
    """Run a command of the suite; end where it fails."""
    print("python", command, *arguments, flush=True)
    done = subprocess.run([sys.executable, str(SUITE / command), *map(str, arguments)])
    if done.returncode:
        raise SystemExit(done.returncode)


def stage(number, old, new, resume):
    """Draw, pack and train: one of the two calls, unless it is done already."""
    if not resume:
        call("synthetic.py", *DRAWING, *SCENES[number])
        call("data.py")
    wanted = EMPHASIS | {"synthetic_*": DRAWN[number], "nerve_*": NERVE[number]}
    factors = [f"{ids}={by}" for ids, by in wanted.items() if list(Path(TRAIN).glob(f"{ids}.*"))]
    emphasis = [word for factor in factors for word in ("--emphasis", factor)]
    more = ["--resume"] if resume else []
    seed = ["--seed", SEEDS[number]]
    call("extra_training.py", old, new, EPOCHS[number], *TRAINING, *seed, *emphasis, *more)


def main():
    """Check what is needed, then train in two calls."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model file to write, such as models/newbest.h5")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    args = parser.parse_args()
    if args.model.parent == Path():  # a bare name, which the commands take for one in models/
        args.model = Path("models") / args.model
    missing = [f"{TRAIN}/{ids}" for ids in NEEDED if not list(Path(TRAIN).glob(f"{ids}_mask.*"))]
    missing += [str(START)] if not START.exists() else []
    if missing:
        raise SystemExit(f"error: missing: {', '.join(missing)}, see --help")
    first = args.model.with_name(f"{args.model.stem}_first.h5")
    interrupted = [
        path.with_name(f"{path.stem}_resume.h5").exists() for path in (first, args.model)
    ]
    if not args.resume or not first.exists() or interrupted[0]:
        stage(0, START, first, args.resume and interrupted[0])
    stage(1, first, args.model, args.resume and interrupted[1])


if __name__ == "__main__":
    main()
