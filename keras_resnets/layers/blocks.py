"""The residual blocks."""

from typing import NamedTuple

import keras
import numpy as np

from keras_resnets.arguments import bottleneck_width, check_choice, check_positive_int
from keras_resnets.layers.composite import within
from keras_resnets.layers.conv_norm import channel_norm, folded_weights, he_conv
from keras_resnets.layers.residual_block import ResidualBlock
from keras_resnets.layers.shortcuts import IdentityShortcut, ProjectionShortcut, ShortcutGate


@keras.saving.register_keras_serializable(package="keras_resnets")
class StackedBlock(ResidualBlock):
    """A residual block whose branch is `depth` 3×3 convolutions.

    With a depth of 2 it is `BasicBlock`. [He et al., 2015](https://arxiv.org/abs/1512.03385),
    section 3.2, observed no advantage of one layer: before its activation, a block of depth 1 is a
    single convolution (`keras_resnets.analysis.merge_one_layer_block` computes its kernel).

    Arguments, shapes and errors are those of `ResidualBlock`, with one more; the output has
    `filters` channels.

    Args:
        depth: Number of convolutions. Each is normalized, and each but the last activated.

    Example:

    >>> block = keras_resnets.layers.StackedBlock(16, depth=3)
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> [layer.name for layer in block.branch_layers()]
    ['conv1', 'activation1', 'conv2', 'activation2', 'conv3']
    """

    def __init__(self, filters, *args, depth=2, **kwargs):
        super().__init__(filters, *args, **kwargs)
        self.depth = check_positive_int("depth", depth)
        if self.depth == 1 and self.dropout_rate:
            raise ValueError(
                "`dropout_rate` drops values between two convolutions, and needs a depth above 1. "
                f"Received: dropout_rate={self.dropout_rate}, depth=1"
            )
        if self.depth == 1 and self.pre_activation and self.folded:
            raise ValueError(
                "`folded` needs a normalization that follows a convolution; with `pre_activation`, "
                "none does in a block of one. Received: folded=True, depth=1, "
                f"pre_activation={self.pre_activation!r}"
            )

    def create_branch(self):
        return stacked_branch(self, self.depth)


def stacked_branch(block, depth):
    """Returns the layers of F as `depth` 3×3 convolutions, the first with the block's stride."""
    layers = []
    for number in range(1, depth + 1):
        is_first, is_last = number == 1, number == depth
        layers += block._convolution(number, 3, carries_stride=is_first, is_last=is_last)
    return layers


@keras.saving.register_keras_serializable(package="keras_resnets")
class BasicBlock(ResidualBlock):
    """A residual block whose branch is two 3×3 convolutions.

    F(x) = BN(W₂ * relu(BN(W₁ * x))), figure 2 and figure 5 (left) of
    [He et al., 2015](https://arxiv.org/abs/1512.03385). The first convolution carries the stride.

    Arguments, shapes and errors are those of `ResidualBlock`; the output has `filters` channels.

    Example:

    >>> block = keras_resnets.layers.BasicBlock(16, strides=2)
    >>> block(np.ones((1, 8, 8, 8))).shape == (1, 4, 4, 16)
    True
    >>> type(block.shortcut_layer).__name__  # the shapes differ, so it has weights
    'ProjectionShortcut'
    """

    kernel_sizes = (3, 3)

    def create_branch(self):
        return stacked_branch(self, depth=2)


@keras.saving.register_keras_serializable(package="keras_resnets")
class BottleneckBlock(ResidualBlock):
    """A residual block whose branch is a 1×1, a 3×3 and a 1×1 convolution.

    The first reduces the channels to `filters`, the last restores four times as many: figure 5
    (right) of [He et al., 2015](https://arxiv.org/abs/1512.03385).

    Arguments, shapes and errors are those of `ResidualBlock`, with three more; the output has
    `4 * filters` channels.

    Args:
        stride_on: The convolution that carries the stride: `"3x3"`, as in nearly all published
            weights ("v1.5"), or the first `"1x1"`, as in the paper ("v1"). The latter costs less,
            and the branch ignores three of four input positions.
        groups: Number of groups of channels of the 3×3 convolution
            ([Xie et al., 2017](https://arxiv.org/abs/1611.05431)).
        width_per_group: Channels of a group where `filters` is 64, and in proportion elsewhere.
            With one group and 128, the inner convolutions are twice as wide
            ([Zagoruyko & Komodakis, 2016](https://arxiv.org/abs/1605.07146)).

    Example:

    >>> block = keras_resnets.layers.BottleneckBlock(16)
    >>> block(np.ones((1, 8, 8, 64))).shape == (1, 8, 8, 64)
    True
    >>> type(block.shortcut_layer).__name__  # the shapes match, so it has none
    'IdentityShortcut'
    """

    expansion = 4
    kernel_sizes = (1, 3, 1)

    def __init__(
        self,
        filters,
        strides=1,
        shortcut="B",
        activation="relu",
        dilation=1,
        zero_init_residual=False,
        drop_path_rate=0.0,
        *,
        stride_on="3x3",
        groups=1,
        width_per_group=64,
        **kwargs,
    ):
        shared = (filters, strides, shortcut, activation, dilation, zero_init_residual)
        super().__init__(*shared, drop_path_rate, **kwargs)
        self.stride_on = check_choice("stride_on", stride_on, ("3x3", "1x1"))
        self.groups = check_positive_int("groups", groups)
        self.width_per_group = check_positive_int("width_per_group", width_per_group)
        self.inner_filters = bottleneck_width(self.filters, self.groups, self.width_per_group)
        if self.stride_on == "1x1" and self.first_dilation != self.dilation:
            raise ValueError(
                "`first_dilation` belongs to a 3×3 convolution that carries the stride: with "
                "stride_on='1x1' it must be `dilation`. Received: "
                f"first_dilation={self.first_dilation}, dilation={self.dilation}, stride_on='1x1'"
            )

    def create_branch(self):
        on_3x3, width = self.stride_on == "3x3", self.inner_filters
        return [
            *self._convolution(1, 1, width, carries_stride=not on_3x3),
            *self._convolution(2, 3, width, carries_stride=on_3x3, groups=self.groups),
            *self._convolution(3, 1, self.filters * self.expansion, is_last=True),
        ]


@keras.saving.register_keras_serializable(package="keras_resnets")
class UnnormalizedBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions with biases, without normalization in F.

    F(x) = W₂ * relu(W₁ * x + b₁) + b₂: `BasicBlock` without its batch normalization, to see what
    that does for the gradients ([Ioffe & Szegedy, 2015](https://arxiv.org/abs/1502.03167)). Each
    sum adds to the variance, so that a deep network of such blocks needs small learning rates.

    Arguments, shapes and errors are those of `ResidualBlock`, except that `zero_init_residual` is
    not supported, and `folded` needs a projection (options B and C), which keeps its normalization.
    The output has `filters` channels.

    Example:

    >>> block = keras_resnets.layers.UnnormalizedBlock(16)
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> [weight.name for weight in block.conv1.weights]
    ['kernel', 'bias']
    """

    unsupported = ("pre_activation", "anti_alias", "dropout_rate")

    def __init__(self, filters, *args, **kwargs):
        super().__init__(filters, *args, **kwargs)
        if self.zero_init_residual:
            raise ValueError(
                "`zero_init_residual` needs a normalization, whose γ begins at 0. "
                "Received: zero_init_residual=True"
            )
        if self.folded and self.shortcut in ("A", None):
            raise ValueError(
                "`folded` needs a normalization to fold, and this block has none but a "
                f"projection's. Received: folded=True, shortcut={self.shortcut!r}"
            )

    def create_branch(self):
        first = {"strides": self.strides, "dilation_rate": self.first_dilation}
        return [
            keras.layers.ZeroPadding2D(self.first_dilation, **within(self, "pad1")),
            he_conv(self, "conv1", self.filters, 3, **first),
            self._activation("activation1"),
            he_conv(self, "conv2", self.filters, 3, dilation_rate=self.dilation, padding="same"),
        ]


@keras.saving.register_keras_serializable(package="keras_resnets")
class GatedBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions whose shortcut is weighed by a gate.

    The gates are those of section 3.1 of [He et al., 2016](https://arxiv.org/abs/1603.05027) and
    two learned weights, `"scalar"` and `"channel"`. The paper's test errors of ResNet-110 on
    CIFAR-10 in % are 6.61 for the identity, 12.35 for `"constant"`, 12.86 and 6.91 for
    `"shortcut_only"` with biases of 0 and −6, and 8.70 for `"exclusive"` with −6; `"dropout"`
    fails. The paper's 1×1 convolution on the shortcut (12.22) is `shortcut="C"`.

    Arguments, shapes and errors are those of `ResidualBlock`, with two more; the output has
    `filters` channels.

    Args:
        gate: A gate of `ShortcutGate`; `None` leaves the shortcut as it is, as in `BasicBlock`.
        gate_bias: Initial bias of a gate with a convolution; `None` means 0.

    Example:

    >>> block = keras_resnets.layers.GatedBlock(16, gate="scalar")
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> float(block.gate_layer.scale)
    1.0
    """

    def __init__(self, filters, *args, gate=None, gate_bias=None, **kwargs):
        super().__init__(filters, *args, **kwargs)
        self.gate = gate
        self.gate_bias = gate_bias
        if gate is None and gate_bias is not None:
            raise ValueError(
                f"`gate_bias` belongs to a gate. Received: gate_bias={gate_bias}, gate=None"
            )
        if gate is not None:
            if self.shortcut is None:
                raise ValueError(
                    "A plain block has no shortcut to weigh. "
                    f"Received: gate={gate!r}, shortcut=None"
                )
            self.gate_layer = ShortcutGate(gate, gate_bias, **within(self, "gate"))

    def create_branch(self):
        return stacked_branch(self, depth=2)


# Figure 4 of He et al., 2016, (a) to (e): the steps at the start of F, in F, and after the sum.
ORDERS = {
    "original": ("", "conv+norm activation conv+norm", "activation"),
    "norm_after_addition": ("", "conv+norm activation conv", "norm activation"),
    "activation_before_addition": ("", "conv+norm activation conv+norm activation", ""),
    "activation_only_pre_activation": ("activation", "conv+norm activation conv+norm", ""),
    "full_pre_activation": ("norm activation", "conv+norm activation conv", ""),
}


@keras.saving.register_keras_serializable(package="keras_resnets")
class OrderedBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions, with its other steps in a choice of orders.

    The orders are those of figure 4 of [He et al., 2016](https://arxiv.org/abs/1603.05027); the
    numbers are its test errors in % of ResNet-110 and ResNet-164 on CIFAR-10.

    - `"original"`: F is conv, norm, act, conv, norm; an act after the sum. 6.61 and 5.93.
    - `"norm_after_addition"`: F is conv, norm, act, conv; norm and act after the sum. 8.17 and
      6.50.
    - `"activation_before_addition"`: F is conv, norm, act, conv, norm, act. 7.84 and 6.14.
    - `"activation_only_pre_activation"`: F is act, conv, norm, act, conv, norm. 6.71 and 5.91.
    - `"full_pre_activation"`: F is norm, act, conv, norm, act, conv. 6.37 and 5.46.

    Arguments, shapes and errors are those of `ResidualBlock`, with two more; the output has
    `filters` channels. `zero_init_residual` needs an order in which F ends in a normalization.

    Args:
        order: A name from the list.
        position: Where in the network the block is, for the orders with pre-activation. The
            `"first"` block has none of its own, since the stem has activated its input; the
            `"last"` one normalizes and activates the sum as a next block would (appendix of the
            paper); `"only"` does both, `"inner"` neither.

    Example:

    >>> block = keras_resnets.layers.OrderedBlock(16, order="full_pre_activation")
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> [layer.name for layer in block.branch_layers()]
    ['start_norm', 'start_activation', 'conv1', 'activation1', 'conv2']
    """

    unsupported = ("pre_activation", "anti_alias", "dropout_rate")

    def __init__(self, filters, *args, order="original", position="inner", **kwargs):
        super().__init__(filters, *args, **kwargs)
        self.order = check_choice("order", order, ORDERS)
        self.position = check_choice("position", position, ("first", "inner", "last", "only"))
        start, self._branch_steps, end = (tuple(x.split()) for x in ORDERS[order])
        if self.zero_init_residual and self._branch_steps[-1] != "conv+norm":
            raise ValueError(
                "`zero_init_residual` needs an order in which the branch ends in a normalization. "
                f"Received: zero_init_residual=True, order={order!r}"
            )
        self._start_steps = () if position in ("first", "only") else start
        end = start if position in ("last", "only") and start else end
        if "norm" in end:
            self.sum_norm = channel_norm(self, "sum_norm")
        if "activation" not in end:
            self.output_activation = keras.activations.linear

    def create_branch(self):
        layers = []
        for step in self._start_steps:
            name = f"start_{step}"
            layers.append(channel_norm(self, name) if step == "norm" else self._activation(name))
        for index, step in enumerate(self._branch_steps):
            # A convolution and an activation by turns: conv1, activation1, conv2, …
            name = f"{step.partition('+')[0]}{index // 2 + 1}"
            if step == "activation":
                layers.append(self._activation(name))
            elif step == "conv+norm":
                first = index == 0
                layers.append(self._conv(name, 3, carries_stride=first, is_last=not first))
            else:  # at stride 1, where "same" is symmetric
                options = {"padding": "same", "dilation_rate": self.dilation, "use_bias": False}
                layers.append(he_conv(self, name, self.filters, 3, **options))
        return layers


class MergedConvolution(NamedTuple):
    """A convolution with bias in float64, padded as `ConvNorm` pads."""

    kernel: np.ndarray
    bias: np.ndarray


def merge_one_layer_block(block):
    """Returns the single convolution that a block of depth 1 is in inference.

    Before its activation, y = BN(W * x) + s(x) is linear in x, up to a constant: normalization by
    moving statistics scales W and adds a bias, the identity is a kernel with a 1 in its centre, and
    a projection W_r is a 1×1 kernel in the same place. So a plain layer with kernel W + I or
    W + W_r computes the same ([He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.2, saw
    no advantage).

    Args:
        block: A built `StackedBlock` of depth 1, with or without shortcut.

    Returns:
        A `MergedConvolution` `(kernel, bias)` with which block(x) = g(kernel * x + bias) in
        inference, at the stride and the dilation of the block's own convolution.

    Raises:
        TypeError: If `block` is not a `StackedBlock`.
        ValueError: If it is not built, or has another depth or layers beside the convolution.

    Example:

    >>> block = keras_resnets.layers.StackedBlock(8, depth=1, activation=None)
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 5, 8)).astype("float32")
    >>> y = block(x)
    >>> kernel, bias = keras_resnets.analysis.merge_one_layer_block(block)
    >>> single = keras.ops.conv(x, kernel.astype("float32"), padding="same") + bias
    >>> bool(np.allclose(y, single, atol=1e-5))
    True
    """
    if not isinstance(block, StackedBlock):
        raise TypeError(f"`block` must be a StackedBlock. Received: block={block!r}")
    if len(block.branch_layers()) != 1:  # none before it is built
        raise ValueError(
            "`block` must be built, and its branch one convolution: more layers are not linear, or "
            f"not one kernel. Received: depth={block.depth}, built={block.built}, branch of "
            f"{', '.join(layer.name for layer in block.branch_layers()) or 'no layers'}"
        )
    shortcut = block.shortcut_layer
    if getattr(shortcut, "pool", None) is not None:
        raise ValueError(
            "`block` must have a shortcut without pooling, which a 3×3 kernel cannot hold. "
            f"Received: shortcut={block.shortcut!r}"
        )
    kernel, bias = folded_weights(block.conv1)
    if isinstance(shortcut, ProjectionShortcut):
        projection, shift = folded_weights(shortcut.conv_norm)
        kernel[1, 1] += projection[0, 0]
        bias += shift
    elif isinstance(shortcut, IdentityShortcut):
        channels, filters = kernel.shape[2:]
        before = (filters - channels) // 2 if shortcut.zero_pad == "both" else 0
        kernel[1, 1] += np.eye(channels, filters, k=before)
    return MergedConvolution(kernel, bias)
