"""The same seed gives the same model, in train.py and extra_training.py, resumed or not."""

import numpy as np
import pytest
from trained import interrupt_in_epoch

import extra_training
import train
import unet
from myelin.network import engine, model_file, preprocessing
from myelin.train.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_network", "eager")]


def same_weights(name, other):
    """Return whether two model files hold the same numbers, Adam's among them."""
    (weights, _, adam), (others, _, other_adam) = (
        model_file.read_model_file(f"models/{which}.h5") for which in (name, other)
    )
    arrays = zip([*weights, *adam], [*others, *other_adam], strict=True)
    return all(np.array_equal(one, two) for one, two in arrays)


@pytest.fixture
def pairs_only(packed):
    """A folder with packed pairs; without test images, which training would segment."""
    (packed / "npydata/imgs_test.npy").unlink()


LAST = ["--validation-split", "0"]  # the model is that of the last epoch


def test_a_seed_gives_one_model_resumed_or_not(pairs_only, monkeypatch):
    call = "--crop 32 --augment --normalize image --steps 2 --batch-size 2 --schedule cosine"
    call = ["2", *call.split(), *LAST]
    train.main(["a.h5", *call])
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, "b", 2)
        with pytest.raises(SystemExit, match="130"):
            train.main(["b.h5", *call])
    train.main(["b.h5", *call, "--resume"])
    assert same_weights("a", "b")
    train.main(["c.h5", *call, "--seed", "1"])
    assert not same_weights("a", "c")


def test_averaged_weights_are_saved_and_an_average_continues_from_them(pairs_only):
    train.main("raw.h5 1 --size 32 --validation-split 0 --seed 3".split())
    train.main("avg.h5 1 --size 32 --validation-split 0 --seed 3 --average 0.9".split())
    raw, averaged = (model_file.read_model_file(f"models/{n}.h5") for n in ("raw", "avg"))
    # The five steps are the same; the average lags behind the last one.
    assert np.array_equal(raw[2][2], averaged[2][2]) and len(raw[2]) == len(averaged[2])
    assert not np.allclose(raw[0][0], averaged[0][0], atol=1e-5)
    network, _, adam = model_file.load_model("models/avg.h5")
    from myelin.train import fit  # late: it imports Keras

    network = fit.compile_network(network, Recipe(average=0.9))
    model_file.restore_adam(network, adam)
    network.optimizer.finalize_variable_values(network.trainable_variables)
    assert all(map(np.array_equal, network.get_weights(), averaged[0]))


def test_continued_training_depends_on_its_seed_alone(pairs_only):
    keras = engine.start_keras()
    keras.utils.set_random_seed(0)
    settings = preprocessing.Preprocessing(rows=32, cols=32, mean=120.0, std=60.0)
    model_file.save_model("models/old.h5", unet.get_unet(32, 32), settings)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        keras.utils.set_random_seed(ord(name))  # the state of the process has no effect
        extra_training.main(["old.h5", f"{name}.h5", "1", "--seed", str(seed), *LAST])
    assert same_weights("a", "b") and not same_weights("a", "c")
