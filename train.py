"""Train a new model on the packed pairs, keep its best epoch, then segment the test images.

    python train.py newmyelin.h5 100
    python train.py newmyelin.h5 40 --crop 256 --augment --normalize image --loss dice+crossentropy

The first call is the procedure of 2018: whole frames of 1024 x 1024, minus Dice, Adam at 1e-3, the
last 20 % of the frames for validation. The second learns from random crops at the pictures' own
resolution; its model takes pictures of any size. Writes models/newmyelin.h5 (after each better
epoch), newmyelin_history.csv and newmyelin_curve.png.
"""

import argparse
import csv
import dataclasses
import datetime
import fnmatch
import math
import sys
import time
from pathlib import Path

import cv2
import numpy as np

import unet
from data import (
    NPYDATA,
    UserError,
    check_pixel_size,
    load_array,
    load_train,
    number,
    replacing,
    script,
)
from find_myelin import segment_if_packed
from unet import DEFAULT_SIZE, LOSSES, STRIDE, Preprocessing

# Augmentation of crops. Ranges cover what laboratories' microscopes differ by.
SCALE = (0.5, 2.0)  # magnification; pixel sizes of 0.05 to 0.3 µm around those of a training set
GAMMA = (0.6, 1.6)
CONTRAST = (0.75, 1.35)  # factor on the normalised picture: margins and cells shift statistics
BRIGHTNESS = 0.3  # shift, in standard deviations of the picture
SHADING = 0.2  # uneven illumination: gain varies by up to this over a crop
MAX_BLUR_PX = 1.5  # standard deviation of the Gaussian
MAX_NOISE = 0.25  # standard deviation, in standard deviations of the picture
MARGIN_PROBABILITY = 0.15  # crops that reach over the picture's edge see a black or white margin
# A validation frame of "native" models is cut to this from its centre: a big one fills memory.
VALIDATION_SIZE = 1024
WARM_UP_STEPS = 100  # of the cosine schedule: full steps at random weights can kill ReLUs
HISTORY_COLUMNS = ["epoch", "loss", "dice", "validation_loss", "validation_dice"]


# ---------------------------------------------------------------- pairs for the network


class Pairs:
    """The packed training pairs, one at a time.

    Parameters
    ----------
    as_bright : bool
        Invert the pictures whose myelin is darker than the rest, as their masks tell, so that one
        network serves both; else take all as they are, as the original did.
    """

    def __init__(self, as_bright):
        self.images, self.masks, self.shapes = load_train()
        self.ids = [str(name) for name in load_array(NPYDATA / "imgs_id_train.npy")]
        if len(self.ids) != len(self.images):
            raise UserError(f"{NPYDATA}/imgs_id_train.npy: does not fit, run python data.py again")
        self.dark = [as_bright and self.is_dark(index) for index in range(len(self))]
        self.histograms = [unet.histogram(self.image(index)) for index in range(len(self))]

    def __len__(self):
        return len(self.images)

    def is_dark(self, index):
        """Whether the myelin of a pair is darker than the rest, margins left out."""
        rows, cols = self.shapes[index]
        image = self.images[index][:rows, :cols]
        mask = self.masks[index][:rows, :cols] > 0
        content = (image > 0) & (image < 255)
        if not (mask & content).any() or not (~mask & content).any():
            return False
        return bool(image[mask & content].mean() < image[~mask & content].mean())

    def image(self, index, window=np.s_[:, :]):
        """Return the picture, uint8 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        image = self.images.mapped(index)[:rows, :cols][window]
        return 255 - image if self.dark[index] else np.array(image)

    def mask(self, index, window=np.s_[:, :]):
        """Return the mask, uint8 0/255 (rows, cols), or a window of it."""
        rows, cols = self.shapes[index]
        return np.array(self.masks.mapped(index)[:rows, :cols][window])


def split(pairs, fraction, pattern=None):
    """Return (training, validation) indices.

    Validation takes the frames whose id fits one of the comma-separated patterns, or else the
    last `fraction` of all frames (never crops of a training frame).
    """
    count = len(pairs)
    if pattern:
        wanted = pattern.split(",")
        held = [i for i, name in enumerate(pairs.ids) if any(map(name_fits(name), wanted))]
        if not held:
            raise UserError(f"--validate-on {pattern}: no training image of that name, give ids")
    else:
        held = list(range(count - math.ceil(count * fraction), count))
    training = [i for i in range(count) if i not in held]
    if not training or (fraction and not held):
        raise UserError(
            f"{NPYDATA}/imgs_train.npy: {count} pairs, which leaves {len(training)} to train on "
            f"and {len(held)} to validate on, add pairs to raw/train and run python data.py"
        )
    return training, held


def name_fits(name):
    return lambda pattern: fnmatch.fnmatchcase(name, pattern)


def sampling_weights(pairs, training, emphasis):
    """Return the probability of each training frame in a crop: its area times its emphasis."""
    weights = np.array([np.prod(pairs.shapes[i]) for i in training], float)
    for pattern, factor in emphasis:
        fits = np.array([fnmatch.fnmatchcase(pairs.ids[i], pattern) for i in training])
        if not fits.any():
            raise UserError(f"--emphasis {pattern}={factor:g}: no training image of that name")
        weights[fits] *= factor
    return weights / weights.sum()


def whole_frame(pairs, index, settings):
    """Return one pair as the network sees it: float32 (rows, cols) image and 0..1 mask."""
    image, mask = pairs.image(index), pairs.mask(index)
    if settings.frame == "resize":
        image = unet.resize(image, settings.rows, settings.cols)
        mask = unet.resize(mask, settings.rows, settings.cols)
        return unet.normalize(image, settings), mask.astype(np.float32) / 255
    image = unet.normalize(image, settings)  # by the whole picture's statistics, before the cut
    rows, cols = (min(size, VALIDATION_SIZE) // STRIDE * STRIDE for size in image.shape)
    if not rows or not cols:
        raise UserError(f"{pairs.ids[index]}: {image.shape} pixels, needs {STRIDE} x {STRIDE}")
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - cols) // 2
    window = np.s_[top : top + rows, left : left + cols]
    return image[window], mask[window].astype(np.float32) / 255


def random_crop(pairs, index, size, settings, augment, rng):
    """Return one random crop of a pair: float32 (size, size) image and 0..1 mask.

    Without `augment` the crop is cut as it is. With it, one affine map turns, flips and scales;
    then grey values, illumination, sharpness and noise vary as between microscopes.
    """
    scale, angle, flip = 1.0, 0.0, 1.0
    if augment:
        scale = math.exp(rng.uniform(*np.log(SCALE)))
        angle, flip = rng.uniform(0, 2 * math.pi), rng.choice([-1.0, 1.0])
    rows, cols = (int(n) for n in pairs.shapes[index])
    reach = size / 2 / scale  # half the crop, in pixels of the picture
    margin = augment and rng.random() < MARGIN_PROBABILITY
    inside = 0 if margin else reach
    y = rng.uniform(min(inside, rows / 2), max(rows - inside, rows / 2))
    x = rng.uniform(min(inside, cols / 2), max(cols - inside, cols / 2))
    half = math.ceil(reach * (1.5 if angle else 1)) + 2
    top, left = max(int(y) - half, 0), max(int(x) - half, 0)
    window = np.s_[top : int(y) + half, left : int(x) + half]
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    centre = (size - 1) / 2
    # Maps crop pixels to picture pixels (WARP_INVERSE_MAP), so nothing is interpolated twice.
    affine = np.array([[flip * cos, -sin, 0], [flip * sin, cos, 0]])
    affine[:, 2] = np.array([x - 0.5 - left, y - 0.5 - top]) - affine[:, :2] @ [centre, centre]

    def warp(source, how, border, value=0):
        flags = how | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            source, affine, (size, size), flags=flags, borderMode=border, borderValue=value
        )

    border = cv2.BORDER_CONSTANT if margin else cv2.BORDER_REFLECT_101
    image, mask = pairs.image(index, window), pairs.mask(index, window)
    grey = 255 if margin and rng.random() < 0.3 else 0
    # Shrinking needs the area's mean; a linear sample of every second pixel would alias.
    if scale < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    image = warp(image, cv2.INTER_LINEAR, border, grey)
    mask = warp(mask, cv2.INTER_LINEAR, border) > 127
    curve = np.arange(256.0)
    if augment:
        curve = 255 * (curve / 255) ** math.exp(rng.uniform(*np.log(GAMMA)))
    mean, std = settings.mean, settings.std
    if settings.normalize == "image":
        mean, std = unet.image_statistics(pairs.histograms[index], curve)
    image = ((curve[image] - mean) / std).astype(np.float32)
    if not augment:
        return image, mask
    field = rng.uniform(-SHADING, SHADING, (3, 3)).astype(np.float32)
    image *= 1 + cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, MAX_BLUR_PX))
    image *= math.exp(rng.uniform(*np.log(CONTRAST)))
    image += rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    if rng.random() < 0.5:
        noise = rng.standard_normal((size, size), dtype=np.float32)
        image += rng.uniform(0, MAX_NOISE) * noise
    return image, mask


def make_batches(pairs, indices, settings, args, training):
    """Return a keras PyDataset of (image, mask) batches, float32 (batch, rows, cols, 1)."""
    from keras.utils import PyDataset

    rng = np.random.default_rng(args.seed)
    weights = sampling_weights(pairs, indices, args.emphasis) if training and args.crop else None
    size = args.batch_size if training else 1

    class Batches(PyDataset):
        def __init__(self):
            super().__init__()
            self.order = list(indices)
            self.on_epoch_end()

        def __len__(self):
            return args.steps if weights is not None else math.ceil(len(indices) / size)

        def __getitem__(self, step):
            if weights is not None:
                chosen = rng.choice(indices, size, p=weights)
                batch = [
                    random_crop(pairs, i, args.crop, settings, args.augment, rng) for i in chosen
                ]
            else:
                chosen = self.order[step * size : (step + 1) * size]
                batch = [whole_frame(pairs, i, settings) for i in chosen]
            images, masks = zip(*batch, strict=True)
            return (
                np.stack(images)[..., None].astype(np.float32),
                np.stack(masks)[..., None].astype(np.float32),
            )

        def on_epoch_end(self):
            if training:
                rng.shuffle(self.order)

    return Batches()


# ---------------------------------------------------------------- the training itself


def beside(path, ending):
    """Return a file's companion: models/x.h5 and "_history.csv" give models/x_history.csv."""
    return path.with_name(path.stem + ending)


def make_recorder(path, network, settings, args, steps, start, best):
    """Return the keras callback that sets the learning rate and keeps history and best epoch."""
    from keras.callbacks import Callback

    total_steps = args.epochs * steps

    class Recorder(Callback):
        def on_train_begin(self, logs=None):
            self.step, self.best, self.clock = start * steps, best, None

        def on_train_batch_begin(self, batch, logs=None):
            if args.schedule == "cosine":
                warm = min(1.0, (self.step + 1) / WARM_UP_STEPS)
                falling = (1 + math.cos(math.pi * self.step / total_steps)) / 2
                network.optimizer.learning_rate = args.learning_rate * warm * falling

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
            validated = "val_loss" in logs
            row = [epoch + 1, logs["loss"], logs["dice_coef"]]
            row += [logs["val_loss"], logs["val_dice_coef"]] if validated else ["", ""]
            append_history(beside(path, "_history.csv"), row)
            if not validated or logs["val_loss"] < self.best:  # unvalidated: the last epoch stays
                self.best = logs["val_loss"] if validated else self.best
                settings.provenance["epochs"] = epoch + 1
                settings.provenance["best_validation_dice"] = logs.get("val_dice_coef")
                unet.save_model(path, network, settings, not args.without_optimizer)
            state = {"epoch": epoch + 1, "best": self.best, "training": settings.training}
            last = dataclasses.replace(settings, provenance={**settings.provenance, "state": state})
            unet.save_model(beside(path, "_last.h5"), network, last)

    return Recorder()


def append_history(path, row):
    """Add one epoch to the history table; an epoch that was started again replaces its rows."""
    rows = read_history(path) if row[0] > 1 else []
    rows = [old for old in rows if int(old[0]) < row[0]] + [row]
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HISTORY_COLUMNS, *rows])


def read_history(path):
    """Return the rows of a history table; none where it does not exist."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


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
    axes.set(xlabel="epoch", ylabel="Dice coefficient", title=path.name)
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(beside(path, "_curve.png")) as temporary:
        figure.savefig(temporary, dpi=200)
    plt.close(figure)


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
    training, held = split(pairs, args.validation_split, args.validate_on)
    batches = make_batches(pairs, training, settings, args, training=True)
    validation = make_batches(pairs, held, settings, args, training=False) if held else None
    settings.training = recipe(args)
    settings.provenance |= {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]),
        "training_images": len(training),
        "validation_images": [pairs.ids[i] for i in held],
    }
    print(f"device: {', '.join(keras_devices())}; {network.count_params():,} parameters")
    print(f"{len(training)} training and {len(held)} validation images, {args.epochs} epochs")
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
        beside(path, "_last.h5").unlink(missing_ok=True)
    finally:  # also after Ctrl-C
        draw_curve(path)


def keras_devices():
    """Return the names of the devices Keras trains on."""
    import keras

    return [keras.backend.backend(), *keras.distribution.list_devices()]


# ---------------------------------------------------------------- command line


def multiple(text):
    """argparse type: a frame or crop size, a multiple of 16."""
    value = number(int, STRIDE, 2**14)(text)
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
# the same way and --resume can tell whether it is the same run. Defaults are those of 2018.
RECIPE = {
    "crop": None,
    "augment": False,
    "loss": "dice",
    "batch_size": 1,
    "steps": 250,
    "schedule": "constant",
    "learning_rate": 1e-3,
    "precision": "float32",
}


def recipe(args):
    return {name: getattr(args, name) for name in RECIPE}


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
        "--precision",
        "what the network computes in; mixed_bfloat16 halves the time on "
        "processors with AVX512-BF16 or AMX and on recent GPUs",
        choices=["float32", "mixed_bfloat16"],
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
    last = beside(path, "_last.h5")
    if not last.exists():
        raise UserError(f"{last}: no interrupted run, start it without --resume")
    network, settings, adam = unet.load_model(last, args.precision)
    state = settings.provenance.pop("state", {})
    if settings.training != recipe(args):
        raise UserError(
            f"{last}: trained with {settings.training}, give the same options with --resume"
        )
    compile_network(network, args)
    unet.restore_adam(network, adam)
    return network, settings, int(state["epoch"]), float(state["best"])


@script
def main(argv=None):
    """Train a new model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="model file to write, into models/ when a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="how often to go through the data")
    parser.add_argument(
        "--size",
        type=multiple,
        default=DEFAULT_SIZE,
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
    parser.add_argument(
        "--pixel-size",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of the training pictures, kept in the model (default: unknown)",
    )
    add_training_options(parser)
    args = parser.parse_args(argv)
    if args.augment and not args.crop:
        parser.error("--augment needs --crop")
    path = unet.model_path(args.model)

    pairs = Pairs(as_bright=bool(args.crop))
    keras = unet.start_keras()
    keras.utils.set_random_seed(args.seed)
    start, best = 0, math.inf
    if args.resume:
        network, settings, start, best = resumed(path, args)
    else:
        size = None if args.crop else args.size
        settings = Preprocessing(
            frame="native" if args.crop else "resize",
            rows=size,
            cols=size,
            myelin="bright" if args.crop else "as it is",
            normalize=args.normalize,
            pixel_size_um=args.pixel_size,
        )
        if args.normalize == "dataset":
            settings.mean, settings.std = unet.dataset_statistics(
                map(pairs.image, range(len(pairs))), settings
            )
        network = unet.get_unet(size, size, args.precision)
        compile_network(network, args)
    fit(path, network, settings, pairs, args, start, best)
    segment_if_packed(path, argv)


if __name__ == "__main__":
    main()
