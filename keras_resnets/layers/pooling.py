"""Pooling: the maximum of windows that reach over all edges alike, averages, and blurs."""

import keras

from keras_resnets.arguments import check_bool, check_data_format, check_positive_int
from keras_resnets.layers.composite import ConfiguredLayer
from keras_resnets.layers.feature_map import (
    channel_axis,
    check_feature_map,
    in_order,
    never_empty,
    spatial_padding,
    strided_shape,
)


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
        pads_zeros: Whether the values outside are zeros, which may win, as in
            `keras.applications.ResNet50V2`.
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

    def __init__(self, pool_size=3, strides=2, data_format=None, pads_zeros=False, **kwargs):
        super().__init__(**kwargs)
        self.pads_zeros = check_bool("pads_zeros", pads_zeros)
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
            x = keras.ops.pad(x, self.padding, "constant" if self.pads_zeros else "symmetric")
        return keras.ops.max_pool(
            x, self.pool_size, self.strides, padding="valid", data_format=self.data_format
        )

    def compute_output_shape(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        return strided_shape(input_shape, channels, self.strides, self.data_format)


@keras.saving.register_keras_serializable(package="keras_resnets")
class AveragePooling2D(ConfiguredLayer):
    """Average pooling whose windows begin at the kept positions.

    A window that reaches beyond the far edges averages the pixels within. A dilation sets the
    pixels of a window apart, so that a network whose strides are replaced by dilations pools the
    same pixels.

    Args:
        pool_size: Height and width of a window, in pixels.
        strides: Distance between windows; `None` for `pool_size`.
        dilation: Distance between the pixels of a window.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Output shape:
        `(batch, ⌈height / strides⌉, ⌈width / strides⌉, channels)` for an input
        `(batch, height, width, channels)`; the same with channels first.

    Raises:
        ValueError, TypeError: If an argument is not a positive integer.

    Example:

    >>> layer = keras_resnets.layers.AveragePooling2D(2)
    >>> y = layer(np.array([1.0, 3.0, 7.0]).reshape(1, 1, 3, 1))
    >>> [float(value) for value in y[0, 0, :, 0]]
    [2.0, 7.0]
    """

    def __init__(self, pool_size=2, strides=None, dilation=1, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = check_positive_int("pool_size", pool_size)
        self.strides = check_positive_int("strides", self.pool_size if strides is None else strides)
        self.dilation = check_positive_int("dilation", dilation)
        if self.pool_size == 1 and self.dilation > 1:
            raise ValueError(
                "`dilation` sets the pixels of a window apart, and belongs to a `pool_size` above "
                f"1. Received: dilation={dilation}, pool_size=1"
            )
        self.data_format = check_data_format("data_format", data_format)

    def build(self, input_shape):
        check_feature_map(input_shape, self.data_format)

    def call(self, inputs):
        if self.pool_size == self.strides == 2 and self.dilation == 1:
            return never_empty(self._pool, inputs)
        reach, form = self.dilation * (self.pool_size - 1), self.data_format
        padding = in_order(form, (0, 0), [(0, reach)] * 2, (0, 0))
        weights = (1.0,) * self.pool_size
        pixels = keras.ops.ones_like(inputs[:1])
        sums, counts = (
            _weighted(keras.ops.pad(x, padding), weights, self.strides, self.dilation, form)
            for x in (inputs, pixels)
        )
        return sums / counts

    def _pool(self, x):
        return keras.ops.average_pool(x, 2, 2, padding="same", data_format=self.data_format)

    def compute_output_shape(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        return strided_shape(input_shape, channels, self.strides, self.data_format)


@keras.saving.register_keras_serializable(package="keras_resnets")
class BlurPooling2D(ConfiguredLayer):
    """A blur of 3×3 pixels before subsampling, so that small shifts of an image change less.

    The weights 1, 2, 1 over 4 in both directions are those of
    [Zhang, 2019](https://arxiv.org/abs/1904.11486), and are not trained. Edges are mirrored: the
    pixel before the last one also follows it. With a dilation, this is done for each of the
    interlaced maps, as in the network with strides.

    Args:
        strides: Distance between the kept positions.
        dilation: Distance between the pixels that are averaged.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`; height and width
        must be at least `2 * dilation`.

    Output shape:
        The same with ⌈height / strides⌉ rows and ⌈width / strides⌉ columns.

    Raises:
        ValueError, TypeError: If an argument is not a positive integer, or the input is too small.

    Example:

    >>> layer = keras_resnets.layers.BlurPooling2D(2)
    >>> y = layer(np.array([0.0, 4.0, 0.0, 0.0] * 2).reshape(1, 2, 4, 1))
    >>> [float(value) for value in y[0, 0, :, 0]]
    [2.0, 1.0]
    """

    def __init__(self, strides=2, dilation=1, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.strides = check_positive_int("strides", strides)
        self.dilation = check_positive_int("dilation", dilation)
        self.data_format = check_data_format("data_format", data_format)

    def build(self, input_shape):
        check_feature_map(input_shape, self.data_format)
        sizes = list(input_shape[1:])
        del sizes[channel_axis(self.data_format) - 1]
        if any(size is not None and size < 2 * self.dilation for size in sizes):
            raise ValueError(
                "A blur mirrors the edges: height and width must be at least `2 * dilation`. "
                f"Received: input_shape={tuple(input_shape)}, dilation={self.dilation}"
            )

    def call(self, inputs):
        if self.dilation == 1:
            return never_empty(self._blur, inputs)
        x, reach = inputs, self.dilation
        for axis in _spatial_axes(self.data_format):
            ends = [(0, -reach), (reach, None), (reach, 2 * reach), (-2 * reach, -reach)]
            left, right, first, last = (_window(x, axis, *end) for end in ends)
            before = keras.ops.concatenate([first, left], axis)
            after = keras.ops.concatenate([right, last], axis)
            x = _window(0.25 * before + 0.5 * x + 0.25 * after, axis, None, None, self.strides)
        return x

    def _blur(self, x):
        x = keras.ops.pad(x, spatial_padding((1, 1), self.data_format), mode="reflect")
        return _weighted(x, (0.25, 0.5, 0.25), self.strides, 1, self.data_format)

    def compute_output_shape(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        return strided_shape(input_shape, channels, self.strides, self.data_format)


def _weighted(x, weights, strides, dilation, data_format):
    """Returns the weighted sums of pixels along rows, then columns, of a map that is padded."""
    reach = dilation * (len(weights) - 1)
    for axis in _spatial_axes(data_format):
        starts = [number * dilation for number in range(len(weights))]
        ends = [(start - reach) or None for start in starts]
        x = sum(
            weight * _window(x, axis, start, end, strides)
            for weight, start, end in zip(weights, starts, ends, strict=True)
        )
    return x


def _window(x, axis, start, end, step=1):
    """Returns a slice of a feature map along one axis."""
    return x[(slice(None),) * axis + (slice(start, end, step),)]


def _spatial_axes(data_format):
    return (1, 2) if channel_axis(data_format) == 3 else (2, 3)
