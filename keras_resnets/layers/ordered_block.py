"""The basic block with normalization and activation in other places."""

from typing import NamedTuple

import keras

from keras_resnets.arguments import check_choice
from keras_resnets.layers.batch_norm import BatchNormalization
from keras_resnets.layers.conv_norm import ConvNorm, he_normal
from keras_resnets.layers.feature_map import Conv2D
from keras_resnets.layers.residual_block import ResidualBlock


class Order(NamedTuple):
    """Where the steps of a block stand: at the start of F, in F, and after the sum."""

    start: tuple[str, ...]
    branch: tuple[str, ...]
    end: tuple[str, ...]


# Figure 4 of He et al., 2016, (a) to (e).
ORDERS = {
    "original": Order((), ("conv norm", "activation", "conv norm"), ("activation",)),
    "norm_after_addition": Order((), ("conv norm", "activation", "conv"), ("norm", "activation")),
    "activation_before_addition": Order(
        (), ("conv norm", "activation", "conv norm", "activation"), ()
    ),
    "activation_only_pre_activation": Order(
        ("activation",), ("conv norm", "activation", "conv norm"), ()
    ),
    "full_pre_activation": Order(("norm", "activation"), ("conv norm", "activation", "conv"), ()),
}
POSITIONS = ("first", "inner", "last", "only")


@keras.saving.register_keras_serializable(package="keras_resnets")
class OrderedBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions, its other steps in the order that is asked for.

    The orders are those of figure 4 of [He et al., 2016](https://arxiv.org/abs/1603.05027); the
    numbers are its test errors in % of ResNet-110 and ResNet-164 on CIFAR-10.

    - `"original"`: F is conv, norm, act, conv, norm; an act after the sum. 6.61 and 5.93.
    - `"norm_after_addition"`: F is conv, norm, act, conv; norm and act after the sum. 8.17 and
      6.50.
    - `"activation_before_addition"`: F is conv, norm, act, conv, norm, act. 7.84 and 6.14.
    - `"activation_only_pre_activation"`: F is act, conv, norm, act, conv, norm. 6.71 and 5.91.
    - `"full_pre_activation"`: F is norm, act, conv, norm, act, conv. 6.37 and 5.46.

    To take the skip after the pre-activation instead of before it is no order of its own: a network
    of such blocks is the one with `"norm_after_addition"` (full pre-activation) or `"original"`
    (activation only), cut into blocks at other places.

    Arguments, shapes and errors are those of `ResidualBlock`, with two more; the output has
    `filters` channels. `zero_init_residual` needs an order in which F ends in a normalization.

    Args:
        order: A name from the list.
        position: Where in the network the block stands. With pre-activation, the `"first"` block
            goes without its own, for the stem has activated its input before the paths part, and
            the `"last"` one normalizes and activates the sum as a next block would (appendix of
            the paper). `"only"` is both, `"inner"` neither. The other orders are the same
            everywhere.

    Example:

    >>> block = keras_resnets.layers.OrderedBlock(16, order="full_pre_activation")
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> [layer.name for layer in block.branch_layers()]
    ['start_norm', 'start_activation', 'conv1', 'activation1', 'conv2']
    """

    def __init__(self, filters, *args, order="original", position="inner", **kwargs):
        super().__init__(filters, *args, **kwargs)
        self.order = check_choice("order", order, ORDERS)
        self.position = check_choice("position", position, POSITIONS)
        steps = ORDERS[order]
        if self.zero_init_residual and steps.branch[-1] != "conv norm":
            raise ValueError(
                "`zero_init_residual` needs an order in which the branch ends in a normalization. "
                f"Received: zero_init_residual=True, order={order!r}"
            )
        self._start = () if position in ("first", "only") else steps.start
        end = steps.start if position in ("last", "only") and steps.start else steps.end
        if "norm" in end:
            self.sum_norm = self._norm("sum_norm")
        if "activation" not in end:
            self.output_activation = keras.activations.linear

    def create_branch(self):
        layers = []
        for step in self._start:
            create = {"norm": self._norm, "activation": self._activation}[step]
            layers.append(create(f"start_{step}"))
        convolutions = activations = 0
        for step in ORDERS[self.order].branch:
            if step == "activation":
                activations += 1
                layers.append(self._activation(f"activation{activations}"))
            else:
                convolutions += 1
                layers.append(self._convolution(convolutions, normalized=step == "conv norm"))
        return layers

    def get_config(self):
        return {**super().get_config(), "order": self.order, "position": self.position}

    def _convolution(self, number, normalized):
        common = {
            "data_format": self.data_format,
            "dtype": self.dtype_policy,
            "name": f"conv{number}",
        }
        if normalized:
            return ConvNorm(
                self.filters,
                3,
                strides=self.strides if number == 1 else 1,
                dilation=self.first_dilation if number == 1 else self.dilation,
                gamma_initializer=self._last_gamma_initializer() if number == 2 else "ones",
                **common,
            )
        return Conv2D(  # at stride 1, where "same" is symmetric
            self.filters,
            3,
            padding="same",
            dilation_rate=self.dilation,
            use_bias=False,
            kernel_initializer=he_normal(),
            **common,
        )

    def _norm(self, name):
        axis = -1 if self.data_format == "channels_last" else 1
        return BatchNormalization(axis=axis, dtype=self.dtype_policy, name=name)

    def _activation(self, name):
        return keras.layers.Activation(self.activation, dtype=self.dtype_policy, name=name)
