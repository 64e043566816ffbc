"""Squeeze and excitation: weighing channels by what the whole feature map holds."""

import keras

from keras_resnets.arguments import check_data_format, check_ratio
from keras_resnets.layers.composite import CompositeLayer
from keras_resnets.layers.conv_norm import he_conv
from keras_resnets.layers.feature_map import channel_axis, check_feature_map

DIVISOR = 8


@keras.saving.register_keras_serializable(package="keras_resnets")
class SqueezeExcitation(CompositeLayer):
    """Multiplies each channel by a weight that depends on the means of all channels.

    y = x · σ(W₂ relu(W₁ mean(x) + b₁) + b₂), figure 2 of
    [Hu et al., 2018](https://arxiv.org/abs/1709.01507).

    Args:
        ratio: Number of the inner channels over that of the input's, in (0, 1]. The paper has 1/16.
            The inner channels are rounded to a multiple of 8, as in timm, and at least 8.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        **kwargs: `frozen`, names of frozen sublayers, and arguments of `keras.layers.Layer`.

    Output shape:
        That of the input, `(batch, height, width, channels)` or with channels first.

    Raises:
        ValueError, TypeError: If an argument is not allowed.

    Example:

    >>> layer = keras_resnets.layers.SqueezeExcitation()
    >>> layer(np.ones((1, 4, 4, 256))).shape == (1, 4, 4, 256)
    True
    >>> layer.reduce.filters
    16
    """

    def __init__(self, ratio=1 / 16, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.ratio = check_ratio("ratio", ratio)
        self.data_format = check_data_format("data_format", data_format)

    def build(self, input_shape):
        channels = check_feature_map(input_shape, self.data_format)
        inner = inner_channels(channels, self.ratio)
        self.reduce = he_conv(self, "reduce", inner, 1, activation="relu")
        self.expand = he_conv(self, "expand", channels, 1, activation="sigmoid")
        self.reduce.build(input_shape)
        self.expand.build(self.reduce.compute_output_shape(input_shape))
        self.freeze_sublayers()

    def call(self, inputs):
        axes = sorted({1, 2, 3} - {channel_axis(self.data_format)})
        means = keras.ops.mean(inputs, axes, keepdims=True)
        return inputs * self.expand(self.reduce(means))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


def inner_channels(channels, ratio):
    """Returns the number of channels between the two convolutions."""
    return max(DIVISOR, int(channels * ratio + DIVISOR / 2) // DIVISOR * DIVISOR)
