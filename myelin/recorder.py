"""Keep the best epoch and the history of a training."""

import contextlib
import csv
import dataclasses
import json
import math
import time

from myelin import model_file
from myelin.cli import UserError
from myelin.files import replacing, write_table
from myelin.model_file import RESUME

WARM_UP_STEPS = 200  # of the cosine schedule: full steps at random weights can kill ReLUs
HISTORY_COLUMNS = ["epoch", "loss", "dice", "validation_loss", "validation_dice"]


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
                model_file.save_model(path, network, settings, not args.without_optimizer)
            state = {"epoch": epoch + 1, "best": self.best, "options": run_options(args)}
            last = dataclasses.replace(settings, provenance={**settings.provenance, "state": state})
            model_file.save_model(beside(path, RESUME), network, last)
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


def run_options(args):
    """Return the options that must be the same when a run is resumed, as JSON keeps them."""
    free = ("model", "old", "new", "epochs", "resume", "without_optimizer")
    options = {name: value for name, value in vars(args).items() if name not in free}
    return json.loads(json.dumps(options))
