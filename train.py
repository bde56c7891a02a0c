"""Train a new model on the packed pairs, keep its best epoch, then segment the test images.

    python train.py newmyelin.h5 100
    python train.py newmyelin.h5 40 --crop 256 --augment --normalize image --loss dice+crossentropy

The first call is the procedure of 2018: whole frames of 1024 x 1024, minus Dice, Adam at 1e-3, the
last 20 % of the frames for validation. The second learns from random crops at the pictures' own
resolution; its model takes pictures of any size. Writes models/newmyelin.h5 (after each better
epoch), newmyelin_history.csv and newmyelin_curve.png; until the run is complete also
newmyelin_resume.h5, from which --resume goes on.
"""

import argparse
import contextlib
import csv
import dataclasses
import datetime
import json
import math
import sys
import tempfile
import time

import unet
from find_myelin import segment_if_packed
from myelin.cli import Parser, UserError, number, replacing, running, script, write_table
from myelin.images import check_pixel_size
from myelin.pairs import Pairs, make_batches, split
from unet import DEFAULT_SIZE, LOSSES, MAX_FRAME_SIDE, RESUME, STRIDE, Preprocessing

WARM_UP_STEPS = 200  # of the cosine schedule: full steps at random weights can kill ReLUs
# A pixel of a training step takes about 2.6 kB; this many, 87 GB: more is a mistake in the options.
MAX_STEP_PIXELS = 2**25
HISTORY_COLUMNS = ["epoch", "loss", "dice", "validation_loss", "validation_dice"]


# ---------------------------------------------------------------- the training itself


def beside(path, ending):
    """Return a file's companion: models/x.h5 and "_history.csv" give models/x_history.csv."""
    return path.with_name(path.stem + ending)


def make_recorder(path, network, settings, args, steps, start, best):
    """Return the keras callback that sets the learning rate and keeps history and best epoch."""
    from keras.callbacks import Callback

    class Recorder(Callback):
        def on_train_begin(self, logs=None):
            self.step, self.best, self.clock = start * steps, best, None

        def on_train_batch_begin(self, batch, logs=None):
            rate = learning_rate(args, self.step, args.epochs * steps)
            network.optimizer.learning_rate = rate

        def on_train_batch_end(self, batch, logs=None):
            self.step += 1
            done = self.step - start * steps
            if done == 1:  # the first step builds the graph; time from the second on
                self.clock = time.monotonic()
            elif done == 4:
                epoch = (time.monotonic() - self.clock) / 3 * steps
                left = epoch * (args.epochs - start) / 60
                print(f"about {epoch:.0f} s per epoch, {left:.0f} minutes in all", flush=True)

        def on_epoch_end(self, epoch, logs=None):
            if not math.isfinite(logs["loss"]):
                raise UserError(
                    f"epoch {epoch + 1}: the training diverged (loss {logs['loss']}), start again "
                    "with a lower --learning-rate"
                )
            validated = "val_loss" in logs
            row = [epoch + 1, logs["loss"], logs["dice_coef"]]
            row += [logs["val_loss"], logs["val_dice_coef"]] if validated else ["", ""]
            if not validated or logs["val_loss"] < self.best:  # unvalidated: the last epoch stays
                self.best = logs["val_loss"] if validated else self.best
                settings.provenance["epochs"] = epoch + 1
                settings.provenance["best_validation_loss"] = logs.get("val_loss")
                settings.provenance["best_validation_dice"] = logs.get("val_dice_coef")
                unet.save_model(path, network, settings, not args.without_optimizer)
            state = {"epoch": epoch + 1, "best": self.best, "options": run_options(args)}
            last = dataclasses.replace(settings, provenance={**settings.provenance, "state": state})
            unet.save_model(beside(path, RESUME), network, last)
            try:
                append_history(beside(path, "_history.csv"), row)
            except OSError as error:  # open in Excel, say: not worth a day's training
                print(f"note: {error.filename}: {error.strerror}, this epoch is not in it")

    return Recorder()


def learning_rate(args, step, total):
    """Return Adam's step size at one step of `total`: constant, or warmed up along a cosine."""
    if args.schedule == "constant":
        return args.learning_rate
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return args.learning_rate * warm * (1 + math.cos(math.pi * step / total)) / 2


def append_history(path, row):
    """Add one epoch to the history table; an epoch that was started again replaces its rows."""
    rows = read_history(path) if row[0] > 1 else []
    rows = [old for old in rows if int(old[0]) < row[0]] + [row]
    write_table(path, HISTORY_COLUMNS, rows)


def read_history(path):
    """Return the rows of a history table; none where it does not exist."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    # A spreadsheet may have saved it with other separators: start it anew.
    with contextlib.suppress(ValueError):
        for epoch, *values in rows:
            [int(epoch), *(float(value) for value in values if value)]
        if all(len(row) == len(HISTORY_COLUMNS) for row in rows):
            return rows
    return []


def draw_curve(path):
    """Draw Dice against epochs beside the model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = read_history(beside(path, "_history.csv"))
    if not rows:
        return
    epochs = [int(row[0]) for row in rows]
    figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for column, label, colour in ((2, "training", "#0072B2"), (4, "validation", "#D55E00")):
        if rows[0][column]:
            values = [float(row[column]) for row in rows]
            axes.plot(epochs, values, color=colour, label=label, marker="." * (len(rows) < 30))
    axes.set(xlabel="epoch", ylabel="Dice coefficient", title=path.name.replace("$", r"\$"))
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(beside(path, "_curve.png")) as temporary:
        figure.savefig(temporary, dpi=200)
    plt.close(figure)


def check_options(args, frame_pixels):
    """Raise where options do not go together, or a step would fill any memory.

    Called before pictures are read or a model is validated, which may take minutes.
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
    print(f"device: {', '.join(unet.keras_devices())}; {network.count_params():,} parameters")
    print(f"{len(training)} training and {len(held)} validation images, {args.epochs} epochs")
    if start == 0 and best < math.inf:  # the model that is continued, until an epoch is better
        settings.provenance |= {"epochs": 0, "best_validation_loss": best}
        unet.save_model(path, network, settings, not args.without_optimizer)
    settings.pixel_size_um = args.pixel_size  # these pictures' own, no longer the old model's
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


def run_options(args):
    """Return the options that must be the same when a run is resumed, as JSON keeps them."""
    free = ("model", "old", "new", "epochs", "resume", "without_optimizer")
    options = {name: value for name, value in vars(args).items() if name not in free}
    return json.loads(json.dumps(options))


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
        "learn from random crops of PX x PX pixels at the pictures' own resolution, "
        "myelin always bright; the model then takes pictures of any size",
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
        "µm per pixel of the training pictures, kept in the model so that others can be resampled "
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
    network, settings, adam = unet.load_model(last)
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
    unet.restore_adam(network, adam)
    return network, settings, epoch, best


@script
def main(argv=None):
    """Train a new model."""
    parser = Parser(__doc__)
    parser.add_argument("model", help="model file to write, into models/ when a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="how often to go through the data")
    parser.add_argument(
        "--size",
        type=multiple,
        metavar="PX",
        help="whole frames are resized to PX x PX pixels (default: 1024)",
    )
    parser.add_argument(
        "--normalize",
        choices=["dataset", "image"],
        default="dataset",
        help="subtract the mean and divide by the standard deviation of the whole training set, "
        "or of each picture by itself (default: dataset)",
    )
    add_training_options(parser)
    args = parser.parse_args(argv)
    if args.augment and not args.crop:
        parser.error("--augment needs --crop")
    if args.crop and args.size:
        parser.error("--size is of whole frames, leave it out with --crop")
    check_options(args, (args.size or DEFAULT_SIZE) ** 2)
    path = unet.model_path(args.model)

    pairs = Pairs(as_bright=bool(args.crop))
    keras = unet.start_keras()
    keras.utils.set_random_seed(args.seed)
    start, best = 0, math.inf
    if args.resume:
        network, settings, start, best = resumed(path, args)
    else:
        size = None if args.crop else args.size or DEFAULT_SIZE
        settings = Preprocessing(
            frame="native" if args.crop else "resize",
            rows=size,
            cols=size,
            myelin="bright" if args.crop else "as it is",
            normalize=args.normalize,
        )
        if args.normalize == "dataset":
            settings.mean, settings.std = unet.dataset_statistics(pairs.all_images(), settings)
        # The original's start shrinks the signal by half at each level, and the bottom, which sees
        # most of the surroundings, learned nothing from crops: its output stayed below 0.01.
        network = unet.get_unet(size, size, "he_normal" if args.crop else "glorot_uniform")
        compile_network(network, args)
    fit(path, network, settings, pairs, args, start, best)
    segment_if_packed(path)


if __name__ == "__main__":
    main()
