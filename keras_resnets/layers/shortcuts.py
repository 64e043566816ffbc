"""The paths beside a branch: identity, projection, and what weighs them."""

from typing import Any

import keras

from keras_resnets.arguments import (
    check_bool,
    check_choice,
    check_data_format,
    check_finite_number,
    check_positive_int,
)
from keras_resnets.layers.composite import CompositeLayer, ConfiguredLayer, within
from keras_resnets.layers.conv_norm import ConvNorm, he_conv
from keras_resnets.layers.feature_map import (
    channel_axis,
    check_feature_map,
    in_order,
    strided_shape,
)
from keras_resnets.layers.pooling import AveragePooling2D


@keras.saving.register_keras_serializable(package="keras_resnets")
class IdentityShortcut(ConfiguredLayer):
    """The input itself, without weights: subsampled and padded with zero channels where needed.

    This is option A of [He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.3. With
    stride 1 and matching channels, the input passes unchanged.

    Args:
        filters: Number of output channels, at least that of the input.
        strides: Distance between the kept rows and columns.
        zero_pad: Where the zero channels go: `"end"`, or `"both"` for half of them before the
            input's channels (an odd one goes to the end).
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Output shape:
        `(batch, ⌈height / strides⌉, ⌈width / strides⌉, filters)` for an input
        `(batch, height, width, channels)`; the same with channels first.

    Raises:
        ValueError, TypeError: If an argument is not allowed, or the input has too many channels.

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
        x = inputs
        if self.strides > 1:
            kept = slice(None, None, self.strides)
            x = x[in_order(self.data_format, slice(None), (kept, kept), slice(None))]
        missing = self.filters - inputs.shape[channel_axis(self.data_format)]
        if missing:
            before = missing // 2 if self.zero_pad == "both" else 0
            zeros = (before, missing - before)
            x = keras.ops.pad(x, in_order(self.data_format, (0, 0), [(0, 0)] * 2, zeros))
        return x

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.filters, self.strides, self.data_format)


@keras.saving.register_keras_serializable(package="keras_resnets")
class ProjectionShortcut(CompositeLayer):
    """A 1×1 convolution with the block's stride, and batch normalization.

    This is the shortcut of options B and C of
    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.3, and, with an average pooling
    in the place of the stride, that of ResNet-D ([He et al., 2018](https://arxiv.org/abs/1812.01187)).

    Args:
        filters: Number of output channels.
        strides: Stride of the convolution.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        folded: Whether the normalization is part of the convolution.
        pool_size: Height and width of the windows whose averages are projected; 1 for none.
        dilation: Distance between the pixels of such a window.
        normalize: Whether the convolution is normalized.
        **kwargs: `frozen`, names of frozen sublayers, and arguments of `keras.layers.Layer`.

    Output shape:
        `(batch, ⌈height / strides⌉, ⌈width / strides⌉, filters)` for an input
        `(batch, height, width, channels)`; the same with channels first.

    Raises:
        ValueError, TypeError: If an argument is not allowed.

    Example:

    >>> layer = keras_resnets.layers.ProjectionShortcut(64, strides=2)
    >>> layer(np.ones((1, 8, 8, 16))).shape == (1, 4, 4, 64)
    True
    >>> layer.count_params()  # 16 · 64 weights, and 4 vectors of 64 for the normalization
    1280
    """

    def __init__(
        self,
        filters,
        strides=1,
        data_format=None,
        folded=False,
        pool_size=1,
        dilation=1,
        normalize=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.strides = check_positive_int("strides", strides)
        self.data_format = check_data_format("data_format", data_format)
        self.folded = check_bool("folded", folded)
        self.pool_size = check_positive_int("pool_size", pool_size)
        self.dilation = check_positive_int("dilation", dilation)
        self.normalize = check_bool("normalize", normalize)
        options = {"folded": folded, "normalize": normalize, **within(self, "conv_norm")}
        pool = AveragePooling2D(pool_size, strides, dilation, **within(self, "pool"))
        self.pool: Any = pool if self.pool_size > 1 else None
        strides = 1 if self.pool else self.strides
        self.conv_norm = ConvNorm(self.filters, 1, strides, **options)

    def build(self, input_shape):
        if self.pool is not None:
            self.pool.build(input_shape)
            input_shape = self.pool.compute_output_shape(input_shape)
        self.conv_norm.build(input_shape)
        self.freeze_sublayers()

    def call(self, inputs, training=None):
        x = inputs if self.pool is None else self.pool(inputs)
        return self.conv_norm(x, training=training)

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.filters, self.strides, self.data_format)


# What a gate does to the shortcut s and the branch F; g = σ(W * s + b) with a 1×1 convolution.
GATES = {
    "constant": "s / 2 and F / 2",
    "scalar": "λ s with a learned number λ",
    "channel": "λ s with a learned number λ for each channel",
    "shortcut_only": "(1 − g) s",
    "exclusive": "(1 − g) s and g F",
    "dropout": "in training, half the values of s are dropped and the others doubled",
}
CONVOLUTIONAL = ("shortcut_only", "exclusive")


@keras.saving.register_keras_serializable(package="keras_resnets")
class ShortcutGate(CompositeLayer):
    """Weighs a shortcut, as in section 3.1 of He et al., 2016.

    [Identity Mappings in Deep Residual Networks](https://arxiv.org/abs/1603.05027) finds that
    constants, gates and dropout on the shortcut all do worse than the identity in a ResNet-110; it
    has no `"scalar"` and `"channel"`. Calling the layer gives the weighed shortcut; `weigh` gives
    both terms of the sum.

    Args:
        gate: `"constant"` halves both terms. `"scalar"` and `"channel"` multiply the shortcut by
            one learned number, or by one per channel, from 1 on. `"shortcut_only"` multiplies the
            shortcut s by 1 − g, where g = σ(W * s + b) with a 1×1 convolution; `"exclusive"` also
            multiplies F by g. `"dropout"` drops half of the shortcut's values in training.
        gate_bias: Initial value of b in the two gates with a convolution; `None` means 0. The more
            negative, the more of the shortcut passes.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Output shape:
        That of the input, `(batch, height, width, channels)` or with channels first.

    Raises:
        ValueError, TypeError: If the gate is unknown, or `gate_bias` not finite or without effect.

    Example:

    >>> gate = keras_resnets.layers.ShortcutGate("constant")
    >>> [float(term[0, 0, 0, 0]) for term in gate.weigh(*np.full((2, 1, 1, 1, 1), 3.0))]
    [1.5, 1.5]
    """

    def __init__(self, gate, gate_bias=None, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.gate = check_choice("gate", gate, GATES)
        if gate_bias is not None:
            gate_bias = check_finite_number("gate_bias", gate_bias)
            if gate not in CONVOLUTIONAL:
                raise ValueError(
                    f"`gate_bias` belongs to the gates {' and '.join(map(repr, CONVOLUTIONAL))}. "
                    f"Received: gate_bias={gate_bias}, gate={gate!r}"
                )
        self.gate_bias = gate_bias
        self.data_format = check_data_format("data_format", data_format)
        self.conv: Any = None
        self.dropout: Any = None
        if gate == "dropout":
            self.dropout = keras.layers.Dropout(0.5, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape):
        channels = check_feature_map(input_shape, self.data_format)
        if self.gate in CONVOLUTIONAL:
            bias = keras.initializers.Constant(self.gate_bias or 0.0)
            self.conv = he_conv(self, "conv", channels, 1, bias_initializer=bias)
            self.conv.build(input_shape)
        elif self.gate == "scalar":
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        elif self.gate == "channel":
            shape = in_order(self.data_format, None, (1, 1), channels)[1:]
            self.scale = self.add_weight(shape=shape, initializer="ones", name="scale")
        self.freeze_sublayers()

    def call(self, inputs, training=None):
        if self.gate == "constant":
            return 0.5 * inputs
        if self.gate == "dropout":
            return self.dropout(inputs, training=training)
        if self.gate in CONVOLUTIONAL:
            return (1.0 - self._opening(inputs)) * inputs
        return keras.ops.cast(self.scale, inputs.dtype) * inputs

    def weigh(self, residual, shortcut, training=None):
        """Returns the terms of the sum, F(x) and s(x), as the gate weighs them."""
        weighed = self(shortcut, training=training)
        if self.gate == "constant":
            residual = 0.5 * residual
        if self.gate == "exclusive":
            residual = self._opening(shortcut) * residual
        return residual, weighed

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def _opening(self, shortcut):
        return keras.ops.sigmoid(self.conv(shortcut))
