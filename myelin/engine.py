"""The engine: what runs the network on a frame."""

import os

import unet
from myelin.cli import silent_stderr


def start_keras():
    """Import and return keras without the reports that TensorFlow's start-up writes to stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silent_stderr():  # they are written below Python, before any setting is read
        import keras

        keras_devices()  # TensorFlow looks for a GPU, and reports, when first asked
    return keras


def keras_devices():
    """Return the backend's name and the devices Keras knows there; PyTorch's it does not list."""
    import keras

    try:
        devices = keras.distribution.list_devices()
    except AttributeError:
        devices = []
    return [keras.backend.backend(), *devices]


class KerasEngine:
    """The network in Keras.

    Parameters
    ----------
    weights : list of float32 arrays
        As from `model_file.read_model_file`.
    rows, cols : int or None
        Frame size; None takes frames of any size in multiples of `unet.STRIDE`.
    """

    def __init__(self, weights, rows, cols):
        self.name = f"keras, {start_keras().backend.backend()}"
        self.network = unet.get_unet(rows, cols)
        self.network.set_weights(weights)

    def predict(self, frame):
        """Return the myelin probability of a normalised frame, both float32 (rows, cols)."""
        return self.network.predict_on_batch(frame[None, ..., None])[0, ..., 0]
