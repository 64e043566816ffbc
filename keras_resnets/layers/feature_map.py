"""Where the axes of a feature map are, in either data format, and batches without an example."""

import keras


def channel_axis(data_format):
    """Returns the index of the channel axis of a batch of feature maps."""
    return 3 if data_format == "channels_last" else 1


def spatial_padding(padding, data_format):
    """Returns `keras.ops.pad`'s argument for (vertical, horizontal) padding on both sides."""
    vertical, horizontal = ((size, size) for size in padding)
    if data_format == "channels_last":
        return ((0, 0), vertical, horizontal, (0, 0))
    return ((0, 0), (0, 0), vertical, horizontal)


def channel_padding(before, after, data_format):
    """Returns `keras.ops.pad`'s argument for zero channels before and after the present ones."""
    padding = [(0, 0)] * 4
    padding[channel_axis(data_format)] = (before, after)
    return tuple(padding)


def subsample(x, stride, data_format):
    """Returns every `stride`-th row and column of `x`, beginning with the first."""
    if stride == 1:
        return x
    if data_format == "channels_last":
        return x[:, ::stride, ::stride, :]
    return x[:, :, ::stride, ::stride]


def check_feature_map(input_shape, data_format):
    """Returns the number of channels, or raises if the shape is not a batch of feature maps."""
    layout = (
        "(batch, height, width, channels)"
        if data_format == "channels_last"
        else "(batch, channels, height, width)"
    )
    if len(input_shape) != 4:
        raise ValueError(
            f"The input must be a batch of feature maps {layout}. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    channels = input_shape[channel_axis(data_format)]
    if channels is None:
        raise ValueError(
            f"The input's number of channels must be known: {layout}. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    return channels


def strided_shape(input_shape, filters, stride, data_format):
    """Returns the shape with `filters` channels and ⌈size / stride⌉ rows and columns."""
    batch, *sizes = input_shape
    channel = channel_axis(data_format) - 1
    sizes = [None if size is None else -(-size // stride) for size in sizes]
    sizes[channel] = filters
    return (batch, *sizes)


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
    if not _may_be_empty(inputs):
        return function(inputs)
    import tensorflow as tf

    examples = tf.shape(inputs)[0]
    missing = tf.cast(tf.equal(examples, 0), tf.int32)
    paddings = [[0, missing]] + [[0, 0]] * (len(inputs.shape) - 1)
    # Not `tf.pad`, which oneDNN makes part of a convolution, without the padding of the batch.
    filled = tf.raw_ops.PadV2(
        input=inputs, paddings=paddings, constant_values=tf.zeros((), inputs.dtype)
    )
    filled.set_shape([None, *inputs.shape[1:]])
    return function(filled)[:examples]


def _may_be_empty(inputs):
    if keras.backend.backend() != "tensorflow" or inputs.shape[0]:
        return False
    import tensorflow as tf

    return inputs.shape[0] == 0 or tf.distribute.get_strategy().num_replicas_in_sync > 1
