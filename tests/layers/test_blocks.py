"""The basic, the bottleneck and the stacked block: their weights, and their outputs in NumPy."""

import functools

import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, BottleneckBlock, StackedBlock
from tests.layer_checks import check_layer, numpy, randomize, weight_shapes
from tests.layers.block_reference import (
    BASIC,
    BLOCKS,
    BOTTLENECK,
    BOTTLENECK_V1,
    assert_matches,
    feature_maps,
    make_block,
)

# Two 3×3 convolutions from 3 to 4 and from 4 to 4 channels; 1×1 of 3·4, 3×3 of 4·4 and 1×1 of 4·16
# weights. γ and β for each of their channels, and as many means and variances.
KERNELS = {BasicBlock: 9 * (3 * 4 + 4 * 4), BottleneckBlock: 3 * 4 + 9 * 4 * 4 + 4 * 16}
CHANNELS = {BasicBlock: 4 + 4, BottleneckBlock: 4 + 4 + 16}


@pytest.mark.parametrize(
    ("cls", "options", "projects"),
    [
        (BasicBlock, {"strides": 2}, True),
        (BasicBlock, {"shortcut": "A", "dilation": 2, "zero_pad": "both"}, False),
        (BottleneckBlock, {"stride_on": "1x1", "shortcut": None, "activation": "silu"}, False),
    ],
    ids=str,
)
def test_layer(cls, options, projects, tmp_path):
    filters = 4 * cls.expansion
    size = (3, 3) if "strides" in options else (5, 6)
    kernels = KERNELS[cls] + projects * 3 * filters
    norms = 2 * (CHANNELS[cls] + projects * filters)
    make = functools.partial(cls, 4, **options)
    check_layer(make, (2, 5, 6, 3), (2, *size, filters), kernels + norms, norms, tmp_path)


def test_stacked_layer(tmp_path):
    make = functools.partial(StackedBlock, 4, strides=2, shortcut="A", depth=3)
    kernels = 9 * (3 * 4 + 2 * 4 * 4)
    check_layer(make, (2, 5, 6, 3), (2, 3, 3, 4), kernels + 8 * 3, 8 * 3, tmp_path)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("shortcut", "strides", "filters"),
    [
        *(("A", 1, 4), ("A", 2, 4), ("B", 1, 2), ("B", 1, 3), ("B", 1, 4), ("B", 2, 3)),
        *(("C", 1, 3), ("C", 2, 4), (None, 1, 4), (None, 2, 4)),
    ],
)
def test_matches_numpy(shortcut, strides, filters, training, rng):
    """The reference has a projection where the rule of section 3.3 says so, and only there."""
    x = feature_maps(rng)
    block = make_block(BasicBlock, x, filters, shortcut=shortcut, strides=strides)
    assert_matches(block, BASIC, x, training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"shortcut": "A", "strides": 2}, 3),
        ({"shortcut": "B"}, 8),
        ({"shortcut": "B", "strides": 2}, 3),
        ({"shortcut": None, "strides": 2}, 3),
        ({"shortcut": "B", "strides": 2, "stride_on": "1x1"}, 3),
    ],
    ids=str,
)
def test_a_bottleneck_matches_numpy(options, channels, training, rng):
    x = feature_maps(rng, channels)
    convolutions = BOTTLENECK_V1 if "stride_on" in options else BOTTLENECK
    assert_matches(make_block(BottleneckBlock, x, 8, **options), convolutions, x, training)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("shortcut", ["A", "B", None])
def test_a_stacked_block_matches_numpy(depth, shortcut, rng):
    x = feature_maps(rng)
    options = {"strides": 2, "shortcut": shortcut, "activation": "tanh", "depth": depth}
    block = make_block(StackedBlock, x, **options)
    convolutions = [(3, True)] + [(3, False)] * (depth - 1)
    assert_matches(block, convolutions, x, training=True, activation=np.tanh)


@pytest.mark.parametrize(
    ("cls", "convolutions", "options"),
    [
        (BasicBlock, BASIC, {"dilation": 2}),
        (BasicBlock, BASIC, {"dilation": 4, "first_dilation": 2}),
        (BasicBlock, BASIC, {"dilation": 2, "first_dilation": 1}),
        (BottleneckBlock, BOTTLENECK, {"dilation": 2}),
        (BottleneckBlock, BOTTLENECK, {"dilation": 4, "first_dilation": 2}),
        (BottleneckBlock, BOTTLENECK_V1, {"dilation": 2}),
    ],
)
def test_dilation_matches_numpy(cls, convolutions, options, rng):
    x = feature_maps(rng, size=(9, 12))
    stride_on = {"stride_on": "1x1"} if convolutions is BOTTLENECK_V1 else {}
    assert_matches(make_block(cls, x, **options, **stride_on), convolutions, x, **options)


@pytest.mark.parametrize("zero_pad", ["end", "both"])
def test_zero_channels_match_numpy(zero_pad, rng):
    x = feature_maps(rng)
    block = make_block(BasicBlock, x, 6, strides=2, shortcut="A", zero_pad=zero_pad)
    assert_matches(block, BASIC, x, zero_pad=zero_pad)


def test_two_stacked_convolutions_are_the_basic_block(rng):
    x = feature_maps(rng)
    options = {"filters": 4, "dilation": 4, "first_dilation": 2}
    basic, stacked = BasicBlock(**options), StackedBlock(**options, depth=2)
    basic.build(x.shape)
    stacked.build(x.shape)
    randomize(basic)
    stacked.set_weights(basic.get_weights())
    assert weight_shapes(stacked) == weight_shapes(basic)
    np.testing.assert_array_equal(numpy(stacked(x)), numpy(basic(x)))


@pytest.mark.parametrize(("depth", "error"), [(0, ValueError), (1.5, TypeError)])
def test_other_depths_are_refused(depth, error):
    with pytest.raises(error, match=f"Received: depth={depth}"):
        StackedBlock(4, depth=depth)


@pytest.mark.parametrize("cls", [*BLOCKS, functools.partial(StackedBlock, depth=3)])
def test_the_last_gamma_alone_begins_at_zero_and_only_if_asked_for(cls):
    for zero in (False, True):
        block = cls(4, shortcut="C", zero_init_residual=zero)
        block.build((None, 5, 6, 4))
        layers = block.branch_layers()[::2]
        gammas = [float(numpy(layer.norm.gamma)[0]) for layer in layers]
        assert gammas == [1.0] * (len(layers) - 1) + [0.0 if zero else 1.0]
        assert float(numpy(block.shortcut_layer.conv_norm.norm.gamma)[0]) == 1.0
