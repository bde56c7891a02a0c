"""How to train: the recipe that a model file keeps, the options of one run, and both as options."""

import argparse
import dataclasses
import json
import math

from myelin.images.pixel_size import check_pixel_size
from myelin.network.architecture import MAX_FRAME_SIDE
from myelin.runtime.cli import Parser, UserError, number
from unet import LOSSES, PRECISIONS, STRIDE

# A pixel of a training step takes about 2.6 kB; this many, 87 GB: more is a mistake in the options.
MAX_STEP_PIXELS = 2**25
WARM_UP_STEPS = 200  # of the cosine schedule: full steps at random weights can kill ReLUs


@dataclasses.dataclass
class Recipe:
    """What shapes a training: kept in the model file, so that extra_training.py goes on the same.

    The defaults are those of 2018.

    Attributes
    ----------
    crop : int or None
        Side of the random crops, px; None trains on whole frames.
    augment : bool
        Vary the crops.
    loss : str
        A name in `unet.LOSSES`.
    batch_size : int
    steps : int
        Steps per epoch with crops.
    schedule : "constant" or "cosine"
    learning_rate : float
    precision : "float32" or "bfloat16"
        What most layers compute in while training.
    average : float
        Momentum of an exponential moving average of the weights; 0 for none. Each epoch ends with
        the average, is saved with it, and the next one goes on from it.
    """

    crop: int | None = None
    augment: bool = False
    loss: str = "dice"
    batch_size: int = 1
    steps: int = 250
    schedule: str = "constant"
    learning_rate: float = 1e-3
    precision: str = "float32"
    average: float = 0.0

    def rate(self, step, total):
        """Return Adam's step size at one step of `total`: constant, or a warmed-up cosine."""
        if self.schedule == "constant":
            return self.learning_rate
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        return self.learning_rate * warm * (1 + math.cos(math.pi * step / total)) / 2


@dataclasses.dataclass
class Run:
    """One call of train.py or extra_training.py.

    Attributes
    ----------
    recipe : Recipe
    epochs : int
    size : int or None
        Side of the frames of a new model, px.
    normalize : "dataset", "image" or None
        How a new model's frames are normalised; None for one that goes on.
    pixel_size_um : float or None
        µm per pixel of the training images.
    validation_split : float
        Fraction of the frames, the last ones, to validate on.
    validate_on : str or None
        Patterns of the ids to validate on instead.
    emphasis : list of (str, float)
        Patterns of ids, and how many times as often their crops are taken.
    seed : int
    keep_optimizer : bool
        Whether Adam's state goes into the model file.
    threshold : float or None
        Probability from which a pixel is myelin; None leaves the model's.
    """

    recipe: Recipe
    epochs: int
    size: int | None = None
    normalize: str | None = None
    pixel_size_um: float | None = None
    validation_split: float = 0.2
    validate_on: str | None = None
    emphasis: list = dataclasses.field(default_factory=list)
    seed: int = 0
    keep_optimizer: bool = True
    threshold: float | None = None

    @classmethod
    def from_arguments(cls, args, recipe):
        """Return the run that the arguments of a command line ask for."""
        return cls(
            recipe,
            args.epochs,
            getattr(args, "size", None),
            getattr(args, "normalize", None),
            args.pixel_size,
            args.validation_split,
            args.validate_on,
            args.emphasis,
            args.seed,
            not args.without_optimizer,
            args.threshold,
        )

    def fixed(self):
        """Return what must be the same when an interrupted run goes on, {option: JSON value}."""
        values = dataclasses.asdict(self)
        values |= values.pop("recipe")
        free = ("epochs", "keep_optimizer")
        names = {"pixel_size_um": "pixel-size"}
        values = {
            names.get(name, name.replace("_", "-")): value
            for name, value in values.items()
            if name not in free
        }
        return json.loads(json.dumps(values))

    def check(self, frame_pixels):
        """Raise where options do not go together, or a step would fill any memory.

        Called before images are read or a model is validated, which may take minutes.
        """
        recipe = self.recipe
        if self.emphasis and not recipe.crop:
            raise UserError("--emphasis: only works on crops, leave it out or add --crop 256")
        pixels = recipe.batch_size * (recipe.crop**2 if recipe.crop else frame_pixels)
        if pixels > MAX_STEP_PIXELS:
            raise UserError(
                f"--batch-size {recipe.batch_size}: {pixels:,} pixels per step, the limit is "
                f"{MAX_STEP_PIXELS:,}, choose a smaller batch, or smaller frames or crops"
            )


def stated_recipe(old, training, doc):
    """Return the recipe that a model file states, checked as a command line: it may say anything.

    Parameters
    ----------
    old : path
        The file, for the message.
    training : dict
        From its preprocessing.
    doc : str
        Docstring of the command.
    """
    arguments = []
    for field in dataclasses.fields(Recipe):
        value = training.get(field.name)
        if value is not None and value is not False:
            option = f"--{field.name.replace('_', '-')}"
            arguments.append(option if value is True else f"{option}={value}")
    parser = Parser(doc)
    add_recipe_options(parser)
    try:
        return Recipe(**vars(parser.parse_args(arguments)))
    except UserError as mistake:
        raise UserError(f"{old}: its training options: {mistake}") from None


def given_recipe(args, stated):
    """Return a recipe: the options that were given, and for the others what is stated already."""
    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(Recipe)}
    return dataclasses.replace(stated, **{k: v for k, v in given.items() if v is not None})


# ---------------------------------------------------------------- command line


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


def add_recipe_options(parser, continued=False):
    """Add the options of a `Recipe`.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    continued : bool
        Leave those that are not given at None: the old model says them.
    """

    def add(name, help, **settings):
        default = getattr(Recipe, name[2:].replace("-", "_"))
        said = {None: "whole frames", False: "no"}.get(default, default)
        said = "the old model's" if continued else said
        default = None if continued else default
        parser.add_argument(name, default=default, help=f"{help} (default: {said})", **settings)

    add(
        "--crop",
        "learn from random crops of PX x PX pixels, myelin always bright, at a magnification at "
        "which the fibers of each mask come to one width; the model then takes images of any size",
        type=multiple,
        metavar="PX",
    )
    add(
        "--augment",
        "vary the crops: turn, flip, scale, grey values, illumination, sharpness, noise; needs "
        "--crop",
        action="store_true",
    )
    add(
        "--loss",
        "what training lowers: minus Dice; minus Dice plus cross-entropy, which is steadier on "
        "crops with little myelin; or with gaps, where lines between touching sheaths and the "
        "axons of small fibers count more",
        choices=list(LOSSES),
    )
    add("--batch-size", "frames or crops per step", type=number(int, 1, 4096), metavar="N")
    add(
        "--steps",
        "steps per epoch with --crop; whole frames are each shown once",
        type=number(int, 1),
        metavar="N",
    )
    add("--learning-rate", "Adam's step size", type=number(float, 1e-8, 1), metavar="R")
    add(
        "--schedule",
        "learning rate over the run: constant, or falling to 0 along a cosine",
        choices=["constant", "cosine"],
    )
    add(
        "--precision",
        "numbers that training computes with: bfloat16 takes about 0.6 of the time on processors "
        "and GPUs that have it; weights and the model file stay float32",
        choices=list(PRECISIONS),
    )
    average = "end each epoch with a moving average of the weights of this momentum, such as 0.9"
    add("--average", average, type=number(float, 0, 0.9999), metavar="M")


def add_run_options(parser):
    """Add the options of a `Run` that train.py and extra_training.py share."""
    parser.add_argument(
        "--pixel-size",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of the training images, noted in the model file; changes nothing else "
        "(default: unknown)",
    )
    add_validation_options(parser)
    parser.add_argument(
        "--emphasis",
        type=emphasis,
        action="append",
        default=[],
        metavar="IDS=F",
        help="with --crop: take F times as many crops from these images; may be repeated "
        "(default: by area)",
    )
    parser.add_argument(
        "--threshold",
        type=number(float, 0.01, 0.99),
        metavar="P",
        help="kept in the model file: probability from which find_myelin.py calls a pixel myelin; "
        "choose it on images that were left out (default: 0.5, or the old model's)",
    )
    parser.add_argument(
        "--seed",
        type=number(int, 0, 2**32 - 1),
        default=0,
        metavar="N",
        help="start of the random numbers; the same seed repeats order and crops (default: 0)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the interrupted run of the same command (default: start anew)",
    )
    parser.add_argument(
        "--without-optimizer",
        action="store_true",
        help="leave Adam's state out of the model file: 16 MB instead of 93, but "
        "extra_training.py then starts Adam anew (default: keep it)",
    )


def add_validation_options(parser):
    """Add the options that say which frames are kept from training."""
    parser.add_argument(
        "--validation-split",
        type=number(float, 0, 0.9),
        default=0.2,
        metavar="F",
        help="fraction of the frames, the last ones, kept from training to choose the best epoch; "
        "0 keeps the last epoch (default: 0.2)",
    )
    parser.add_argument(
        "--validate-on",
        metavar="IDS",
        help="validate on these images instead: ids separated by commas, * stands for anything, "
        "such as rat3_*,rat8_* (default: see --validation-split)",
    )
