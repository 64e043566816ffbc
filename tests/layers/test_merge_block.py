"""A block of one layer is one convolution: W + I, or W + W_r."""

import numpy as np
import pytest

from keras_resnets.analysis import merge_one_layer_block
from keras_resnets.layers import BasicBlock, StackedBlock
from tests.backends import requires_float64
from tests.layer_checks import numpy, randomize
from tests.reference import conv2d


def built(x, *arguments, dtype="float64", **options):
    block = StackedBlock(*arguments, activation=None, dtype=dtype, **{"depth": 1, **options})
    block.build(x.shape)
    randomize(block)
    return block


@requires_float64
@pytest.mark.parametrize(
    "options",
    [
        {"filters": 3},
        {"filters": 4, "strides": 2},
        {"filters": 3, "shortcut": "C"},
        {"filters": 6, "strides": 2, "shortcut": "A"},
        {"filters": 6, "shortcut": "A", "zero_pad": "both"},
        {"filters": 4, "shortcut": None},
        {"filters": 3, "dilation": 2},
    ],
    ids=str,
)
def test_one_convolution_gives_the_same_to_1e_6(options, rng):
    x = rng.standard_normal((2, 7, 6, 3))
    block = built(x, **options)
    kernel, bias = merge_one_layer_block(block)
    y = conv2d(x, kernel, block.strides, block.dilation) + bias
    np.testing.assert_allclose(numpy(block(x)), y, rtol=0, atol=1e-6)


def test_more_layers_are_not_linear(rng):
    x = rng.standard_normal((1, 5, 5, 3))
    with pytest.raises(ValueError, match="depth=2, built=True"):
        merge_one_layer_block(built(x, 3, depth=2))
    with pytest.raises(ValueError, match="depth=1, built=False"):
        merge_one_layer_block(StackedBlock(3, depth=1))
    for options in ({"se_ratio": 0.5}, {"pre_activation": True}, {"anti_alias": "blur"}):
        with pytest.raises(ValueError, match=r"its branch one conv.* branch of .*(,|, conv1)"):
            merge_one_layer_block(built(x, 4, strides=2, **options))
    with pytest.raises(ValueError, match=r"without pooling.*shortcut='D'"):
        merge_one_layer_block(built(x, 4, strides=2, shortcut="D"))
    with pytest.raises(TypeError, match="BasicBlock"):
        merge_one_layer_block(BasicBlock(3))
