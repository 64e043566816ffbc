"""The basic, the bottleneck and the stacked block: their outputs in NumPy."""

import functools

import numpy as np
import pytest

from keras_resnets.layers import (
    BasicBlock,
    BottleneckBlock,
    GatedBlock,
    OrderedBlock,
    StackedBlock,
)
from tests.layer_checks import numpy, randomize, weight_shapes
from tests.layers.block_reference import BLOCKS, assert_matches, feature_maps, make_block

DILATIONS = [{"dilation": 2}, {"dilation": 4, "first_dilation": 2}]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("cls", "filters", "options"),
    [
        *(
            (BasicBlock, filters, {"shortcut": shortcut, "strides": strides})
            for shortcut, strides, filters in [
                *(("A", 1, 4), ("A", 2, 4), ("B", 1, 2), ("B", 1, 3), ("B", 1, 4), ("B", 2, 3)),
                *(("C", 1, 3), ("C", 2, 4), (None, 1, 4), (None, 2, 4)),
            ]
        ),
        (BasicBlock, 6, {"shortcut": "A", "strides": 2, "zero_pad": "both"}),
        (BottleneckBlock, 8, {"shortcut": "A", "strides": 2}),
        (BottleneckBlock, 8, {"strides": 2}),
        (BottleneckBlock, 8, {"shortcut": None, "strides": 2}),
        (BottleneckBlock, 8, {"strides": 2, "stride_on": "1x1"}),
        *(
            (StackedBlock, 4, {"strides": 2, "shortcut": shortcut, "depth": depth})
            for depth in (1, 3)
            for shortcut in ("A", "B", None)
        ),
        *((cls, 4, dilation) for cls in BLOCKS for dilation in DILATIONS),
        (BasicBlock, 4, {"dilation": 2, "first_dilation": 1}),
        (BottleneckBlock, 4, {"dilation": 2, "stride_on": "1x1"}),
        (BasicBlock, 4, {"shortcut": "D"}),
        (BasicBlock, 4, {"shortcut": "D", "strides": 2}),
        (BasicBlock, 4, {"shortcut": "D", "strides": 3, "anti_alias": "average"}),
        (BasicBlock, 4, {"anti_alias": "blur", "strides": 2}),
        (StackedBlock, 4, {"anti_alias": "blur", "strides": 2, "depth": 1}),
        (BottleneckBlock, 8, {"anti_alias": "blur", "strides": 2, "stride_on": "1x1"}),
        (BottleneckBlock, 8, {"groups": 2, "width_per_group": 96, "strides": 2}),
        (BottleneckBlock, 8, {"groups": 4, "width_per_group": 64, "dilation": 2}),
        (BasicBlock, 4, {"se_ratio": 0.5}),
        *(
            (BasicBlock, 4, {"pre_activation": pre, "shortcut": shortcut, "strides": 2})
            for pre, shortcut in [(True, "A"), (True, "B"), (True, None), ("both", "A")]
        ),
        (BasicBlock, 3, {"pre_activation": True}),
        (BasicBlock, 3, {"pre_activation": "both"}),
        (BasicBlock, 3, {"pre_activation": True, "shortcut": "C"}),
        (
            BottleneckBlock,
            8,
            {"pre_activation": True, "shortcut": "D", "strides": 2, "anti_alias": "blur"}
            | {"groups": 2, "width_per_group": 64, "se_ratio": 0.25},
        ),
    ],
    ids=str,
)
def test_matches_numpy(cls, filters, options, training, rng):
    """The reference has a projection where the rule of section 3.3 says so, and only there."""
    x = feature_maps(rng, size=(9, 12))
    assert_matches(make_block(cls, x, filters, **options), x, training)


@pytest.mark.parametrize("training", [True, False])
def test_a_bottleneck_of_matching_channels_matches_numpy(training, rng):
    x = feature_maps(rng, channels=8)
    assert_matches(make_block(BottleneckBlock, x, 8), x, training)


@pytest.mark.parametrize("cls", [StackedBlock, GatedBlock, OrderedBlock])
def test_the_other_blocks_are_the_basic_block_by_default(cls, rng):
    x = feature_maps(rng)
    options = {"filters": 4, "dilation": 4, "first_dilation": 2}
    basic, other = BasicBlock(**options), cls(**options)
    basic.build(x.shape)
    other.build(x.shape)
    randomize(basic)
    other.set_weights(basic.get_weights())
    assert weight_shapes(other) == weight_shapes(basic)
    np.testing.assert_array_equal(numpy(other(x)), numpy(basic(x)))


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
