"""Continue the training of a model on the packed pairs, such as your own corrected masks.

    python extra_training.py old.h5 new.h5 100
    python extra_training.py bestmyelin.h5 ourlab.h5 10

Takes weights, preprocessing, training options and Adam's state from the old model, which stays
unchanged. The new model is the better of old and new by validation loss, so more training cannot
make it worse (with --validation-split 0 there is no comparison, and the last epoch is kept); the
last line tells which was kept. models/new_before_after.png shows masks of both on images that were
held back. Then segments the test images, as train.py does.
"""

import argparse
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from myelin.folders.naming import NPYDATA
from myelin.folders.packing import repack_for_training
from myelin.measure.fiber_width import FIBER_PX
from myelin.network.model_file import (
    RESUME,
    load_model,
    model_path,
    read_model_file,
    restore_adam,
    room_of_training,
)
from myelin.network.preprocessing import Preprocessing, dataset_statistics
from myelin.runtime.cli import Parser, UserError, number, script
from myelin.runtime.disk import check_room
from myelin.runtime.files import beside, sha256
from myelin.runtime.lock import holding
from myelin.segment.pipeline import room_if_packed, segment_if_packed
from myelin.train import recipe
from myelin.train.pairs import Pairs, split

if TYPE_CHECKING:
    from myelin.train.fit import TrainingState

DEFAULT_CROP = 256  # for a model that takes any size and does not state its crops


@script
def main(argv: list[str] | None = None) -> None:
    """Continue training a model."""
    args = parse(argv)
    old = model_path(args.old, reading=True)
    new = model_path(args.new)
    check_names(args, old, new)
    _, settings, _ = read_model_file(old)
    run = recipe.Run.from_arguments(args, recipe_of(old, settings, args))
    run.check((settings.rows or 0) * (settings.cols or 0))
    repack_for_training()
    with holding(new.parent, new.name), holding(NPYDATA, "imgs_train.npy", shared=True):
        kept = train(old, new, settings, run, args.resume)
    from myelin.train.calibration import calibrate_if_openvino  # late, for a fast --help

    calibrate_if_openvino(new)
    segment_if_packed(new)
    print(kept)


def train(old: Path, new: Path, settings: Preprocessing, run: recipe.Run, resume: bool) -> str:
    """Train the new model file, from the old one; return which of the two was kept."""
    check_room(room_of_training(new) | room_if_packed())
    pairs = Pairs(settings.myelin == "bright", fiber_px=fiber_px_of(old, settings))

    split(pairs, run.validation_split, run.validate_on)  # an error comes before Keras is loaded
    from myelin.train import fit as training  # late: it imports Keras
    from myelin.train.before_after import draw_before_after

    if resume:
        state = training.resumed_network(new, run)
    else:
        state = continued_network(training, old, pairs, run)
    kept = training.fit(new, state, pairs, run)
    if picture := draw_before_after(new, old, pairs, run):
        print(f"before and after, on images held back: {picture}")
    return kept


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument("old", help="model file to start from, in models/ if a bare name")
    parser.add_argument("new", help="model file to write, in models/ if a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="passes through the training images")
    recipe.add_recipe_options(parser, continued=True)
    recipe.add_run_options(parser)
    return parser.parse_args(argv)


def check_names(args: argparse.Namespace, old: Path, new: Path) -> None:
    """Raise if the new model would replace the one it starts from."""
    if new.exists() and new.samefile(old):
        raise UserError(f"{args.new}: is the old model, give the new one another name")
    interrupted = beside(new, RESUME)
    if interrupted.exists() and old.samefile(interrupted):
        raise UserError(
            f"{args.old}: belongs to an interrupted run of {args.new}, continue that with --resume"
        )


def recipe_of(old: Path, settings: Preprocessing, args: argparse.Namespace) -> recipe.Recipe:
    """Return the recipe: the options given, else those of the old model."""
    chosen = recipe.recipe_of(vars(args), recipe.recipe_of(settings.training, recipe.Recipe()))
    if settings.frame == "resize":
        for option in ("crop", "augment"):
            if getattr(chosen, option):
                raise UserError(
                    f"--{option}: {old} was trained on whole frames, start from a model that was "
                    "trained with --crop"
                )
    elif not chosen.crop:
        chosen.crop = DEFAULT_CROP
    return chosen


def fiber_px_of(old: Path, settings: Preprocessing) -> float | None:
    """Return the fiber width in crops, that of the old model; None for whole frames."""
    if settings.frame == "resize":
        return None
    if settings.fiber_px is None:
        print(
            f"note: {old}: was trained at the images' own scales; from now on all are rescaled to "
            f"fibers of {FIBER_PX:g} pixels"
        )
    return settings.fiber_px or FIBER_PX


def continued_network(
    training: ModuleType, old: Path, pairs: Pairs, run: recipe.Run
) -> "TrainingState":
    """Return the old model, compiled and evaluated on the validation frames."""
    network, settings, adam = load_model(old)
    if settings.normalize == "test set":  # a file of 2018: from now on the training set counts
        settings.normalize = "dataset"
        settings.mean, settings.std = dataset_statistics(pairs.all_images(), settings)
    network = training.compile_network(network, run.recipe)
    if adam:
        restore_adam(network, adam)
    state = training.TrainingState(network, settings)
    state.best, dice = training.validate(state, pairs, run)
    settings.provenance = {
        "best_validation_dice": dice,
        "old_model": old.name,
        "old_validation_dice": dice,
        "old_sha256": sha256(old),
        "earlier": settings.earlier_runs(),
    }
    return state


if __name__ == "__main__":
    main()
