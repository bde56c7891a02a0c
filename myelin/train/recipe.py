"""How to train: the recipe that a model file keeps, the options of one run, and their parsers."""

import argparse
import dataclasses
import json
import math

from myelin.images.pixel_size import check_pixel_size
from myelin.network.model_checks import MAX_FRAME_SIDE
from myelin.runtime.cli import UserError, number
from unet import LOSSES, STRIDE, TRAINING_PRECISIONS

# A training step takes about 2.6 kB per pixel, so 87 GB here: more is a mistake in the options.
MAX_STEP_PIXELS = 2**25
WARM_UP_STEPS = 200  # of the cosine schedule: full steps at random weights can kill ReLUs


@dataclasses.dataclass
class Recipe:
    """Options kept in the model file, so that extra_training.py continues with the same.

    The defaults are those of 2018.
    """

    crop: int | None = None  # side of the random crops, px; None trains on whole frames
    augment: bool = False  # vary the crops
    loss: str = "dice"  # a name in `unet.LOSSES`
    batch_size: int = 1
    steps: int = 250  # per epoch, with crops
    schedule: str = "constant"  # or "cosine"
    learning_rate: float = 1e-3
    precision: str = "float32"  # or "bfloat16": of most layers in training
    average: float = 0.0  # momentum of a moving average of the weights, which ends each epoch

    def rate(self, step: int, total: int) -> float:
        """Return the learning rate at one step of `total`: constant, or a warmed-up cosine."""
        if self.schedule == "constant":
            return self.learning_rate
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        return self.learning_rate * warm * (1 + math.cos(math.pi * step / total)) / 2


@dataclasses.dataclass
class Run:
    """One call of train.py or extra_training.py."""

    recipe: Recipe
    epochs: int
    size: int | None = None  # side of the network input of a new model, px
    normalize: str | None = None  # "dataset" or "image" for a new model; None continues one
    pixel_size_um: float | None = None  # of the training images
    validation_split: float = 0.2  # fraction of the frames, the last ones, to validate on
    validate_on: str | None = None  # patterns of ids to validate on instead
    emphasis: list = dataclasses.field(default_factory=list)  # (pattern of ids, factor)
    seed: int = 0
    keep_optimizer: bool = True  # keep Adam's state in the model file
    threshold: float | None = None  # probability from which a pixel is myelin; None: the model's

    @classmethod
    def from_arguments(cls, args: argparse.Namespace, recipe: Recipe) -> "Run":
        """Return the run that a command line asks for."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(recipe, **{name: x for name, x in vars(args).items() if name in names})

    def fixed(self) -> dict:
        """Return the options that a resumed run must repeat, {name: JSON value}."""
        values = dataclasses.asdict(self)
        values |= values.pop("recipe")
        del values["epochs"], values["keep_optimizer"]
        return json.loads(json.dumps(values))

    def check(self, frame_pixels: int) -> None:
        """Raise if options exclude each other, or a step needs too much memory.

        This comes first: reading images and validating a model may take minutes.
        """
        recipe = self.recipe
        if self.emphasis and not recipe.crop:
            raise UserError("--emphasis: works on crops only, leave it out or add --crop 256")
        pixels = recipe.batch_size * (recipe.crop**2 if recipe.crop else frame_pixels)
        if pixels > MAX_STEP_PIXELS:
            raise UserError(
                f"--batch-size {recipe.batch_size}: {pixels:,} pixels per step, the limit is "
                f"{MAX_STEP_PIXELS:,}, choose a smaller batch, or smaller frames or crops"
            )


def recipe_of(options: dict, default: Recipe) -> Recipe:
    """Return a recipe of the options that are in it and not None, and else of a default.

    `options` are the arguments of a command line, or the `training` of a model file.
    """
    given = {field.name: options.get(field.name) for field in dataclasses.fields(Recipe)}
    return dataclasses.replace(default, **{k: v for k, v in given.items() if v is not None})


# ---------------------------------------------------------------- command line


def multiple(text: str) -> int:
    """argparse type: a frame or crop size, a multiple of 16."""
    value = number(int, STRIDE, MAX_FRAME_SIDE)(text)
    if value % STRIDE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a multiple of {STRIDE}")
    return value


def emphasis(text: str) -> tuple[str, float]:
    """argparse type: PATTERN=FACTOR."""
    pattern, sign, factor = text.rpartition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not PATTERN=FACTOR, such as rat*=3")
    return pattern, number(float, 0.001, 1000)(factor)


def add_recipe_options(parser: argparse.ArgumentParser, continued: bool = False) -> None:
    """Add the options of a `Recipe`; if `continued`, options not given stay None (the model's)."""

    def add(name: str, help: str, **settings: object) -> None:
        default = getattr(Recipe, name[2:].replace("-", "_"))
        shown = {None: "whole frames", False: "no"}.get(default, default)
        if continued:
            default = None
            shown = "that of the old model"
        parser.add_argument(name, default=default, help=f"{help} (default: {shown})", **settings)

    add(
        "--crop",
        "train on random crops of PX x PX pixels, inverted to bright myelin and rescaled to one "
        "fiber width; the model then takes images of any size",
        type=multiple,
        metavar="PX",
    )
    add(
        "--augment",
        "vary the crops (rotation, flips, scale, grey values, illumination, sharpness, noise); "
        "needs --crop",
        action="store_true",
    )
    add(
        "--loss",
        "what training minimises: dice = minus the Dice coefficient; dice+crossentropy = plus "
        "cross-entropy, steadier on crops with little myelin; dice+gaps = with more weight on gaps "
        "between touching sheaths and on small axons",
        choices=list(LOSSES),
    )
    add("--batch-size", "frames or crops per step", type=number(int, 1, 4096), metavar="N")
    add(
        "--steps",
        "steps per epoch with --crop; whole frames are used once per epoch",
        type=number(int, 1),
        metavar="N",
    )
    add("--learning-rate", "step size of Adam", type=number(float, 1e-8, 1), metavar="R")
    add(
        "--schedule",
        "learning rate over the training: constant, or falling to 0 along a cosine",
        choices=["constant", "cosine"],
    )
    add(
        "--precision",
        "numbers to compute with: bfloat16 takes about 0.6 of the time on processors and GPUs that "
        "support it; weights and the model file stay float32",
        choices=list(TRAINING_PRECISIONS),
    )
    add(
        "--average",
        "momentum of a moving average of the weights, such as 0.97, that ends each epoch; 0: none",
        type=number(float, 0, 0.9999),
        metavar="M",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a `Run` that train.py and extra_training.py share."""
    parser.add_argument(
        "--pixel-size",
        dest="pixel_size_um",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of the training images, kept in the model file for information "
        "(default: unknown)",
    )
    parser.add_argument(
        "--validation-split",
        type=number(float, 0, 0.9),
        default=0.2,
        metavar="F",
        help="fraction of the images, the last ones by name, held back to choose the best epoch; "
        "0 keeps the last epoch (default: 0.2)",
    )
    parser.add_argument(
        "--validate-on",
        metavar="IDS",
        help="images to hold back instead: ids separated by commas, * matches anything, "
        "such as rat3_*,rat8_* (default: see --validation-split)",
    )
    parser.add_argument(
        "--emphasis",
        type=emphasis,
        action="append",
        default=[],
        metavar="IDS=F",
        help="with --crop: take F times as many crops from these images; may be repeated "
        "(default: in proportion to area)",
    )
    parser.add_argument(
        "--threshold",
        type=number(float, 0.01, 0.99),
        metavar="P",
        help="probability from which find_myelin.py calls a pixel myelin, kept in the model file; "
        "choose it on images that were held back (default: 0.5, or that of the old model)",
    )
    parser.add_argument(
        "--seed",
        type=number(int, 0, 2**32 - 1),
        default=0,
        metavar="N",
        help="seed of the random numbers; the same seed repeats order and crops (default: 0)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the interrupted run of the same command (default: start from the beginning)",
    )
    parser.add_argument(
        "--without-optimizer",
        dest="keep_optimizer",
        action="store_false",
        help="leave Adam's state out of the model file: 16 MB instead of 93, but "
        "extra_training.py then starts Adam from zero (default: keep it)",
    )
