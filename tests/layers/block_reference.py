"""Residual blocks, and the same in NumPy: y = g(F(x) + s(x)) (He et al., 2015, section 3)."""

import numpy as np

from keras_resnets.layers import BasicBlock, BottleneckBlock
from tests.layer_checks import numpy, randomize, weights_by_path
from tests.reference import WeightedLayers, relu, zero_padded

BLOCKS = [BasicBlock, BottleneckBlock]


def feature_maps(rng, channels=3, size=(5, 6)):
    return rng.standard_normal((2, *size, channels)).astype("float32")


def make_block(cls, x, filters=4, **options):
    """Returns a block with 4 output channels, or as many filters, and random weights."""
    block = cls(filters // cls.expansion, **options)
    block.build(x.shape)
    randomize(block)
    return block


def convolutions(block):
    """Returns the size of each kernel of a branch, and whether it carries the stride."""
    if isinstance(block, BottleneckBlock):
        on_3x3 = block.stride_on == "3x3"
        return [(1, not on_3x3), (3, on_3x3), (1, False)]
    return [(3, number == 0) for number in range(getattr(block, "depth", 2))]


def branch(layers, x, block):
    """Returns F(x)."""
    for number, (size, carries_stride) in enumerate(convolutions(block), 1):
        stride = block.strides if carries_stride else 1
        dilation = block.first_dilation if carries_stride else block.dilation
        x = relu(x) if number > 1 else x
        x = layers.conv_norm(x, f"conv{number}", stride, dilation if size > 1 else 1)
    return x


def shortcut_path(layers, x, block):
    """Returns s(x)."""
    filters = block.filters * block.expansion
    same = block.strides == 1 and x.shape[-1] == filters
    if block.shortcut == "C" or (block.shortcut == "B" and not same):
        return layers.conv_norm(x, "projection/conv_norm", block.strides)
    return x if same else zero_padded(x, block.strides, filters, block.zero_pad)


def assert_matches(block, x, training=False):
    """Holds a built block's output and moving statistics to the reference."""
    layers, exact = WeightedLayers(weights_by_path(block), training), x.astype("float64")
    expected = branch(layers, exact, block)
    if block.shortcut is not None:
        expected = expected + shortcut_path(layers, exact, block)

    y = numpy(block(x, training=training))
    assert y.shape == block.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, relu(expected), rtol=1e-4, atol=2e-5)
    after = weights_by_path(block)
    for path, value in layers.moving.items():
        np.testing.assert_allclose(after[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
