"""What weighs a shortcut against the branch beside it."""

from typing import Any

import keras

from keras_resnets.arguments import check_choice, check_data_format, check_finite_number
from keras_resnets.layers.composite import CompositeLayer
from keras_resnets.layers.conv_norm import he_normal
from keras_resnets.layers.feature_map import Conv2D, channel_axis, check_feature_map

# What becomes of the shortcut s, and of F; g = σ(W * s + b) with a 1×1 convolution.
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

    [Identity Mappings in Deep Residual Networks](https://arxiv.org/abs/1603.05027) shows that
    constants, gates and dropout do worse than the identity in a ResNet-110, for each hinders what
    passes through all the blocks. The two learned weights, `"scalar"` and `"channel"`, are not in
    the paper. Called, the layer gives the weighed shortcut; `weigh` gives both terms of the sum.

    Args:
        gate: What is done.

            - `"constant"`: both terms are halved.
            - `"scalar"`, `"channel"`: the shortcut is multiplied by a learned number, or by one
              for each channel; they begin at 1.
            - `"shortcut_only"`: the shortcut is multiplied by 1 − g, where g = σ(W * s + b) with
              a 1×1 convolution of the shortcut s.
            - `"exclusive"`: the same, and F is multiplied by g.
            - `"dropout"`: in training, half of the shortcut's values are dropped.
        gate_bias: Where b begins, in the two gates with a convolution; `None` means 0. The more
            negative, the more of the shortcut passes.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`.

    Output shape:
        That of the input.

    Raises:
        ValueError: If there is no such gate, or `gate_bias` is not finite or has no effect.
        TypeError: If `gate_bias` is not a number.

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
            self.conv = Conv2D(
                channels,
                1,
                kernel_initializer=he_normal(),
                bias_initializer=keras.initializers.Constant(self.gate_bias or 0.0),
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="conv",
            )
            self.conv.build(input_shape)
        elif self.gate == "scalar":
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        elif self.gate == "channel":
            shape = [1, 1, 1]
            shape[channel_axis(self.data_format) - 1] = channels
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

    def get_config(self):
        return {
            **super().get_config(),
            "gate": self.gate,
            "gate_bias": self.gate_bias,
            "data_format": self.data_format,
        }

    def _opening(self, shortcut):
        return keras.ops.sigmoid(self.conv(shortcut))
