"""The network and its losses.

    import unet
    network = unet.get_unet()
    network.compile("adam", unet.dice_coef_loss, metrics=[unet.dice_coef])

The U-Net follows Ronneberger, Fischer and Brox (2015), doi:10.1007/978-3-319-24574-4_28, with
half its filters and same-padded convolutions. `layers` describes it once: from this description it
is built in Keras (`get_unet`) and OpenVINO, and model files are checked against it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor as Tensor

FILTERS = (32, 64, 128, 256)
BOTTOM_FILTERS = 512
STRIDE = 2 ** len(FILTERS)  # rows and cols must be multiples of this: each level halves them
DEFAULT_SIZE = 1024
GAP_PX = 7  # the median sheath of fibers 35 px wide, see `myelin/measure/fiber_width.py`
GAP_RIM_PX = 2
GAP_WEIGHT = 3
SMOOTH = 1.0
TRAINING_PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of the network."""

    kind: str  # name of its class in Keras
    sources: tuple[int, ...] = ()  # places of its inputs in the list of layers
    channels: int = 1  # output channels; the filters of a convolution
    inputs: int = 0  # input channels
    kernel: int = 0  # side of a convolution's kernel, px; 0 for layers without weights
    activation: str = "linear"  # of a convolution

    @property
    def weight_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the kernel and the bias; empty for layers without weights."""
        if not self.kernel:
            return []
        ends = (self.inputs, self.channels)
        if self.kind == "Conv2DTranspose":
            ends = ends[::-1]
        return [(self.kernel, self.kernel, *ends), (self.channels,)]


def layers(
    filters: tuple[int, ...] | None = None,
    bottom_filters: int | None = None,
    inputs: int = 1,
    outputs: int = 1,
) -> list[Layer]:
    """Return the network's layers in order; with other arguments, those of another U-Net.

    Parameters
    ----------
    filters : tuple of int, optional
        Filters of each level, from the largest maps to the smallest (default `FILTERS`).
    bottom_filters : int, optional
        Filters below (default `BOTTOM_FILTERS`).
    inputs, outputs : int
        Channels.
    """
    filters, bottom_filters = filters or FILTERS, bottom_filters or BOTTOM_FILTERS
    plan = [Layer("InputLayer", channels=inputs)]

    def add(kind: str, channels: int, *sources: int, **convolution: object) -> int:
        sources = sources or (len(plan) - 1,)
        inputs = sum(plan[place].channels for place in sources)
        plan.append(Layer(kind, sources, channels, inputs, **convolution))
        return len(plan) - 1

    def convolve_twice(count: int) -> int:
        add("Conv2D", count, kernel=3, activation="relu")
        return add("Conv2D", count, kernel=3, activation="relu")

    skips = []
    for count in filters:
        skips.append(convolve_twice(count))
        add("MaxPooling2D", count)
    convolve_twice(bottom_filters)
    for count, skip in zip(reversed(filters), reversed(skips), strict=True):
        upsampled = add("Conv2DTranspose", count, kernel=2)
        add("Concatenate", 2 * count, upsampled, skip)
        convolve_twice(count)
    add("Conv2D", outputs, kernel=1, activation="sigmoid")
    return plan


def weight_shapes() -> list[tuple[int, ...]]:
    """Return the shape of every weight array in order: kernel and bias of each convolution."""
    return [shape for layer in layers() for shape in layer.weight_shapes]


def precise_convolutions() -> dict[str, type]:
    """Return Keras's two convolutions with biases added in float32, {name: class}.

    The gradient of a bias is a sum over all pixels. TensorFlow adds it up in bfloat16, where the
    sum stops growing once a summand is below 1/256 of it; in float32 the sum is right. The
    convolution itself keeps the layer's own precision.
    """
    from keras import layers, ops

    def finish(layer: layers.Layer, result: Tensor) -> Tensor:
        result = ops.cast(result, "float32") + ops.cast(layer.bias, "float32")
        return layer.activation(ops.cast(result, layer.compute_dtype))

    class Conv2D(layers.Conv2D):
        def call(self, inputs: Tensor) -> Tensor:
            return finish(self, self.convolution_op(inputs, self.kernel))

    class Conv2DTranspose(layers.Conv2DTranspose):
        def call(self, inputs: Tensor) -> Tensor:
            result = ops.conv_transpose(inputs, self.kernel, list(self.strides), self.padding)
            return finish(self, result)

    return {"Conv2D": Conv2D, "Conv2DTranspose": Conv2DTranspose}


def get_unet(
    rows: int | None = DEFAULT_SIZE,
    cols: int | None = DEFAULT_SIZE,
    initializer: str = "glorot_uniform",
    precision: str = "float32",
    plan: list[Layer] | None = None,
) -> keras.Model:
    """Build the U-Net in Keras.

    Parameters
    ----------
    rows, cols : int or None
        Size of the network input, multiples of 16; None allows any such size.
    initializer : str
        Keras's name for the distribution of untrained kernels. "glorot_uniform" is that of 2018;
        "he_normal" (doi:10.1109/ICCV.2015.123) keeps the signal's size through ReLU layers.
    precision : "float32" or "bfloat16"
        Precision of all layers but the last. Weights are float32 in both cases.
    plan : list of Layer, optional
        Another U-Net, from `layers`.

    Returns
    -------
    keras.Model
        (batch, rows, cols, 1) float32 -> myelin probability, same shape; 7,759,521 parameters.
    """
    import keras

    reduced = precision == "bfloat16"
    dtype = "mixed_bfloat16" if reduced else "float32"
    kinds = precise_convolutions() if reduced else vars(keras.layers)

    def convolution(layer: Layer) -> keras.layers.Layer:
        last = layer.activation == "sigmoid"
        return kinds[layer.kind](
            layer.channels,
            layer.kernel,
            activation=layer.activation,
            padding="same",
            dtype="float32" if last else dtype,
            # He's initializer is for ReLU; the sigmoid keeps Keras's own.
            kernel_initializer="glorot_uniform" if last else initializer,
            strides=2 if layer.kind == "Conv2DTranspose" else 1,
        )

    tensors = []
    for layer in plan or layers():
        inputs = [tensors[place] for place in layer.sources]
        match layer.kind:
            case "InputLayer":
                tensor = keras.layers.Input((rows, cols, layer.channels))
            case "Conv2D" | "Conv2DTranspose":
                tensor = convolution(layer)(*inputs)
            case "MaxPooling2D":
                tensor = keras.layers.MaxPooling2D(2, dtype=dtype)(*inputs)
            case "Concatenate":
                tensor = keras.layers.Concatenate(axis=3, dtype=dtype)(inputs)
        tensors.append(tensor)
    return keras.Model(tensors[0], tensors[-1])


def dice_coef(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return the Dice coefficient over the flattened batch, smoothing term 1.

    (2 |A B| + 1) / (|A| + |B| + 1), Dice (1945), doi:10.2307/1932409, for probabilities.
    """
    from keras import ops

    y_true = ops.reshape(y_true, (-1,))
    y_pred = ops.reshape(y_pred, (-1,))
    y_true = ops.cast(y_true, y_pred.dtype)
    overlap = ops.sum(y_true * y_pred)
    return (2 * overlap + SMOOTH) / (ops.sum(y_true) + ops.sum(y_pred) + SMOOTH)


def dice_coef_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return minus the Dice coefficient."""
    return -dice_coef(y_true, y_pred)


def dice_crossentropy_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return minus the Dice coefficient plus the mean binary cross-entropy.

    The cross-entropy gives every pixel a gradient, also if a crop has no myelin at all.
    """
    from keras import ops

    y_true = ops.cast(y_true, y_pred.dtype)
    return dice_coef_loss(y_true, y_pred) + ops.mean(ops.binary_crossentropy(y_true, y_pred))


def dice_gaps_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return minus the Dice coefficient plus a cross-entropy that gives narrow gaps more weight.

    Lines between touching sheaths and axons of small fibers are few pixels: a plain mean closes
    them, which thickens sheaths and loses fibers. Pixels at such a gap have the weight
    `1 + GAP_WEIGHT`, in the sheaths beside it as in the gap, so that outlines do not move.
    """
    from keras import ops

    y_true = ops.cast(y_true, y_pred.dtype)
    weights = 1 + GAP_WEIGHT * narrow_gaps(y_true)
    entropy = ops.binary_crossentropy(y_true, y_pred)
    return dice_coef_loss(y_true, y_pred) + ops.sum(weights * entropy) / ops.sum(weights)


def narrow_gaps(myelin: Tensor) -> Tensor:
    """Return 1 in gaps of the myelin narrower than `GAP_PX` and `GAP_RIM_PX` around, else 0.

    A morphological closing of the myelin by a square fills these gaps.
    """
    from keras import ops

    def dilated(x: Tensor, side: int) -> Tensor:
        return ops.max_pool(x, side, strides=1, padding="same")

    closed = -dilated(-dilated(myelin, GAP_PX), GAP_PX)
    return dilated(closed - myelin, 2 * GAP_RIM_PX + 1)


LOSSES = {
    "dice": dice_coef_loss,
    "dice+crossentropy": dice_crossentropy_loss,
    "dice+gaps": dice_gaps_loss,
}
