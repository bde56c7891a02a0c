"""Continue the training of a model on the packed pairs, such as your own corrected masks.

    python extra_training.py old.h5 new.h5 100
    python extra_training.py bestmyelin.h5 ourlab.h5 10

Takes weights, preprocessing, training options and Adam's state from the old model, which stays
untouched. The new model is the better of old and new by validation loss, so more training cannot
make it worse (with --validation-split 0 nothing tells, and the last epoch is kept). Then segments
the test images, as train.py does.
"""

from myelin.folders.naming import NPYDATA
from myelin.folders.packing import keep_up_to_train
from myelin.measure.fiber_width import FIBER_PX
from myelin.network.model_file import (
    RESUME,
    load_model,
    model_path,
    read_model_file,
    restore_adam,
    room_of_training,
)
from myelin.network.preprocessing import dataset_statistics
from myelin.runtime.cli import Parser, UserError, number, script
from myelin.runtime.disk import check_room
from myelin.runtime.files import beside, sha256
from myelin.runtime.lock import holding
from myelin.segment.pipeline import room_if_packed, segment_if_packed
from myelin.train.pairs import Pairs
from myelin.train.recipe import (
    Run,
    add_recipe_options,
    add_run_options,
    given_recipe,
    stated_recipe,
)

DEFAULT_CROP = 256  # for a model that takes any size and does not say what it learned from


@script
def main(argv=None):
    """Continue training a model."""
    args = parse(argv)
    old, new = model_path(args.old, reading=True), model_path(args.new)
    check_names(args, old, new)
    _, settings, _ = read_model_file(old)
    run = Run.from_arguments(args, recipe_of(old, settings, args))
    run.check((settings.rows or 0) * (settings.cols or 0))
    keep_up_to_train()
    with (
        holding(new.parent, new.name),
        holding(NPYDATA, "imgs_train.npy", shared=True),
    ):
        train(old, new, settings, run, args)
    from myelin.train.calibration import calibrate_trained  # late: it imports all that draws

    calibrate_trained(new)
    segment_if_packed(new)


def train(old, new, settings, run, args):
    """Train a model file, from the old one."""
    check_room(room_of_training(new, run.keep_optimizer) | room_if_packed())
    pairs = Pairs(settings.myelin == "bright", fiber_px=fiber_px_of(old, settings))

    from myelin.train import fit as training  # late: it imports Keras

    if args.resume:
        progress = training.resumed_network(new, run)
    else:
        progress = continued(training, old, pairs, run)
    training.fit(new, progress, pairs, run)


def parse(argv):
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument("old", help="model file to start from, in models/ when a bare name")
    parser.add_argument("new", help="model file to write, into models/ when a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="how often to go through the data")
    add_recipe_options(parser, continued=True)
    add_run_options(parser)
    return parser.parse_args(argv)


def check_names(args, old, new):
    """Raise where the new model would replace what it starts from."""
    if new.exists() and new.samefile(old):
        raise UserError(
            f"{args.new}: both the old and the new model, give the new one its own name"
        )
    interrupted = beside(new, RESUME)
    if interrupted.exists() and old.samefile(interrupted):
        raise UserError(
            f"{args.old}: belongs to an interrupted run of {args.new}, continue that with --resume"
        )


def recipe_of(old, settings, args):
    """Return the recipe: the options given, else what the old model states."""
    recipe = given_recipe(args, stated_recipe(old, settings.training, __doc__))
    if settings.frame == "resize":
        for option in ("crop", "augment"):
            if getattr(recipe, option):
                raise UserError(
                    f"--{option}: {old} was trained on whole frames, start from a model that was "
                    "trained with --crop"
                )
    elif not recipe.crop:
        recipe.crop = DEFAULT_CROP
    return recipe


def fiber_px_of(old, settings):
    """Return the width that fibers come to in crops: the old model's; None with whole frames."""
    if settings.frame == "resize":
        return None
    if settings.fiber_px is None:
        print(
            f"note: {old} learned from images at their own pixels; from here on their fibers come "
            f"to {FIBER_PX:g} pixels"
        )
    return settings.fiber_px or FIBER_PX


def continued(training, old, pairs, run):
    """Return the old model, compiled and judged on the validation frames."""
    network, settings, adam = load_model(old)
    if settings.normalize == "test set":  # a file of 2018: from here on the training set counts
        settings.normalize = "dataset"
        settings.mean, settings.std = dataset_statistics(pairs.all_images(), settings)
    network = training.compile_network(network, run.recipe)
    if adam:
        restore_adam(network, adam)
    progress = training.Progress(network, settings)
    progress.best, dice = training.validate(progress, pairs, run)
    settings.provenance = {
        "best_validation_dice": dice,
        "old_sha256": sha256(old),
        "earlier": settings.earlier_runs(),
    }
    return progress


if __name__ == "__main__":
    main()
