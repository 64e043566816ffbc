import functools

import numpy as np
import pytest

from keras_resnets.layers import BasicBlock
from tests.layer_checks import check_layer, randomize, weight_shapes
from tests.layers.block_reference import assert_matches, basic_branch


def basic_block(x, *arguments, **options):
    """Returns a block with random weights, built for `x`."""
    block = BasicBlock(*arguments, **options)
    block.build(x.shape)
    randomize(block)
    return block


@pytest.mark.parametrize(
    ("arguments", "output_shape", "parameters"),
    [
        # Two 3×3 convolutions of 3·4 and 4·4 weights a tap; γ and β for each of them, and for the
        # projection of 3·4 weights.
        ({"strides": 2}, (2, 3, 3, 4), 9 * (3 * 4 + 4 * 4) + 2 * 8 + 3 * 4 + 8),
        (
            {"shortcut": "A", "dilation": 2, "zero_init_residual": False, "zero_pad": "both"},
            (2, 5, 6, 4),
            9 * (3 * 4 + 4 * 4) + 2 * 8,
        ),
        (
            {"strides": 2, "shortcut": None, "activation": "silu"},
            (2, 3, 3, 4),
            9 * (3 * 4 + 4 * 4) + 2 * 8,
        ),
    ],
)
def test_layer(arguments, output_shape, parameters, tmp_path):
    # γ and β are trained, as many means and variances are kept.
    norms = 8 * (3 if arguments.get("shortcut", "B") == "B" else 2)
    make = functools.partial(BasicBlock, 4, **arguments)
    check_layer(make, (2, 5, 6, 3), output_shape, parameters, norms, tmp_path)


def test_branch_weights():
    block = BasicBlock(4, strides=2, shortcut=None)
    block.build((None, 5, 6, 3))
    kernels = {path: shape for path, shape in weight_shapes(block).items() if "kernel" in path}
    assert kernels == {"conv1/conv/kernel": (3, 3, 3, 4), "conv2/conv/kernel": (3, 3, 4, 4)}
    assert [layer.name for layer in block.branch_layers()] == ["conv1", "activation1", "conv2"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("filters", [3, 4])
@pytest.mark.parametrize("shortcut", ["A", "B", "C", None])
def test_matches_numpy(shortcut, filters, strides, training, rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = basic_block(x, filters, strides, shortcut)
    assert_matches(block, basic_branch, x, training)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 4)], ids=str)
def test_matches_numpy_on_other_sizes(size, rng):
    x = rng.standard_normal((2, *size, 3)).astype("float32")
    assert_matches(basic_block(x, 4, strides=2), basic_branch, x)


@pytest.mark.parametrize(
    "options",
    [
        {"dilation": 2},
        {"dilation": 4},
        {"dilation": 4, "first_dilation": 2},
        {"dilation": 2, "first_dilation": 1},
    ],
    ids=str,
)
def test_dilation_matches_numpy(options, rng):
    x = rng.standard_normal((2, 9, 12, 3)).astype("float32")
    block = basic_block(x, 4, **options)
    assert_matches(block, basic_branch, x, **options)


@pytest.mark.parametrize("zero_pad", ["end", "both"])
def test_zero_channels_match_numpy(zero_pad, rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = basic_block(x, 6, strides=2, shortcut="A", zero_pad=zero_pad)
    assert_matches(block, basic_branch, x, zero_pad=zero_pad)


def test_activation_matches_numpy(rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = basic_block(x, 4, activation="tanh")
    assert_matches(block, basic_branch, x, activation=np.tanh)
