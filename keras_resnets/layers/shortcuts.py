"""The paths beside a branch: the identity, padded with zeros, and the projection."""

import keras

from keras_resnets.arguments import check_choice, check_data_format, check_positive_int
from keras_resnets.layers.composite import CompositeLayer
from keras_resnets.layers.conv_norm import ConvNorm
from keras_resnets.layers.feature_map import (
    channel_axis,
    channel_padding,
    check_feature_map,
    strided_shape,
    subsample,
)


@keras.saving.register_keras_serializable(package="keras_resnets")
class IdentityShortcut(keras.layers.Layer):
    """The input itself, fitted to another shape without weights.

    Where the stride is 1 and the channels match, the input passes unchanged. Otherwise this is
    option A of [He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.3: every
    `strides`-th row and column is kept, and channels of zeros fill up to `filters`.

    Args:
        filters: Number of output channels, at least that of the input.
        strides: Distance between the kept rows and columns.
        zero_pad: Where the zero channels go: `"end"`, or `"both"` for as many in front of the
            input's channels as behind them (one more behind if their number is odd).
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`.

    Output shape:
        The same with ⌈height / strides⌉, ⌈width / strides⌉ and `filters` channels.

    Raises:
        ValueError: If an argument is not allowed, or the input has more channels than `filters`.
        TypeError: If `filters` or `strides` is not an integer.

    Example:

    >>> layer = keras_resnets.layers.IdentityShortcut(3, zero_pad="end")
    >>> [float(value) for value in layer(np.full((1, 1, 1, 2), 5.0))[0, 0, 0]]
    [5.0, 5.0, 0.0]
    """

    def __init__(self, filters, strides=1, zero_pad="end", data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.strides = check_positive_int("strides", strides)
        self.zero_pad = check_choice("zero_pad", zero_pad, ("end", "both"))
        self.data_format = check_data_format("data_format", data_format)

    def build(self, input_shape):
        channels = check_feature_map(input_shape, self.data_format)
        if channels > self.filters:
            raise ValueError(
                "An identity shortcut can add channels but not remove any: `filters` must be at "
                f"least the input's {channels} channels. Received: filters={self.filters}"
            )
        axes = {channel_axis(self.data_format): channels}
        self.input_spec = keras.layers.InputSpec(ndim=4, axes=axes)

    def call(self, inputs):
        x = subsample(inputs, self.strides, self.data_format)
        missing = self.filters - inputs.shape[channel_axis(self.data_format)]
        if missing:
            before = missing // 2 if self.zero_pad == "both" else 0
            x = keras.ops.pad(x, channel_padding(before, missing - before, self.data_format))
        return x

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.filters, self.strides, self.data_format)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "zero_pad": self.zero_pad,
            "data_format": self.data_format,
        }


@keras.saving.register_keras_serializable(package="keras_resnets")
class ProjectionShortcut(CompositeLayer):
    """A 1×1 convolution with the block's stride, and batch normalization.

    Options B and C of [He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.3: the only
    shortcut that has weights.

    Args:
        filters: Number of output channels.
        strides: Stride of the convolution.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        folded: Whether the normalization is part of the convolution.
        **kwargs: `frozen`, names of sublayers that are not trainable, and keyword arguments of
            `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`.

    Output shape:
        The same with ⌈height / strides⌉, ⌈width / strides⌉ and `filters` channels.

    Raises:
        ValueError: If `filters` or `strides` is not positive.
        TypeError: If `filters` or `strides` is not an integer.

    Example:

    >>> layer = keras_resnets.layers.ProjectionShortcut(64, strides=2)
    >>> layer(np.ones((1, 8, 8, 16))).shape == (1, 4, 4, 64)
    True
    >>> layer.count_params()  # 16 · 64 weights, and 4 vectors of 64 for the normalization
    1280
    """

    def __init__(self, filters, strides=1, data_format=None, folded=False, **kwargs):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.strides = check_positive_int("strides", strides)
        self.data_format = check_data_format("data_format", data_format)
        self.conv_norm = ConvNorm(
            self.filters,
            kernel_size=1,
            strides=self.strides,
            data_format=self.data_format,
            folded=folded,
            dtype=self.dtype_policy,
            name="conv_norm",
        )

    def build(self, input_shape):
        self.conv_norm.build(input_shape)
        self.freeze_sublayers()

    def call(self, inputs, training=None):
        return self.conv_norm(inputs, training=training)

    def compute_output_shape(self, input_shape):
        return self.conv_norm.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "data_format": self.data_format,
            "folded": self.conv_norm.folded,
        }
