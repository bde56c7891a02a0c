"""The network, its loss, and the model file.

    import unet
    network, settings, _ = model_file.load_model("models/bestmyelin.h5")

The U-Net follows Ronneberger, Fischer and Brox (2015), doi:10.1007/978-3-319-24574-4_28, with
half its filters and same-padded convolutions. A model file is a standard Keras HDF5 file plus one
attribute that says how images are prepared for it. Loading never runs or follows anything in the
file: the network is built here, and arrays are read only where they are exactly as expected.
"""

FILTERS = (32, 64, 128, 256)
BOTTOM_FILTERS = 512
STRIDE = 2 ** len(FILTERS)  # rows and cols must be multiples of this: each level halves them
DEFAULT_SIZE = 1024
SMOOTH = 1.0


# ---------------------------------------------------------------- network and loss


def get_unet(rows=DEFAULT_SIZE, cols=DEFAULT_SIZE, initializer="glorot_uniform"):
    """Build the U-Net.

    Parameters
    ----------
    rows, cols : int or None
        Frame size, multiples of 16; None takes frames of any such size.
    initializer : str
        How untrained kernels are drawn, a name that Keras knows; Keras's own choice was that of
        2018. "he_normal" (He et al. 2015, doi:10.1109/ICCV.2015.123) keeps the signal's size
        through layers of ReLU.

    Returns
    -------
    keras.Model
        (batch, rows, cols, 1) float32 -> myelin probability, same shape. 7,759,521 parameters.
    """
    import keras
    from keras import layers

    def convolve_twice(x, filters):
        for _ in range(2):
            x = layers.Conv2D(
                filters, 3, activation="relu", padding="same", kernel_initializer=initializer
            )(x)
        return x

    inputs = x = layers.Input((rows, cols, 1))
    skips = []
    for filters in FILTERS:
        x = convolve_twice(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = convolve_twice(x, BOTTOM_FILTERS)
    for filters, skip in zip(reversed(FILTERS), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(
            filters, 2, strides=2, padding="same", kernel_initializer=initializer
        )(x)
        x = layers.Concatenate(axis=3)([x, skip])
        x = convolve_twice(x, filters)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(x)
    return keras.Model(inputs, outputs)


def dice_coef(y_true, y_pred):
    """Return the Dice coefficient over the flattened batch, smoothing term 1.

    (2 |A B| + 1) / (|A| + |B| + 1), Dice (1945), doi:10.2307/1932409, for probabilities.
    """
    from keras import ops

    y_true, y_pred = ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1,))
    y_true = ops.cast(y_true, y_pred.dtype)
    overlap = ops.sum(y_true * y_pred)
    return (2 * overlap + SMOOTH) / (ops.sum(y_true) + ops.sum(y_pred) + SMOOTH)


def dice_coef_loss(y_true, y_pred):
    """Return minus the Dice coefficient."""
    return -dice_coef(y_true, y_pred)


def dice_crossentropy_loss(y_true, y_pred):
    """Return minus the Dice coefficient plus the mean binary cross-entropy.

    The cross-entropy gives every pixel a gradient, also where a crop has no myelin at all.
    """
    from keras import ops

    y_true = ops.cast(y_true, y_pred.dtype)
    return dice_coef_loss(y_true, y_pred) + ops.mean(ops.binary_crossentropy(y_true, y_pred))


LOSSES = {"dice": dice_coef_loss, "dice+crossentropy": dice_crossentropy_loss}


# ---------------------------------------------------------------- preparing images


# ---------------------------------------------------------------- model file: where and saving


# ---------------------------------------------------------------- model file: safe loading
