"""Watch a training: its learning rate, its best epoch, its history table and learning curve."""

import contextlib
import dataclasses
import math
import time
from pathlib import Path

import keras
from keras.callbacks import Callback

from myelin.network.model_file import RESUME, save_model
from myelin.network.preprocessing import Preprocessing
from myelin.runtime.cli import UserError, count_of
from myelin.runtime.files import beside, replacing
from myelin.runtime.tables import read_table, write_table
from myelin.train.recipe import Run

COLUMNS = ["epoch", "loss", "dice", "validation_loss", "validation_dice"]


@dataclasses.dataclass
class TrainingState:
    """A network in training."""

    network: keras.Model  # compiled
    settings: Preprocessing  # its provenance names the epoch that is kept
    epochs: int = 0  # done already
    best: float = math.inf  # validation loss below which an epoch is kept


class Recorder(Callback):
    """Set the learning rate of each step; keep the best epoch, the last one and the history.

    `steps` are those of an epoch.
    """

    def __init__(self, path: Path, state: TrainingState, run: Run, steps: int) -> None:
        super().__init__()
        self.path = path
        self.state = state
        self.run = run
        self.steps = steps
        self.step = state.epochs * steps
        self.rate = None
        self.clock = None

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Set the learning rate."""
        rate = self.run.recipe.rate(self.step, self.run.epochs * self.steps)
        if rate == self.rate:
            return
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # within an epoch it trains on copies of the variables
        self.state.network.optimizer.learning_rate = self.rate = rate

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """End each epoch with averaged weights; after four steps print the expected time."""
        self.step += 1
        if self.run.recipe.average and self.step % self.steps == 0:  # before it is validated
            network = self.state.network
            network.optimizer.finalize_variable_values(network.trainable_variables)
        done = self.step - self.state.epochs * self.steps
        if done == 1:  # the first step builds the graph; time from the second on
            self.clock = time.monotonic()
        elif done == 4:
            epoch = (time.monotonic() - self.clock) / 3 * self.steps
            minutes = round(epoch * (self.run.epochs - self.state.epochs) / 60)
            total = count_of(minutes, "minute")
            print(f"about {epoch:.0f} s per epoch, {total} in total", flush=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keep the epoch if it is the best so far, and the file for `--resume`."""
        if not math.isfinite(logs["loss"]):
            raise UserError(
                f"{self.path}: the training diverged in epoch {epoch + 1} (loss {logs['loss']}), "
                "start again with a lower --learning-rate"
            )
        state = self.state
        loss = logs.get("val_loss")
        dice = logs.get("val_dice_coef")
        if loss is None or loss < state.best:  # without validation the last epoch is kept
            state.best = state.best if loss is None else loss
            state.settings.provenance |= {
                "epochs": epoch + 1,
                "best_validation_loss": loss,
                "best_validation_dice": dice,
            }
            save_model(self.path, state.network, state.settings, self.run.keep_optimizer)
        reached = {"epoch": epoch + 1, "best": state.best, "options": self.run.fixed()}
        provenance = {**state.settings.provenance, "state": reached}
        last = dataclasses.replace(state.settings, provenance=provenance)
        save_model(beside(self.path, RESUME), state.network, last)
        try:
            row = [epoch + 1, logs["loss"], logs["dice_coef"], loss, dice]
            append_history(beside(self.path, "_history.csv"), row)
            draw_curve(self.path, state.settings.provenance)
        except OSError as error:  # such as open in Excel: no reason to lose a training
            print(f"note: {error.filename}: {error.strerror}, epoch {epoch + 1} is missing in it")


def append_history(path: Path, row: list) -> None:
    """Add one epoch to the history table; a repeated epoch replaces its row and later ones."""
    rows = read_history(path) if row[0] > 1 else []
    rows = [old for old in rows if int(old[0]) < row[0]] + [row]
    write_table(path, COLUMNS, rows)


def read_history(path: Path) -> list[list[str]]:
    """Return the rows of a history table; none if it is missing or damaged."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        _, rows = read_table(path)
        for epoch, *values in rows:
            [int(epoch), *(float(value) for value in values if value)]
        if all(len(row) == len(COLUMNS) for row in rows):
            return rows
    return []


def draw_curve(path: Path, made: dict) -> None:
    """Plot Dice against epochs, beside the model; `made` is its provenance."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = read_history(beside(path, "_history.csv"))
    if not rows:
        return
    epochs = [int(row[0]) for row in rows]
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    marker = "." if len(rows) < 30 else ""
    for column, label, colour in ((2, "training", "#0072B2"), (4, "validation", "#D55E00")):
        if rows[0][column]:
            values = [float(row[column]) for row in rows]
            axes.plot(epochs, values, color=colour, label=label, marker=marker)
    if made.get("old_validation_dice") is not None:
        old = {"color": "0.4", "linestyle": "--", "label": made["old_model"].replace("$", r"\$")}
        axes.axhline(made["old_validation_dice"], **old)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="Dice coefficient", title=path.name.replace("$", r"\$"))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(beside(path, "_curve.png")) as temporary:
        figure.savefig(temporary, dpi=200)
