"""The history of a training: a table of its epochs and the learning curve."""

import contextlib

from myelin.runtime.files import beside, replacing
from myelin.runtime.tables import read_table, write_table

COLUMNS = ["epoch", "loss", "dice", "validation_loss", "validation_dice"]


def append_history(path, row):
    """Add one epoch to the history table; an epoch that was started again replaces its rows."""
    rows = read_history(path) if row[0] > 1 else []
    rows = [old for old in rows if int(old[0]) < row[0]] + [row]
    write_table(path, COLUMNS, rows)


def read_history(path):
    """Return the rows of a history table; none where it does not exist."""
    if not path.exists():
        return []
    # Someone may have written something else into it: start it anew.
    with contextlib.suppress(ValueError):
        _, rows = read_table(path)
        for epoch, *values in rows:
            [int(epoch), *(float(value) for value in values if value)]
        if all(len(row) == len(COLUMNS) for row in rows):
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
