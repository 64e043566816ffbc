import functools

import keras
import numpy as np
import pytest

from keras_resnets.layers import BottleneckBlock
from tests.gradients import value_and_gradients
from tests.layer_checks import check_layer, numpy, randomize, weight_shapes
from tests.layers.block_reference import assert_matches, bottleneck_branch


def bottleneck_block(x, *arguments, **options):
    """Returns a block with random weights, built for `x`."""
    block = BottleneckBlock(*arguments, **options)
    block.build(x.shape)
    randomize(block)
    return block


@pytest.mark.parametrize(
    ("arguments", "output_shape", "projects"),
    [
        ({"strides": 2}, (2, 3, 3, 16), True),
        ({"strides": 2, "stride_on": "1x1", "shortcut": "A"}, (2, 3, 3, 16), False),
    ],
)
def test_layer(arguments, output_shape, projects, tmp_path):
    # 1×1 of 3·4, 3×3 of 4·4 and 1×1 of 4·16 weights; γ and β of 4, 4 and 16 channels.
    parameters = 3 * 4 + 9 * 4 * 4 + 4 * 16 + 2 * (4 + 4 + 16)
    statistics = 2 * (4 + 4 + 16)
    if projects:
        parameters += 3 * 16 + 2 * 16
        statistics += 2 * 16
    make = functools.partial(BottleneckBlock, 4, **arguments)
    check_layer(make, (2, 5, 6, 3), output_shape, parameters, statistics, tmp_path)


@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
def test_branch_weights(stride_on):
    block = BottleneckBlock(4, strides=2, stride_on=stride_on)
    block.build((None, 5, 6, 3))
    kernels = {path: shape for path, shape in weight_shapes(block).items() if "kernel" in path}
    assert kernels == {
        "conv1/conv/kernel": (1, 1, 3, 4),
        "conv2/conv/kernel": (3, 3, 4, 4),
        "conv3/conv/kernel": (1, 1, 4, 16),
        "projection/conv_norm/conv/kernel": (1, 1, 3, 16),
    }
    strides = [block.conv1.strides, block.conv2.strides, block.conv3.strides]
    carries = {"1x1": [(2, 2), (1, 1), (1, 1)], "3x3": [(1, 1), (2, 2), (1, 1)]}
    assert strides == carries[stride_on]
    assert [layer.name for layer in block.branch_layers()] == [
        "conv1",
        "activation1",
        "conv2",
        "activation2",
        "conv3",
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("shortcut", ["A", "B", "C", None])
def test_matches_numpy(shortcut, channels, strides, training, rng):
    x = rng.standard_normal((2, 5, 6, channels)).astype("float32")
    block = bottleneck_block(x, 2, strides, shortcut)
    assert_matches(block, bottleneck_branch, x, training)


@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
@pytest.mark.parametrize("size", [(5, 6), (1, 1), (2, 7)], ids=str)
def test_stride_on_matches_numpy(stride_on, size, rng):
    x = rng.standard_normal((2, *size, 3)).astype("float32")
    block = bottleneck_block(x, 2, strides=2, stride_on=stride_on)
    assert_matches(block, bottleneck_branch, x, stride_on=stride_on)


def test_stride_on_changes_the_result(rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    first, second = (bottleneck_block(x, 2, strides=2, stride_on=on) for on in ("3x3", "1x1"))
    second.set_weights(first.get_weights())
    assert not np.allclose(numpy(first(x)), numpy(second(x)), atol=1e-2)


def test_v1_branch_sees_one_position_of_four(rng):
    x = keras.Variable(rng.standard_normal((1, 4, 6, 3)).astype("float32"))
    seen = {}
    for stride_on in ("3x3", "1x1"):
        block = BottleneckBlock(4, strides=2, stride_on=stride_on, activation=None)
        block.build((1, 4, 6, 3))
        _, (gradient,) = value_and_gradients(
            lambda block=block: keras.ops.sum(
                keras.ops.square(block.branch(keras.ops.convert_to_tensor(x)))
            ),
            [x],
        )
        seen[stride_on] = np.any(gradient[0], axis=-1)
    np.testing.assert_array_equal(seen["1x1"], np.outer([1, 0, 1, 0], [1, 0, 1, 0, 1, 0]))
    assert seen["3x3"].all()


@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
def test_dilation_matches_numpy(stride_on, rng):
    x = rng.standard_normal((2, 9, 12, 3)).astype("float32")
    block = bottleneck_block(x, 2, dilation=2, stride_on=stride_on)
    assert block.conv1.dilation == block.conv3.dilation == (1, 1)
    assert_matches(block, bottleneck_branch, x, dilation=2)


def test_first_dilation_is_that_of_the_convolution_with_the_stride():
    block = BottleneckBlock(2, dilation=4, first_dilation=2)
    block.build((None, 9, 12, 3))
    assert block.conv2.dilation == (2, 2)
