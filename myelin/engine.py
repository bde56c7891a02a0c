"""Run the network."""

import os

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
