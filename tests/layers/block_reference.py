"""Residual blocks, and the same in NumPy: y = g(F(x) + s(x)) (He et al., 2015, section 3)."""

import numpy as np

from keras_resnets.layers import BasicBlock, BottleneckBlock
from tests.layer_checks import numpy, randomize, weights_by_path
from tests.reference import WeightedLayers, average_pool, blur_pool, relu, zero_padded

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
    """Returns F(x), of an input that is activated if it is to be."""
    pools = {"blur": blur_pool, "average": lambda y, stride: average_pool(y, stride, stride)}
    for number, (size, carries_stride) in enumerate(convolutions(block), 1):
        stride = block.strides if carries_stride and not block.anti_alias else 1
        dilation = block.first_dilation if carries_stride else block.dilation
        groups = getattr(block, "groups", 1) if size == 3 else 1
        x = layers.conv_norm(x, f"conv{number}", stride, dilation if size > 1 else 1, groups)
        x = relu(x) if number < len(convolutions(block)) else x
        if carries_stride and block.anti_alias and block.strides > 1:
            x = pools[block.anti_alias](x, block.strides)
    return x if block.se_ratio is None else layers.excited(x, "excitation")


def shortcut_path(layers, x, block, activated):
    """Returns s(x), of the input or the activated input."""
    filters, strides = block.filters * block.expansion, block.strides
    same = strides == 1 and x.shape[-1] == filters
    if block.shortcut == "C" or (block.shortcut in ("B", "D") and not same):
        if block.shortcut == "D":
            activated, strides = average_pool(activated, strides, strides), 1
        return layers.conv_norm(activated, "projection/conv_norm", strides)
    x = activated if block.pre_activation == "both" else x
    return x if same else zero_padded(x, strides, filters, block.zero_pad)


def assert_matches(block, x, training=False):
    """Holds a built block's output and moving statistics to the reference."""
    layers, exact = WeightedLayers(weights_by_path(block), training), x.astype("float64")
    activated = relu(layers.norm(exact, "start_norm")) if block.pre_activation else exact
    expected = branch(layers, activated, block)
    if block.shortcut is not None:
        expected = expected + shortcut_path(layers, exact, block, activated)
    expected = expected if block.pre_activation else relu(expected)

    y = numpy(block(x, training=training))
    assert y.shape == block.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=2e-5)
    after = weights_by_path(block)
    for path, value in layers.moving.items():
        np.testing.assert_allclose(after[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
