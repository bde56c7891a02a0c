"""What several test files ask of a trained model."""

from pathlib import Path

import h5py
from measuring import read_table

from myelin.network import model_file
from myelin.network.preprocessing import Preprocessing
from myelin.train import fit as training
from myelin.train import recorder
from myelin.train.recipe import Recipe, Run

SIZE = 32
SETTINGS = Preprocessing(
    rows=SIZE, cols=SIZE, mean=120.5, std=40.25, pixel_size_um=0.1, provenance={"epochs": 3}
)


def epochs_of(name):
    return read_table(f"models/{name}_history.csv")


def evaluated_loss(name, training_set):
    """Return the validation loss of a model file."""
    network, settings, _ = model_file.load_model(f"models/{name}.h5")
    training.compile_network(network, Recipe())
    state = training.TrainingState(network, settings)
    return training.validate(state, training_set, Run(Recipe(), epochs=1))[0]


def altered(model, folder, change):
    """Return a copy of a model file after `change(file)`."""
    path = folder / "altered.h5"
    path.write_bytes(model.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def interrupt_in_epoch(monkeypatch, name, wanted):
    """Make the training stop as by Ctrl-C at the end of an epoch, before it is recorded."""
    save = model_file.save_model

    def stop(*arguments):
        if len(recorder.read_history(Path(f"models/{name}_history.csv"))) == wanted - 1:
            raise KeyboardInterrupt
        save(*arguments)

    monkeypatch.setattr(recorder, "save_model", stop)
