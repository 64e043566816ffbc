"""Branches of one, two and three convolutions."""

import functools

import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, StackedBlock
from tests.layer_checks import check_layer, numpy, randomize, weight_shapes
from tests.layers.block_reference import assert_matches
from tests.reference import relu


def stacked_branch(layers, x, *, strides=1, activation=relu, depth=2):
    x = layers.conv_norm(x, "conv1", strides)
    for number in range(2, depth + 1):
        x = layers.conv_norm(activation(x), f"conv{number}")
    return x


@pytest.mark.parametrize("depth", [1, 3])
def test_layer(depth, tmp_path):
    # 3×3 convolutions from 3 to 4 and from 4 to 4 channels, γ and β for each; option A.
    parameters = 9 * (3 * 4 + (depth - 1) * 4 * 4) + 8 * depth
    make = functools.partial(StackedBlock, 4, strides=2, shortcut="A", depth=depth)
    check_layer(make, (2, 5, 6, 3), (2, 3, 3, 4), parameters, 8 * depth, tmp_path)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("shortcut", ["A", "B", None])
def test_matches_numpy(depth, shortcut, rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = StackedBlock(4, 2, shortcut, "tanh", depth=depth)
    block.build(x.shape)
    randomize(block)
    assert_matches(
        block,
        functools.partial(stacked_branch, depth=depth),
        x,
        training=True,
        activation=np.tanh,
    )


def test_two_convolutions_are_the_basic_block(rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    options = {"filters": 4, "dilation": 4, "first_dilation": 2}
    basic, stacked = BasicBlock(**options), StackedBlock(**options, depth=2)
    basic.build(x.shape)
    stacked.build(x.shape)
    randomize(basic)
    stacked.set_weights(basic.get_weights())
    assert weight_shapes(stacked) == weight_shapes(basic)
    np.testing.assert_array_equal(numpy(stacked(x)), numpy(basic(x)))


def test_the_last_gamma_may_begin_at_zero():
    block = StackedBlock(4, zero_init_residual=True, depth=3)
    block.build((None, 5, 6, 4))
    gammas = [float(numpy(layer.norm.gamma)[0]) for layer in block.branch_layers()[::2]]
    assert gammas == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(("depth", "error"), [(0, ValueError), (1.5, TypeError)])
def test_other_depths_are_refused(depth, error):
    with pytest.raises(error, match=f"Received: depth={depth}"):
        StackedBlock(4, depth=depth)
