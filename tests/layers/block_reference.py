"""Residual blocks, and the same in NumPy: y = g(F(x) + s(x)) (He et al., 2015, section 3)."""

import numpy as np

from keras_resnets.layers import BasicBlock, BottleneckBlock
from tests.layer_checks import numpy, randomize, weights_by_path
from tests.reference import WeightedLayers, relu, zero_padded

BLOCKS = [BasicBlock, BottleneckBlock]

# The convolutions of a branch: the size of the kernel, and whether it carries the stride.
BASIC = [(3, True), (3, False)]
BOTTLENECK = [(1, False), (3, True), (1, False)]
BOTTLENECK_V1 = [(1, True), (3, False), (1, False)]


def feature_maps(rng, channels=3, size=(5, 6)):
    return rng.standard_normal((2, *size, channels)).astype("float32")


def make_block(cls, x, filters=4, **options):
    """Returns a block with 4 output channels, or as many filters, and random weights."""
    block = cls(filters // cls.expansion, **options)
    block.build(x.shape)
    randomize(block)
    return block


def branch(layers, x, convolutions, strides=1, dilation=1, first_dilation=None, activation=relu):
    """Returns F(x)."""
    for number, (size, carries_stride) in enumerate(convolutions, 1):
        stride = strides if carries_stride else 1
        dilated = first_dilation or dilation if carries_stride else dilation
        x = activation(x) if number > 1 else x
        x = layers.conv_norm(x, f"conv{number}", stride, dilated if size > 1 else 1)
    return x


def shortcut_path(layers, x, filters, shortcut, strides, zero_pad):
    """Returns s(x); `filters` are those of the output."""
    same = strides == 1 and x.shape[-1] == filters
    if shortcut == "C" or (shortcut == "B" and not same):
        return layers.conv_norm(x, "projection/conv_norm", strides)
    return x if same else zero_padded(x, strides, filters, zero_pad)


def assert_matches(block, convolutions, x, training=False, zero_pad="end", **options):
    """Holds a built block's output and moving statistics to the reference."""
    layers = WeightedLayers(weights_by_path(block), training)
    filters = block.filters * block.expansion
    expected = branch(layers, x.astype("float64"), convolutions, block.strides, **options)
    if block.shortcut is not None:
        expected = expected + shortcut_path(
            layers, x, filters, block.shortcut, block.strides, zero_pad
        )
    expected = options.get("activation", relu)(expected)

    y = numpy(block(x, training=training))
    assert y.shape == block.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=2e-5)
    after = weights_by_path(block)
    for path, value in layers.moving.items():
        np.testing.assert_allclose(after[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
