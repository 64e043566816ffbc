"""Max pooling with the padding of the residual networks' stem."""

import keras

from keras_resnets.arguments import check_data_format, check_positive_int
from keras_resnets.layers.feature_map import (
    channel_axis,
    check_feature_map,
    never_empty,
    spatial_padding,
    strided_shape,
)


@keras.saving.register_keras_serializable(package="keras_resnets")
class SymmetricMaxPooling2D(keras.layers.Layer):
    """Max pooling whose windows reach equally far over all four edges.

    The value outside the image is −∞: it never wins. It is got by repeating the edge pixels,
    which every window that crosses the edge holds anyway; so no infinity enters the graph, where
    integer quantization would stumble over it. Keras's `padding="same"` pads on one side only.

    Args:
        pool_size: Height and width of a window; odd.
        strides: Distance between windows.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`.

    Output shape:
        The same with ⌈height / strides⌉ rows and ⌈width / strides⌉ columns. Height and width of the
        input must be at least `pool_size // 2`.

    Raises:
        ValueError: If an argument is not positive, or `pool_size` is even.
        TypeError: If an argument is not an integer.

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

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "data_format": self.data_format,
        }
