"""Feature maps: their axes in either data format, their convolution, batches without an example."""

import functools

import keras


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


class Conv2D(keras.layers.Conv2D):
    """Keras's convolution, which also takes a batch without examples.

    In groups it is TensorFlow's own operation: Keras compiles one with XLA, which no runtime of
    other formats takes.
    """

    def call(self, inputs):
        is_first = self.data_format == "channels_first" and keras.backend.backend() == "tensorflow"
        if not self.use_bias or not is_first:
            return super().call(inputs)
        import tensorflow as tf

        # Keras adds a bias to the last axis if that is as long as the bias.
        outputs = self.convolution_op(inputs, self.kernel)
        return self.activation(tf.nn.bias_add(outputs, self.bias, "NCHW"))

    def convolution_op(self, inputs, kernel):
        convolve = super().convolution_op
        if self.groups > 1 and keras.backend.backend() == "tensorflow":
            convolve = self._convolve_in_groups
        return never_empty(lambda x: convolve(x, kernel), inputs)

    def _convolve_in_groups(self, x, kernel):
        import tensorflow as tf

        def convolve(x, kernel):
            outputs = tf.nn.convolution(
                x,
                kernel,
                strides=self.strides,
                padding=self.padding.upper(),
                data_format="NHWC" if self.data_format == "channels_last" else "NCHW",
                dilations=self.dilation_rate,
            )
            # Keeps a graph from merging it with what follows: where a SavedModel is served without
            # oneDNN, that has no groups.
            return tf.ensure_shape(outputs, outputs.shape)

        @tf.custom_gradient
        def convolve_by_dense_gradient(x, kernel):
            def gradient(upstream):
                with tf.GradientTape() as tape:
                    tape.watch((x, kernel))
                    outputs = convolve(x, _ungrouped(kernel, self.groups))
                return tape.gradient(outputs, (x, kernel), upstream)

            return convolve(x, kernel), gradient

        if _has_gradient_in_groups(keras.backend.standardize_dtype(x.dtype)):
            return convolve(x, kernel)
        # A variable among them would be one that the function uses unannounced.
        return convolve_by_dense_gradient(*map(tf.convert_to_tensor, (x, kernel)))


@functools.cache
def _has_gradient_in_groups(dtype):
    """Whether TensorFlow has that gradient here: on CPUs, oneDNN alone does, in some types."""
    import tensorflow as tf

    with tf.init_scope():  # where no tape records: the gradient is computed by its operation
        x = tf.zeros((1, 3, 3, 2), dtype)
        options = {"filter_sizes": (3, 3, 1, 2), "strides": (1, 1, 1, 1), "padding": "SAME"}
        try:
            tf.raw_ops.Conv2DBackpropFilter(input=x, out_backprop=x, **options)
        except tf.errors.OpError:
            return False
    return True


def _ungrouped(kernel, groups):
    """Returns a kernel with zeros between the groups, which computes the same without them."""
    import tensorflow as tf

    height, width, inputs, outputs = kernel.shape
    of_groups = tf.reshape(kernel, (height, width, inputs, groups, outputs // groups))
    blocks = tf.einsum("hwigo,Gg->hwGigo", of_groups, tf.eye(groups, dtype=kernel.dtype))
    return tf.reshape(blocks, (height, width, groups * inputs, outputs))


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
