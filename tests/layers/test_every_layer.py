"""What holds for every layer, with its exact number of weights."""

from functools import partial

import pytest

from keras_resnets.layers import (
    AveragePooling2D,
    BasicBlock,
    BatchNormalization,
    BlurPooling2D,
    BottleneckBlock,
    ConvNorm,
    GatedBlock,
    IdentityShortcut,
    OrderedBlock,
    ProjectionShortcut,
    SqueezeExcitation,
    StackedBlock,
    SymmetricMaxPooling2D,
    UnnormalizedBlock,
)
from tests.layer_checks import check_layer

HALVED = {"strides": 2, "shortcut": "A"}
PRE = "full_pre_activation"
# The layer and its output from (2, 5, 6, channels in): rows, columns and channels; the weights of
# its kernels, biases and gates; and the channels that are normalized, with γ, β and two statistics.
LAYERS = [
    (partial(BatchNormalization, momentum=0.5, epsilon=1e-2), 3, (5, 6, 3), 0, 3),
    (partial(ConvNorm, 4, 3, strides=2), 3, (3, 3, 4), 9 * 3 * 4, 4),
    (
        partial(ConvNorm, 4, (3, 1), dilation=(2, 1), gamma_initializer="zeros"),
        *(3, (5, 6, 4), 3 * 3 * 4, 4),
    ),
    (SymmetricMaxPooling2D, 3, (3, 3, 3), 0, 0),
    (partial(SymmetricMaxPooling2D, 5, 1), 3, (5, 6, 3), 0, 0),
    (AveragePooling2D, 3, (3, 3, 3), 0, 0),
    (partial(AveragePooling2D, 3, 1, 2), 3, (5, 6, 3), 0, 0),
    (BlurPooling2D, 3, (3, 3, 3), 0, 0),
    (partial(BlurPooling2D, 1, 2), 3, (5, 6, 3), 0, 0),
    # From 8 to 8 channels, in two groups; and without normalization.
    (partial(ConvNorm, 8, 3, groups=2), 8, (5, 6, 8), 9 * 4 * 8, 8),
    (partial(ConvNorm, 4, 3, strides=2, normalize=False), 3, (3, 3, 4), 9 * 3 * 4, 0),
    # Two convolutions with biases, to 8 inner channels and back.
    (partial(SqueezeExcitation, 0.5), 4, (5, 6, 4), 4 * 8 + 8 + 8 * 4 + 4, 0),
    (partial(ProjectionShortcut, 4, 2, pool_size=2), 3, (3, 3, 4), 3 * 4, 4),
    (partial(IdentityShortcut, 3), 3, (5, 6, 3), 0, 0),
    (partial(IdentityShortcut, 6, 2, "both"), 3, (3, 3, 6), 0, 0),
    (partial(ProjectionShortcut, 4, 2), 3, (3, 3, 4), 3 * 4, 4),
    # Two 3×3 convolutions, from 3 to 4 and from 4 to 4 channels; here with a projection to 4.
    (partial(BasicBlock, 4, strides=2), 3, (3, 3, 4), 9 * (12 + 16) + 12, 4 + 4 + 4),
    (
        partial(BasicBlock, 4, shortcut="A", dilation=2, zero_pad="both"),
        *(3, (5, 6, 4), 9 * (12 + 16), 4 + 4),
    ),
    (
        partial(BottleneckBlock, 4, stride_on="1x1", shortcut=None, activation="silu"),
        *(3, (5, 6, 16), 3 * 4 + 9 * 4 * 4 + 4 * 16, 4 + 4 + 16),
    ),
    (partial(StackedBlock, 4, **HALVED, depth=3), 3, (3, 3, 4), 9 * (12 + 2 * 16), 3 * 4),
    (
        partial(BasicBlock, 4, strides=2, shortcut="D", anti_alias="blur", pre_activation=True),
        *(3, (3, 3, 4), 9 * (12 + 16) + 12, 3 + 4),
    ),
    (
        partial(
            BottleneckBlock, 4, groups=2, width_per_group=64, se_ratio=0.5, anti_alias="average"
        ),
        *(3, (5, 6, 16), 3 * 8 + 9 * 4 * 8 + 8 * 16 + 3 * 16 + 16 * 8 + 8 + 8 * 16 + 16),
        8 + 8 + 16 + 16,
    ),
    # A learned number a channel; a 1×1 convolution with biases.
    (partial(GatedBlock, 4, gate="channel"), 4, (5, 6, 4), 9 * (16 + 16) + 4, 4 + 4),
    (partial(GatedBlock, 4, gate="exclusive"), 4, (5, 6, 4), 9 * (16 + 16) + 16 + 4, 4 + 4),
    # Normalized are the first convolution's 4 channels and the sum's 4, or the input's 3.
    (
        partial(OrderedBlock, 4, **HALVED, order="norm_after_addition"),
        *(3, (3, 3, 4), 9 * (12 + 16), 4 + 4),
    ),
    (partial(OrderedBlock, 4, **HALVED, order=PRE), 3, (3, 3, 4), 9 * (12 + 16), 3 + 4),
    (partial(UnnormalizedBlock, 4, **HALVED), 3, (3, 3, 4), 9 * (12 + 16) + 2 * 4, 0),
]


@pytest.mark.parametrize(("make", "channels", "output", "weights", "normalized"), LAYERS)
def test_layer(make, channels, output, weights, normalized, tmp_path):
    norms = 2 * normalized
    check_layer(make, (2, 5, 6, channels), (2, *output), weights + norms, norms, tmp_path)
