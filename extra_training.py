"""Continue the training of a model on the packed pairs, such as your own corrected masks.

    python extra_training.py old.h5 new.h5 100
    python extra_training.py bestmyelin.h5 ourlab.h5 10

Takes weights, image preparation, training options and Adam's state from the old model, which
stays untouched. The new model is the better of old and new by validation loss, so training on can
not make it worse (with --validation-split 0 nothing tells, and the last epoch is kept). Then
segments the test images, as train.py does.
"""

from myelin import engine, model_file, preprocessing
from myelin.cli import Parser, UserError, number, script
from myelin.files import sha256
from myelin.pairs import Pairs
from myelin.preds import segment_if_packed
from myelin.recorder import beside
from myelin.training import (
    RECIPE,
    add_training_options,
    check_options,
    compile_network,
    fit,
    resumed,
    validate,
)

DEFAULT_CROP = 256  # for a model that takes any size and does not say what it learned from


def stated_options(old, training):
    """Return a model file's training options as the command line would: a file may say anything."""
    arguments = []
    for name in RECIPE:
        value = training.get(name)
        if value is not None and value is not False:
            option = f"--{name.replace('_', '-')}"
            arguments.append(option if value is True else f"{option}={value}")
    parser = Parser(__doc__)
    add_training_options(parser)
    try:
        return parser.parse_args(arguments)
    except UserError as mistake:
        raise UserError(f"{old}: its training options: {mistake}") from None


def load(old, args):
    """Load the old model; training options that were not given are filled from it, or RECIPE."""
    engine.start_keras()
    _, settings, _ = model_file.read_model_file(old)
    stated = stated_options(old, settings.training)
    for name in RECIPE:
        if getattr(args, name) is None:
            setattr(args, name, getattr(stated, name))
    if args.crop and settings.frame == "resize":
        raise UserError(f"--crop: {old} takes whole frames, give a model trained with --crop")
    if not args.crop and settings.frame == "native":
        args.crop = DEFAULT_CROP
    return model_file.load_model(old)


def earlier_runs(settings):
    """Return the provenance of a model, then of those it came from; a file may say anything."""
    earlier = settings.provenance.pop("earlier", [])
    return [settings.provenance, *(earlier if isinstance(earlier, list) else [])]


@script
def main(argv=None):
    """Continue training a model."""
    parser = Parser(__doc__)
    parser.add_argument("old", help="model file to start from, in models/ when a bare name")
    parser.add_argument("new", help="model file to write, into models/ when a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="how often to go through the data")
    add_training_options(parser, continued=True)
    args = parser.parse_args(argv)
    old, new = model_file.model_path(args.old, reading=True), model_file.model_path(args.new)
    if new.exists() and new.samefile(old):
        raise UserError(
            f"{args.new}: both the old and the new model, give the new one its own name"
        )
    interrupted = beside(new, model_file.RESUME)
    if interrupted.exists() and old.samefile(interrupted):
        raise UserError(f"{args.old}: is of an interrupted run of {args.new}, go on with --resume")
    network, settings, adam = load(old, args)
    if args.augment and not args.crop:
        raise UserError(f"--augment: {old} takes whole frames, give a model trained with --crop")
    check_options(args, (settings.rows or 0) * (settings.cols or 0))
    pairs = Pairs(as_bright=settings.myelin == "bright")
    if settings.normalize == "test set":  # a file of 2018: from here on the training set counts
        settings.normalize = "dataset"
        settings.mean, settings.std = preprocessing.dataset_statistics(pairs.all_images(), settings)
    start = 0
    if args.resume:
        network, settings, start, best = resumed(new, args)
    else:
        compile_network(network, args)
        if adam:
            model_file.restore_adam(network, adam)
        best, dice = validate(network, settings, pairs, args)
        settings.provenance = {
            "best_validation_dice": dice,
            "old_sha256": sha256(old),
            "earlier": earlier_runs(settings),
        }
    fit(new, network, settings, pairs, args, start, best)
    segment_if_packed(new)


if __name__ == "__main__":
    main()
