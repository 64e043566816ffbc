"""Feature maps: their axes in either data format, their pooling, and batches without an example."""

import keras

from keras_resnets.arguments import check_data_format, check_positive_int
from keras_resnets.layers.composite import ConfiguredLayer


def channel_axis(data_format):
    """Returns the index of the channel axis of a batch of feature maps."""
    return 3 if data_format == "channels_last" else 1


def in_order(data_format, batch, spatial, channels):
    """Returns one value for each axis, in the order of the data format."""
    if data_format == "channels_last":
        return (batch, *spatial, channels)
    return (batch, channels, *spatial)


def spatial_padding(padding, data_format):
    """Returns `keras.ops.pad`'s argument for (vertical, horizontal) padding on both sides."""
    return in_order(data_format, (0, 0), [(size, size) for size in padding], (0, 0))


def check_feature_map(input_shape, data_format):
    """Returns the number of channels, or raises if the shape is not a batch of feature maps."""
    layout = ", ".join(in_order(data_format, "batch", ("height", "width"), "channels"))
    received = f"Received: input_shape={tuple(input_shape)}"
    if len(input_shape) != 4:
        raise ValueError(f"The input must be a batch of feature maps ({layout}). {received}")
    channels = input_shape[channel_axis(data_format)]
    if channels is None:
        raise ValueError(f"The input's number of channels must be known: ({layout}). {received}")
    return channels


def fits_shape(shape, wanted):
    """Whether a shape is the wanted one, in which sizes may be open."""
    return len(shape) == len(wanted) and all(
        size in (None, present) for size, present in zip(wanted, shape, strict=True)
    )


def strided_shape(input_shape, filters, stride, data_format):
    """Returns the shape with `filters` channels and ⌈size / stride⌉ rows and columns."""
    batch, *sizes = input_shape
    del sizes[channel_axis(data_format) - 1]
    sizes = [None if size is None else -(-size // stride) for size in sizes]
    return in_order(data_format, batch, sizes, filters)


@keras.saving.register_keras_serializable(package="keras_resnets")
class SymmetricMaxPooling2D(ConfiguredLayer):
    """Max pooling whose windows reach equally far over all four edges.

    Values outside the image never win, as if they were −∞. The layer repeats the edge pixels
    instead, which every window across an edge holds anyway: integer quantization has no infinity.
    Keras's `padding="same"` pads on one side only.

    Args:
        pool_size: Height and width of a window; odd.
        strides: Distance between windows.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`.

    Output shape:
        The same with ⌈height / strides⌉ rows and ⌈width / strides⌉ columns. Height and width of the
        input must be at least `pool_size // 2`.

    Raises:
        ValueError, TypeError: If an argument is not a positive integer, or `pool_size` is even.

    Example:

    >>> layer = keras_resnets.layers.SymmetricMaxPooling2D(3, strides=2)
    >>> layer(np.full((1, 4, 4, 1), -7.0)).shape == (1, 2, 2, 1)
    True
    """

    def __init__(self, pool_size=3, strides=2, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = check_positive_int("pool_size", pool_size)
        self.strides = check_positive_int("strides", strides)
        if self.pool_size % 2 == 0:
            raise ValueError(
                f"`pool_size` must be odd, to reach equally far over both edges. "
                f"Received: pool_size={pool_size}"
            )
        self.data_format = check_data_format("data_format", data_format)
        self.padding = spatial_padding([self.pool_size // 2] * 2, self.data_format)

    def build(self, input_shape):
        check_feature_map(input_shape, self.data_format)

    def call(self, inputs):
        return never_empty(self._pool, inputs)

    def _pool(self, x):
        if self.pool_size > 1:
            x = keras.ops.pad(x, self.padding, mode="symmetric")
        return keras.ops.max_pool(
            x, self.pool_size, self.strides, padding="valid", data_format=self.data_format
        )

    def compute_output_shape(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        return strided_shape(input_shape, channels, self.strides, self.data_format)


class Conv2D(keras.layers.Conv2D):
    """Keras's convolution, which also takes a batch without examples."""

    def convolution_op(self, inputs, kernel):
        convolve = super().convolution_op
        return never_empty(lambda x: convolve(x, kernel), inputs)


def never_empty(function, inputs):
    """Applies a function of a batch. If the batch is empty, the function gets an example of zeros.

    oneDNN's convolution gives an empty batch a wrong shape, and the gradient of its max pooling
    ends the process. A replica's batch may be empty: its size is not known when a graph is built.
    """
    if keras.backend.backend() != "tensorflow" or inputs.shape[0]:
        return function(inputs)
    import tensorflow as tf

    if inputs.shape[0] is None and tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return function(inputs)
    examples = tf.shape(inputs)[0]
    missing = tf.cast(tf.equal(examples, 0), tf.int32)
    paddings = [[0, missing]] + [[0, 0]] * (len(inputs.shape) - 1)
    # Not `tf.pad`, which oneDNN makes part of a convolution, without the padding of the batch.
    filled = tf.raw_ops.PadV2(
        input=inputs, paddings=paddings, constant_values=tf.zeros((), inputs.dtype)
    )
    filled.set_shape([None, *inputs.shape[1:]])
    return function(filled)[:examples]
