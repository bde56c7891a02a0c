"""Training on several devices, of one host or more, `--distribute`: each takes part of each batch.

Keras shares a training among devices through `keras.distribution`, which works with JAX alone. The
loss is that of the whole batch, as on one device: a mean of the devices' own Dice, which is what
TensorFlow's strategies would give, is another.
"""

import keras

from myelin.runtime.cli import UserError
from myelin.train.hosts import Host, find_first
from myelin.train.pairs import split

ALONE = Host()


class Parts(keras.distribution.DataParallel):
    """Keras's own, but what does not divide among a host's devices is computed by each of them.

    These are validation frames, which come one by one, whole to each host.

    Parameters
    ----------
    host : hosts.Host
    devices : list of str
        Of all hosts.
    """

    def __init__(self, host, devices):
        super().__init__(devices=devices, auto_shard_dataset=False)
        self.host = host

    def get_data_layout(self, data_shape):
        """Return how a host's part of a batch is laid out; its first axis is that of the batch."""
        single = self.host.count > 1 and data_shape[0] == 1
        if single or data_shape[0] % (self.num_model_replicas // self.host.count):
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        return super().get_data_layout(data_shape)


def distribute(run, pairs, host=ALONE):
    """Share the training among all devices of all hosts; call it before a network is built.

    Parameters
    ----------
    run : recipe.Run
    pairs : pairs.Pairs
    host : hosts.Host
        This one.

    Raises
    ------
    UserError
        Keras has another backend than JAX, there is one device, the batches do not divide among the
        devices, or the hosts do not find each other.
    """
    if keras.backend.backend() != "jax":
        raise UserError(
            f"--distribute: Keras runs on {keras.backend.backend()} and shares a training among "
            "devices with JAX alone, run pip install jax and set KERAS_BACKEND to jax"
        )
    batch = run.recipe.batch_size
    if host.count > 1:
        meet(host, run.recipe)
    devices = keras.distribution.list_devices()
    if len(devices) < 2:
        raise UserError(f"--distribute: JAX finds one device ({devices[0]}), leave it out")
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
    keras.distribution.set_distribution(Parts(host, devices))


def meet(host, recipe):
    """Wait for the other hosts of a training."""
    if not recipe.crop or recipe.batch_size < 2 * host.count:
        raise UserError(
            f"--distribute: {host.count} hosts train on crops, at least two each, give --crop and "
            f"a --batch-size of {2 * host.count} or more"
        )
    print(f"waiting for all {host.count} hosts, which meet at {host.address}", flush=True)
    if host.number > 0:
        find_first(host.address)
    keras.distribution.initialize(host.address, host.count, host.number)


def share_of_batches():
    """Return which of the pairs of each batch this host takes, a slice."""
    parts = keras.distribution.distribution()
    return parts.host.share if isinstance(parts, Parts) else slice(None)
