"""Train a network: recipe, fit, resume."""

import argparse
import datetime
import math
import sys
import tempfile

import unet
from myelin import engine, model_file
from myelin.batches import make_batches, split
from myelin.cli import UserError, number, running
from myelin.model_file import MAX_FRAME_SIDE, RESUME
from myelin.pixel_size import check_pixel_size
from myelin.recorder import beside, draw_curve, make_recorder, run_options
from unet import LOSSES, STRIDE

# A pixel of a training step takes about 2.6 kB; this many, 87 GB: more is a mistake in the options.
MAX_STEP_PIXELS = 2**25


def check_options(args, frame_pixels):
    """Raise where options do not go together, or a step would fill any memory.

    Called before images are read or a model is validated, which may take minutes.
    """
    if args.emphasis and not args.crop:
        raise UserError("--emphasis: is of crops, leave it out or take --crop")
    pixels = args.batch_size * (args.crop**2 if args.crop else frame_pixels)
    if pixels > MAX_STEP_PIXELS:
        raise UserError(
            f"--batch-size {args.batch_size}: {pixels:,} pixels in a step, the limit is "
            f"{MAX_STEP_PIXELS:,}, take a smaller one, or smaller frames or crops"
        )


def fit(path, network, settings, pairs, args, start=0, best=math.inf):
    """Train a compiled network; `path` holds its best epoch whenever this ends or is stopped.

    Parameters
    ----------
    path : Path
        The model file to write.
    network : keras.Model
    settings : Preprocessing
        Written into the file; its provenance is completed.
    pairs : Pairs
    args : argparse.Namespace
        From `add_training_options`.
    start : int
        Epochs already done (`--resume`).
    best : float
        Validation loss that an epoch must fall below to be kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):  # a folder that cannot be written: say so now
        pass
    if path.exists():
        print(f"note: {path} is replaced by the first epoch that is kept")
    training, held = split(pairs, args.validation_split, args.validate_on)
    batches = make_batches(pairs, training, settings, args, training=True, start=start)
    validation = make_batches(pairs, held, settings, args, training=False) if held else None
    settings.training = {name: getattr(args, name) for name in RECIPE}
    settings.provenance |= {
        "date": datetime.date.today().isoformat(),
        "command": running["command"],
        "training_images": len(training),
        "validation_images": [pairs.ids[i] for i in held],
    }
    print(f"device: {', '.join(engine.keras_devices())}; {network.count_params():,} parameters")
    print(f"{len(training)} training and {len(held)} validation images, {args.epochs} epochs")
    if start == 0 and best < math.inf:  # the model that is continued, until an epoch is better
        settings.provenance |= {"epochs": 0, "best_validation_loss": best}
        model_file.save_model(path, network, settings, not args.without_optimizer)
    settings.pixel_size_um = args.pixel_size  # these images' own, no longer the old model's
    recorder = make_recorder(path, network, settings, args, len(batches), start, best)
    try:
        network.fit(
            batches,
            validation_data=validation,
            initial_epoch=start,
            epochs=args.epochs,
            callbacks=[recorder],
            verbose=1 if sys.stdout.isatty() else 2,
        )
        beside(path, RESUME).unlink(missing_ok=True)
    finally:  # also after Ctrl-C
        draw_curve(path)


def multiple(text):
    """argparse type: a frame or crop size, a multiple of 16."""
    value = number(int, STRIDE, MAX_FRAME_SIDE)(text)
    if value % STRIDE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a multiple of {STRIDE}")
    return value


def emphasis(text):
    """argparse type: PATTERN=FACTOR."""
    pattern, sign, factor = text.rpartition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not PATTERN=FACTOR, such as rat*=3")
    return pattern, number(float, 0.001, 1000)(factor)


# Options that shape the training itself: kept in the model file, so that extra_training.py goes on
# the same way. Defaults are those of 2018.
RECIPE = {
    "crop": None,
    "augment": False,
    "loss": "dice",
    "batch_size": 1,
    "steps": 250,
    "schedule": "constant",
    "learning_rate": 1e-3,
}


def add_training_options(parser, continued=False):
    """Add the options train.py and extra_training.py share.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    continued : bool
        Leave the options of RECIPE that are not given at None: the model says them.
    """
    default = dict.fromkeys(RECIPE) if continued else RECIPE

    def add(name, help, **settings):
        key = name[2:].replace("-", "_")
        if key in RECIPE:
            stated = "the old model's" if continued else RECIPE[key]
            help = f"{help} (default: {stated})".replace("default: None", "default: whole frames")
            help = help.replace("default: False", "default: no")
            settings["default"] = default[key]
        parser.add_argument(name, help=help, **settings)

    add(
        "--crop",
        "learn from random crops of PX x PX pixels at the images' own resolution, "
        "myelin always bright; the model then takes images of any size",
        type=multiple,
        metavar="PX",
    )
    add(
        "--augment",
        "vary the crops: turn, flip, scale, grey values, illumination, sharpness, "
        "noise; needs --crop",
        action="store_true",
    )
    add(
        "--loss",
        "what training lowers: minus Dice, or minus Dice plus cross-entropy, steadier "
        "on crops with little myelin",
        choices=list(LOSSES),
    )
    add("--batch-size", "frames or crops per step", type=number(int, 1, 4096), metavar="N")
    add(
        "--steps",
        "steps per epoch with --crop; whole frames: each once",
        type=number(int, 1),
        metavar="N",
    )
    add("--learning-rate", "Adam's step size", type=number(float, 1e-8, 1), metavar="R")
    add(
        "--schedule",
        "learning rate over the run: as it is, or falling to 0 along a cosine",
        choices=["constant", "cosine"],
    )
    add(
        "--pixel-size",
        "µm per pixel of the training images, kept in the model so that others can be resampled "
        "to it (default: unknown, and then none is)",
        type=check_pixel_size,
        metavar="UM",
    )
    add(
        "--validation-split",
        "fraction of the frames, the last ones, kept from training to "
        "choose the best epoch; 0 keeps the last epoch (default: 0.2)",
        type=number(float, 0, 0.9),
        default=0.2,
        metavar="F",
    )
    add(
        "--validate-on",
        "validate on these images instead: ids separated by commas, * stands for "
        "anything, such as rat3_*,rat8_* (default: see --validation-split)",
        metavar="IDS",
    )
    add(
        "--emphasis",
        "with --crop: take F times as many crops from these images; may be repeated "
        "(default: by area)",
        type=emphasis,
        action="append",
        default=[],
        metavar="IDS=F",
    )
    add(
        "--seed",
        "start of the random numbers; the same seed repeats order and crops (default: 0)",
        type=number(int, 0, 2**32 - 1),
        default=0,
        metavar="N",
    )
    add(
        "--resume",
        "go on where the interrupted run of the same command stopped (default: start anew)",
        action="store_true",
    )
    add(
        "--without-optimizer",
        "leave Adam's state out of the model file: 31 MB instead of 93, and "
        "extra_training.py starts Adam anew (default: keep it)",
        action="store_true",
    )


def compile_network(network, args):
    """Compile with Adam, the chosen loss and Dice as metric."""
    import keras

    network.compile(
        optimizer=keras.optimizers.Adam(args.learning_rate),
        loss=LOSSES[args.loss],
        metrics=[unet.dice_coef],
    )


def resumed(path, args):
    """Return (network, settings, epochs done, best loss) of an interrupted run."""
    last = beside(path, RESUME)
    if not last.exists():
        raise UserError(f"{last}: no interrupted run, start it without --resume")
    network, settings, adam = model_file.load_model(last)
    state = settings.provenance.pop("state", None)
    try:
        options, epoch, best = dict(state["options"]), int(state["epoch"]), float(state["best"])
    except (TypeError, ValueError, KeyError):
        options = {}
    if not options or not adam:
        raise UserError(f"{last}: not of an interrupted run, start it without --resume")
    for name, value in run_options(args).items():
        if options.get(name) != value:
            raise UserError(
                f"--{name.replace('_', '-')}: {value}, but the interrupted run had "
                f"{options.get(name)}, give the same options with --resume"
            )
    compile_network(network, args)
    model_file.restore_adam(network, adam)
    return network, settings, epoch, best


def validate(network, settings, pairs, args):
    """Return loss and Dice of a compiled network on the validation frames; infinity without any."""
    _, held = split(pairs, args.validation_split, args.validate_on)
    if not held:
        return math.inf, None
    batches = make_batches(pairs, held, settings, args, training=False)
    found = network.evaluate(batches, verbose=int(sys.stdout.isatty()), return_dict=True)
    return found["loss"], found["dice_coef"]
