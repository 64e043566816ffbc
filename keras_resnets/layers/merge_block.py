"""A block of one layer is one layer: its kernel, computed."""

from typing import NamedTuple

import numpy as np

from keras_resnets.layers.folded_weights import folded_weights
from keras_resnets.layers.shortcuts import IdentityShortcut, ProjectionShortcut
from keras_resnets.layers.stacked_block import StackedBlock


class MergedConvolution(NamedTuple):
    """A convolution with bias, padded as `ConvNorm` pads.

    Attributes:
        kernel: Array `(3, 3, channels, filters)`, float64.
        bias: Array `(filters,)`, float64.
    """

    kernel: np.ndarray
    bias: np.ndarray


def merge_one_layer_block(block):
    """Returns the single convolution that a block of depth 1 is in inference.

    Before its activation, y = BN(W * x) + s(x) is linear in x, up to a constant. Normalization by
    moving statistics multiplies W and adds a bias; the identity is a kernel too, with a 1 in its
    centre for each channel; a projection W_r is a 1×1 kernel, which fits in the same centre. So
    the block is one convolution, with kernel W + I or W + W_r: it can compute nothing that a plain
    layer cannot ([He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.2, saw no
    advantage).

    Args:
        block: A built `StackedBlock` of depth 1, with or without shortcut.

    Returns:
        A `MergedConvolution` with the stride and the dilation of the block's own convolution, such
        that block(x) = g(kernel * x + bias) in inference.

    Raises:
        TypeError: If `block` is not a `StackedBlock`.
        ValueError: If it has another depth, or is not built.

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
    if block.depth != 1 or not block.built:
        raise ValueError(
            "`block` must be built and have one convolution: more are not linear. "
            f"Received: depth={block.depth}, built={block.built}"
        )
    kernel, bias = folded_weights(block.conv1)
    shortcut = block.shortcut_layer
    if isinstance(shortcut, ProjectionShortcut):
        projection, shift = folded_weights(shortcut.conv_norm)
        kernel[1, 1] += projection[0, 0]
        bias += shift
    elif isinstance(shortcut, IdentityShortcut):
        channels, filters = kernel.shape[2:]
        before = (filters - channels) // 2 if shortcut.zero_pad == "both" else 0
        kernel[1, 1] += np.eye(channels, filters, k=before)
    return MergedConvolution(kernel, bias)
