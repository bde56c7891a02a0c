"""Training on several devices at once, `--distribute`: each takes its part of every batch.

Keras shares a training among devices through `keras.distribution`, which works with JAX alone. The
loss is that of the whole batch, as on one device: a mean of the devices' own Dice, which is what
TensorFlow's strategies would give, is another.
"""

import keras

from myelin.cli import UserError
from myelin.pairs import split


class Parts(keras.distribution.DataParallel):
    """Keras's own, but what does not divide among the devices is computed by each of them.

    These are validation frames, which come one by one.
    """

    def get_data_layout(self, data_shape):
        """Return how an array of a batch is laid out; its first axis is that of the batch."""
        if data_shape[0] % self.num_model_replicas:
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        return super().get_data_layout(data_shape)


def distribute(run, pairs):
    """Share the training among all devices of this machine; call it before a network is built.

    Parameters
    ----------
    run : recipe.Run
    pairs : pairs.Pairs

    Raises
    ------
    UserError
        Keras has another backend than JAX, there is one device, or the batches do not divide among
        the devices.
    """
    if keras.backend.backend() != "jax":
        raise UserError(
            f"--distribute: Keras runs on {keras.backend.backend()} and shares a training among "
            "devices with JAX alone, run pip install jax and set KERAS_BACKEND to jax"
        )
    devices = keras.distribution.list_devices()
    if len(devices) < 2:
        raise UserError(f"--distribute: JAX finds one device ({devices[0]}), leave it out")
    batch = run.recipe.batch_size
    if batch % len(devices):
        raise UserError(
            f"--batch-size {batch}: does not divide among {len(devices)} devices, give a multiple"
        )
    training, _ = split(pairs, run.validation_split, run.validate_on)
    if not run.recipe.crop and len(training) % batch % len(devices):
        raise UserError(
            f"--batch-size {batch}: leaves {len(training) % batch} of {len(training)} frames, "
            f"which do not divide among {len(devices)} devices, give another or train on crops"
        )
    keras.distribution.set_distribution(Parts(devices=devices, auto_shard_dataset=False))
