"""Train a network: start or go on, fit, keep the best.

Importing this module imports Keras.
"""

import dataclasses
import datetime
import math
import sys
import tempfile

import unet
from myelin.network.engine import keras_devices, start_keras
from myelin.network.model_file import RESUME, load_model, restore_adam, save_model
from myelin.network.preprocessing import Preprocessing, dataset_statistics
from myelin.runtime.cli import UserError, running
from myelin.runtime.files import beside
from myelin.train.history import draw_curve
from myelin.train.pairs import split

keras = start_keras()  # first: what it reports while it starts is kept from the terminal

from myelin.train.batches import CropBatches, FrameBatches  # noqa: E402
from myelin.train.recorder import Recorder  # noqa: E402


@dataclasses.dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    network : keras.Model
        Compiled.
    settings : Preprocessing
    epochs : int
        Done already.
    best : float
        Validation loss that an epoch must fall below to be kept.
    """

    network: object
    settings: Preprocessing
    epochs: int = 0
    best: float = math.inf


def new_network(run, pairs):
    """Return an untrained, compiled network for a run, `Progress`.

    Parameters
    ----------
    run : recipe.Run
    pairs : pairs.Pairs
    """
    recipe, size = run.recipe, run.size
    settings = Preprocessing(
        frame="native" if recipe.crop else "resize",
        rows=size,
        cols=size,
        myelin="bright" if recipe.crop else "as it is",
        normalize=run.normalize,
    )
    if run.normalize == "dataset":
        settings.mean, settings.std = dataset_statistics(pairs.all_images(), settings)
    # The original's start shrinks the signal by half at each level, and the bottom, which sees
    # most of the surroundings, learned nothing from crops: its output stayed below 0.01.
    keras.utils.set_random_seed(run.seed)
    network = unet.get_unet(size, size, "he_normal" if recipe.crop else "glorot_uniform")
    network = compile_network(network, recipe)
    return Progress(network, settings)


def resumed_network(path, run):
    """Return the `Progress` of an interrupted run.

    Parameters
    ----------
    path : Path
        The model file that the run was to write.
    run : recipe.Run

    Raises
    ------
    UserError
        There is no such run, or it had other options.
    """
    last = beside(path, RESUME)
    if not last.exists():
        raise UserError(f"{last}: no interrupted run, start it without --resume")
    network, settings, adam = load_model(last)
    state = settings.provenance.pop("state", None)
    try:
        options, epochs, best = dict(state["options"]), int(state["epoch"]), float(state["best"])
    except (TypeError, ValueError, KeyError):
        options = {}
    if not options or not adam:
        raise UserError(f"{last}: not of an interrupted run, start it without --resume")
    for name, value in run.fixed().items():
        if options.get(name) != value:
            raise UserError(
                f"--{name}: {value}, but the interrupted run had {options.get(name)}, give the "
                "same options with --resume"
            )
    network = compile_network(network, run.recipe)
    restore_adam(network, adam)
    return Progress(network, settings, epochs, best)


def compile_network(network, recipe):
    """Return the network in the recipe's precision, compiled with its loss and Dice as metric."""
    if recipe.precision != "float32":
        reduced = unet.get_unet(*network.input_shape[1:3], precision=recipe.precision)
        reduced.set_weights(network.get_weights())
        network = reduced
    network.compile(
        optimizer=keras.optimizers.Adam(
            recipe.learning_rate, use_ema=recipe.average > 0, ema_momentum=recipe.average
        ),
        loss=unet.LOSSES[recipe.loss],
        metrics=[unet.dice_coef],
    )
    return network


def validate(progress, pairs, run):
    """Return loss and Dice of a network on the validation frames; infinity and None without any."""
    _, held = split(pairs, run.validation_split, run.validate_on)
    if not held:
        return math.inf, None
    batches = FrameBatches(pairs, held, progress.settings)
    found = progress.network.evaluate(batches, verbose=int(sys.stdout.isatty()), return_dict=True)
    return found["loss"], found["dice_coef"]


def fit(path, progress, pairs, run):
    """Train; `path` holds the best epoch whenever this ends or is stopped.

    Parameters
    ----------
    path : Path
        The model file to write.
    progress : Progress
        Its settings go into the file, and their provenance is completed.
    pairs : pairs.Pairs
    run : recipe.Run
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):  # a folder that cannot be written: say so now
        pass
    if path.exists():
        print(f"note: {path} is replaced by the first epoch that is kept")
    network, settings = progress.network, progress.settings
    training, held = split(pairs, run.validation_split, run.validate_on)
    batches = training_batches(pairs, training, settings, run, progress.epochs)
    validation = FrameBatches(pairs, held, settings) if held else None
    settings.training = dataclasses.asdict(run.recipe)
    settings.provenance |= {
        "date": datetime.date.today().isoformat(),
        "command": running["command"],
        "training_images": len(training),
        "validation_images": [pairs.ids[i] for i in held],
    }
    print(f"device: {', '.join(keras_devices())}; {network.count_params():,} parameters")
    print(f"{len(training)} training and {len(held)} validation images, {run.epochs} epochs")
    if progress.epochs == 0 and progress.best < math.inf:  # an old model stays until one is better
        settings.provenance |= {"epochs": 0, "best_validation_loss": progress.best}
        save_model(path, network, settings, run.keep_optimizer)
    # These images' own, no longer the old model's.
    settings.pixel_size_um, settings.fiber_px = run.pixel_size_um, pairs.fiber_px
    settings.threshold = run.threshold or settings.threshold
    steps = len(batches)
    recorder = Recorder(path, network, settings, run, steps, progress.epochs, progress.best)
    try:
        network.fit(
            batches,
            validation_data=validation,
            initial_epoch=progress.epochs,
            epochs=run.epochs,
            shuffle=False,  # the batches are random by themselves, by the run's seed
            callbacks=[recorder],
            verbose=1 if sys.stdout.isatty() else 2,
        )
        beside(path, RESUME).unlink(missing_ok=True)
    finally:  # also after Ctrl-C
        draw_curve(path)


def training_batches(pairs, training, settings, run, start):
    """Return the batches to learn from, those of a run that has done `start` epochs."""
    if run.recipe.crop:
        return CropBatches(pairs, training, settings, run.recipe, run.emphasis, run.seed, start)
    return FrameBatches(pairs, training, settings, run.recipe.batch_size, run.seed, start)
