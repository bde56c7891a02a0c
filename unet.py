"""The network and its losses.

    import unet
    network = unet.get_unet()
    network.compile("adam", unet.dice_coef_loss, metrics=[unet.dice_coef])

The U-Net follows Ronneberger, Fischer and Brox (2015), doi:10.1007/978-3-319-24574-4_28, with
half its filters and same-padded convolutions. `layers` describes it once: from this description
`get_unet` builds it in Keras, and a model file is checked against it.
"""

import dataclasses

FILTERS = (32, 64, 128, 256)
BOTTOM_FILTERS = 512
STRIDE = 2 ** len(FILTERS)  # rows and cols must be multiples of this: each level halves them
DEFAULT_SIZE = 1024
# A gap as narrow as the median sheath, of fibers 35 px wide, see `myelin/measure/fiber_width.py`.
GAP_PX, GAP_RIM_PX = 7, 2
GAP_WEIGHT = 3
SMOOTH = 1.0
PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of the network.

    Attributes
    ----------
    kind : str
        The name of its class in Keras.
    sources : tuple of int
        Places in the list of layers of those that feed it.
    channels : int
        Channels that it gives, which are the filters of a convolution.
    inputs : int
        Channels that it takes.
    kernel : int
        Side of a convolution's kernel, px; 0 for layers without weights.
    activation : str
        Of a convolution.
    """

    kind: str
    sources: tuple = ()
    channels: int = 1
    inputs: int = 0
    kernel: int = 0
    activation: str = "linear"

    @property
    def weight_shapes(self):
        """Shapes of the kernel and the bias; nothing for layers without weights."""
        if not self.kernel:
            return []
        ends = (self.inputs, self.channels)
        if self.kind == "Conv2DTranspose":
            ends = ends[::-1]
        return [(self.kernel, self.kernel, *ends), (self.channels,)]


def layers():
    """Return the network's layers in order, list of `Layer`."""
    plan = [Layer("InputLayer")]

    def add(kind, channels, *sources, **convolution):
        sources = sources or (len(plan) - 1,)
        inputs = sum(plan[place].channels for place in sources)
        plan.append(Layer(kind, sources, channels, inputs, **convolution))
        return len(plan) - 1

    def convolve_twice(filters):
        add("Conv2D", filters, kernel=3, activation="relu")
        return add("Conv2D", filters, kernel=3, activation="relu")

    skips = []
    for filters in FILTERS:
        skips.append(convolve_twice(filters))
        add("MaxPooling2D", filters)
    convolve_twice(BOTTOM_FILTERS)
    for filters, skip in zip(reversed(FILTERS), reversed(skips), strict=True):
        upsampled = add("Conv2DTranspose", filters, kernel=2)
        add("Concatenate", 2 * filters, upsampled, skip)
        convolve_twice(filters)
    add("Conv2D", 1, kernel=1, activation="sigmoid")
    return plan


def weight_shapes():
    """Return the shape of every weight array in order: kernel and bias of each convolution."""
    return [shape for layer in layers() for shape in layer.weight_shapes]


def precise_convolutions():
    """Return Keras's two convolutions with biases added in float32, {name: class}.

    A bias's gradient is the sum over all pixels. In bfloat16 TensorFlow stops adding once a summand
    is less than 1/256 of the sum; in float32, as here, the sum is right. The convolution itself
    stays in the layer's own precision.
    """
    from keras import layers, ops

    def finish(layer, found):
        found = ops.cast(found, "float32") + ops.cast(layer.bias, "float32")
        return layer.activation(ops.cast(found, layer.compute_dtype))

    class Conv2D(layers.Conv2D):
        def call(self, inputs):
            return finish(self, self.convolution_op(inputs, self.kernel))

    class Conv2DTranspose(layers.Conv2DTranspose):
        def call(self, inputs):
            found = ops.conv_transpose(inputs, self.kernel, list(self.strides), self.padding)
            return finish(self, found)

    return {"Conv2D": Conv2D, "Conv2DTranspose": Conv2DTranspose}


def get_unet(
    rows=DEFAULT_SIZE, cols=DEFAULT_SIZE, initializer="glorot_uniform", precision="float32"
):
    """Build the U-Net in Keras.

    Parameters
    ----------
    rows, cols : int or None
        Frame size, multiples of 16; None takes frames of any such size.
    initializer : str
        How untrained kernels are drawn, a name that Keras knows; Keras's own choice was that of
        2018. "he_normal" (He et al. 2015, doi:10.1109/ICCV.2015.123) keeps the signal's size
        through layers of ReLU.
    precision : "float32" or "bfloat16"
        What the layers compute in, but for the last one, whose output is always float32. Weights
        are float32 either way.

    Returns
    -------
    keras.Model
        (batch, rows, cols, 1) float32 -> myelin probability, same shape. 7,759,521 parameters.
    """
    import keras

    reduced = precision == "bfloat16"
    dtype = "mixed_bfloat16" if reduced else "float32"
    kinds = {name: getattr(keras.layers, name) for name in ("Conv2D", "Conv2DTranspose")}
    if reduced:
        kinds = precise_convolutions()

    def convolution(layer):
        return {
            "dtype": "float32" if layer.activation == "sigmoid" else dtype,
            "filters": layer.channels,
            "kernel_size": layer.kernel,
            "activation": layer.activation,
            "padding": "same",
            # He's is for ReLU; the sigmoid at the end keeps Keras's own.
            "kernel_initializer": "glorot_uniform"
            if layer.activation == "sigmoid"
            else initializer,
        }

    tensors = []
    for layer in layers():
        inputs = [tensors[place] for place in layer.sources]
        match layer.kind:
            case "InputLayer":
                tensor = keras.layers.Input((rows, cols, layer.channels))
            case "Conv2D":
                tensor = kinds[layer.kind](**convolution(layer))(*inputs)
            case "Conv2DTranspose":
                tensor = kinds[layer.kind](**convolution(layer), strides=2)(*inputs)
            case "MaxPooling2D":
                tensor = keras.layers.MaxPooling2D(2, dtype=dtype)(*inputs)
            case "Concatenate":
                tensor = keras.layers.Concatenate(axis=3, dtype=dtype)(inputs)
        tensors.append(tensor)
    return keras.Model(tensors[0], tensors[-1])


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


def dice_gaps_loss(y_true, y_pred):
    """Return minus the Dice coefficient plus a cross-entropy that counts narrow gaps more.

    Lines between touching sheaths and the axons of small fibers are few pixels: left to a plain
    mean they are closed, which makes sheaths too thick and loses fibers. Pixels at such a gap count
    `1 + GAP_WEIGHT`, of the sheaths beside it as of the gap, so that no outline is moved.
    """
    from keras import ops

    y_true = ops.cast(y_true, y_pred.dtype)
    weights = 1 + GAP_WEIGHT * narrow_gaps(y_true)
    entropy = ops.binary_crossentropy(y_true, y_pred)
    return dice_coef_loss(y_true, y_pred) + ops.sum(weights * entropy) / ops.sum(weights)


def narrow_gaps(myelin):
    """Return where myelin leaves a gap narrower than `GAP_PX`, and `GAP_RIM_PX` around it, 0 to 1.

    The gaps are what a morphological closing of the myelin by a square fills.
    """
    from keras import ops

    def dilated(x, side):
        return ops.max_pool(x, side, strides=1, padding="same")

    closed = -dilated(-dilated(myelin, GAP_PX), GAP_PX)
    return dilated(closed - myelin, 2 * GAP_RIM_PX + 1)


LOSSES = {
    "dice": dice_coef_loss,
    "dice+crossentropy": dice_crossentropy_loss,
    "dice+gaps": dice_gaps_loss,
}
