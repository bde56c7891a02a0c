"""Watch a training: its learning rate, its best epoch, its history, and where it could go on."""

import dataclasses
import math
import time

import keras
from keras.callbacks import Callback

from myelin.network.model_file import RESUME, save_model
from myelin.runtime.cli import UserError
from myelin.runtime.files import beside
from myelin.train.history import append_history


class Recorder(Callback):
    """Set the learning rate of each step; keep the best epoch, the last one and the history.

    Parameters
    ----------
    path : Path
        The model file.
    network : keras.Model
    settings : preprocessing.Preprocessing
        Written into the file; its provenance tells of the epoch.
    run : recipe.Run
    steps : int
        Steps per epoch.
    start : int
        Epochs already done.
    best : float
        Validation loss that an epoch must fall below to be kept.
    """

    def __init__(self, path, network, settings, run, steps, start, best):
        super().__init__()
        self.path, self.network, self.settings, self.run = path, network, settings, run
        self.steps, self.start, self.best = steps, start, best
        self.step, self.rate, self.clock = start * steps, None, None

    def on_train_batch_begin(self, batch, logs=None):
        """Set the learning rate."""
        rate = self.run.recipe.rate(self.step, self.run.epochs * self.steps)
        if rate == self.rate:
            return
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # within an epoch it trains on copies of the variables
        self.network.optimizer.learning_rate = self.rate = rate

    def on_train_batch_end(self, batch, logs=None):
        """End each epoch with averaged weights; after four steps print the expected time."""
        self.step += 1
        if self.run.recipe.average and self.step % self.steps == 0:  # before it is validated
            self.network.optimizer.finalize_variable_values(self.network.trainable_variables)
        done = self.step - self.start * self.steps
        if done == 1:  # the first step builds the graph; time from the second on
            self.clock = time.monotonic()
        elif done == 4:
            epoch = (time.monotonic() - self.clock) / 3 * self.steps
            left = epoch * (self.run.epochs - self.start) / 60
            print(f"about {epoch:.0f} s per epoch, {left:.0f} minutes in all", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        """Keep the epoch where it is the best so far, and what a resumed run needs."""
        if not math.isfinite(logs["loss"]):
            raise UserError(
                f"epoch {epoch + 1}: the training diverged (loss {logs['loss']}), start again "
                "with a lower --learning-rate"
            )
        loss, dice = logs.get("val_loss"), logs.get("val_dice_coef")
        if loss is None or loss < self.best:  # without validation the last epoch stays
            self.best = self.best if loss is None else loss
            self.settings.provenance |= {
                "epochs": epoch + 1,
                "best_validation_loss": loss,
                "best_validation_dice": dice,
            }
            save_model(self.path, self.network, self.settings, self.run.keep_optimizer)
        self.keep_state(epoch + 1)
        try:
            row = [epoch + 1, logs["loss"], logs["dice_coef"], loss, dice]
            append_history(beside(self.path, "_history.csv"), row)
        except OSError as error:  # open in Excel, say: not worth a day's training
            print(f"note: {error.filename}: {error.strerror}, this epoch is not in it")

    def keep_state(self, epochs):
        """Write the file from which `--resume` goes on."""
        state = {"epoch": epochs, "best": self.best, "options": self.run.fixed()}
        provenance = {**self.settings.provenance, "state": state}
        last = dataclasses.replace(self.settings, provenance=provenance)
        save_model(beside(self.path, RESUME), self.network, last)
