"""The one convolution that a convolution and its normalization are in inference."""

import keras
import numpy as np


def folded_weights(conv_norm):
    """Returns the kernel and the bias with which a convolution alone does what both do.

    With moving statistics, BN(W * x) = γ (W * x − mean) / √(variance + ε) + β: linear in x, up to
    a constant, channel by channel.

    Args:
        conv_norm: A built `ConvNorm`; a folded one has the two already.

    Returns:
        The kernel, an array `(height, width, channels, filters)`, and the bias, `(filters,)`; both
        float64.
    """
    kernel = _array(conv_norm.conv.kernel)
    if conv_norm.folded:
        return kernel, _array(conv_norm.conv.bias)
    norm = conv_norm.norm
    scale = _array(norm.gamma) / np.sqrt(_array(norm.moving_variance) + norm.epsilon)
    return kernel * scale, _array(norm.beta) - _array(norm.moving_mean) * scale


def _array(weight):
    # Not `weight.value`: with LoRA, the kernel is a tensor, the sum of what is learnt.
    return keras.ops.convert_to_numpy(weight).astype("float64")
