"""Train a network: start or resume, fit, keep the best epoch.

Importing this module imports Keras.
"""

import dataclasses
import datetime
import glob
import math
import sys
from pathlib import Path

import unet
from myelin.network.engine import keras_devices, start_keras
from myelin.network.model_file import RESUME, load_model, restore_adam, save_model
from myelin.network.preprocessing import Preprocessing, dataset_statistics
from myelin.runtime.cli import UserError, count_of, running
from myelin.runtime.files import beside, remove_leftovers
from myelin.train.pairs import Pairs, split
from myelin.train.recipe import Recipe, Run

keras = start_keras()  # first, since it keeps TensorFlow's start-up messages from the terminal

from myelin.train.batches import Batches, CropBatches, FrameBatches  # noqa: E402
from myelin.train.recorder import Recorder, TrainingState  # noqa: E402


def new_network(run: Run, pairs: Pairs) -> TrainingState:
    """Return an untrained, compiled network."""
    recipe = run.recipe
    settings = Preprocessing(
        frame="native" if recipe.crop else "resize",
        rows=run.size,
        cols=run.size,
        myelin="bright" if recipe.crop else "as it is",
        normalize=run.normalize,
    )
    if run.normalize == "dataset":
        settings.mean, settings.std = dataset_statistics(pairs.all_images(), settings)
    # With the initial weights of 2018 the signal halves at each level, and from crops the bottom,
    # which sees most of the surroundings, learned nothing: its output stayed below 0.01.
    keras.utils.set_random_seed(run.seed)
    network = unet.get_unet(run.size, run.size, "he_normal" if recipe.crop else "glorot_uniform")
    return TrainingState(compile_network(network, recipe), settings)


def resumed_network(path: Path, run: Run) -> TrainingState:
    """Return the state of an interrupted run that was to write the model file `path`."""
    last = beside(path, RESUME)
    if not last.exists():
        raise UserError(f"{last}: no interrupted run, start it without --resume")
    network, settings, adam = load_model(last)
    reached = settings.provenance.pop("state")
    for name, value in run.fixed().items():
        before = reached["options"].get(name)
        if before != value:
            option = name.removesuffix("_um").replace("_", "-")
            raise UserError(
                f"--{option}: {value}, but the interrupted run had {before}, give the same options "
                "with --resume"
            )
    network = compile_network(network, run.recipe)
    restore_adam(network, adam)
    return TrainingState(network, settings, reached["epoch"], reached["best"])


def compile_network(network: keras.Model, recipe: Recipe) -> keras.Model:
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


def validate(state: TrainingState, pairs: Pairs, run: Run) -> tuple[float, float | None]:
    """Return loss and Dice on the validation frames; infinity and None without any."""
    _, held_out = split(pairs, run.validation_split, run.validate_on)
    if not held_out:
        return math.inf, None
    batches = FrameBatches(pairs, held_out, state.settings)
    verbose = int(sys.stdout.isatty())
    results = state.network.evaluate(batches, verbose=verbose, return_dict=True)
    return results["loss"], results["dice_coef"]


def fit(path: Path, state: TrainingState, pairs: Pairs, run: Run) -> str:
    """Train; `path` holds the best epoch, also after Ctrl-C. Return which was kept, as a line.

    The settings of `state` go into the file, and their provenance is completed.
    """
    if path.exists():
        print(f"note: {path}: will be replaced by the first epoch that is kept")
    remove_leftovers(path.parent, f".{glob.escape(path.stem)}_resume.tmp-*")  # of killed runs
    network = state.network
    settings = state.settings
    training, held_out = split(pairs, run.validation_split, run.validate_on)
    batches = training_batches(pairs, training, settings, run, state.epochs)
    validation = FrameBatches(pairs, held_out, settings) if held_out else None
    settings.training = dataclasses.asdict(run.recipe)
    settings.provenance |= {
        "date": datetime.date.today().isoformat(),
        "command": running["command"],
        "training_images": len(training),
        "validation_images": [pairs.ids[i] for i in held_out],
    }
    print(f"device: {', '.join(keras_devices())}; {network.count_params():,} parameters")
    print(
        f"{count_of(len(training), 'training image')}, "
        f"{count_of(len(held_out), 'validation image')}, {count_of(run.epochs, 'epoch')}"
    )
    if settings.provenance.get("old_validation_dice") is not None:
        before = f"Dice {settings.provenance['old_validation_dice']:.4f}"
        print(f"before the training: {settings.provenance['old_model']} has {before}", flush=True)
    if state.epochs == 0 and state.best < math.inf:  # the old model is kept until one is better
        settings.provenance |= {"epochs": 0, "best_validation_loss": state.best}
        save_model(path, network, settings, run.keep_optimizer)
    # From here on those of these images, not of the old model's.
    settings.pixel_size_um = run.pixel_size_um
    settings.fiber_px = pairs.fiber_px
    settings.threshold = run.threshold or settings.threshold
    try:
        network.fit(
            batches,
            validation_data=validation,
            initial_epoch=state.epochs,
            epochs=run.epochs,
            shuffle=False,  # batches are shuffled by the seed of the run
            callbacks=[Recorder(path, state, run, len(batches))],
            verbose=1 if sys.stdout.isatty() else 2,
        )
        beside(path, RESUME).unlink(missing_ok=True)
    except BaseException:  # also Ctrl-C
        print(kept_text(path, settings.provenance))
        raise
    return kept_text(path, settings.provenance)


def kept_text(path: Path, made: dict) -> str:
    """Return what a model file holds after a training, from its provenance."""
    epoch, dice, old = made.get("epochs"), made.get("best_validation_dice"), made.get("old_model")
    if epoch is None:
        return f"{path}: not written, as no epoch was finished"
    if dice is None:
        return f"{path}: epoch {epoch}, the last, as no image was held back to compare epochs"
    held_out = count_of(len(made["validation_images"]), "image")
    if epoch == 0:
        return f"{path}: a copy of {old}, as no epoch was better (Dice {dice:.4f} on {held_out})"
    text = f"{path}: epoch {epoch} was the best, with Dice {dice:.4f} on {held_out} held back"
    before = made.get("old_validation_dice")
    gain = "" if before is None else f", {dice - before:+.4f} against {before:.4f} of {old}"
    return text + gain


def training_batches(
    pairs: Pairs, training: list[int], settings: Preprocessing, run: Run, start: int
) -> Batches:
    """Return the batches to train on, of a run that has done `start` epochs."""
    random = {"seed": run.seed, "epoch": start}
    if run.recipe.crop:
        return CropBatches(pairs, training, settings, run.recipe, run.emphasis, **random)
    return FrameBatches(pairs, training, settings, run.recipe.batch_size, **random)
