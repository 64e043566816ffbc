"""Residual blocks in NumPy: y = g(F(x) + s(x)), after section 3.2 and 3.3 of He et al., 2015."""

import numpy as np

from tests.layer_checks import numpy, weights_by_path
from tests.reference import WeightedLayers, relu, zero_padded


def basic_branch(layers, x, *, strides=1, dilation=1, first_dilation=None, activation=relu):
    x = layers.conv_norm(x, "conv1", strides, first_dilation or dilation)
    return layers.conv_norm(activation(x), "conv2", dilation=dilation)


def bottleneck_branch(layers, x, *, strides=1, dilation=1, stride_on="3x3", activation=relu):
    on_1x1, on_3x3 = (strides, 1) if stride_on == "1x1" else (1, strides)
    x = layers.conv_norm(x, "conv1", on_1x1)
    x = layers.conv_norm(activation(x), "conv2", on_3x3, dilation)
    return layers.conv_norm(activation(x), "conv3")


def shortcut_path(layers, x, *, filters, shortcut, strides=1, zero_pad="end"):
    """Returns s(x); `filters` are those of the output."""
    same = strides == 1 and x.shape[-1] == filters
    if shortcut == "C" or (shortcut == "B" and not same):
        return layers.conv_norm(x, "projection/conv_norm", strides)
    if shortcut == "B":
        return x
    return zero_padded(x, strides, filters, zero_pad)


def block(branch, weights, x, *, filters, shortcut, strides=1, training=False, **options):
    """Returns y, and what the moving statistics are to be afterwards."""
    layers = WeightedLayers(weights, training)
    activation = options.get("activation", relu)
    zero_pad = options.pop("zero_pad", "end")
    y = branch(layers, x.astype("float64"), strides=strides, **options)
    if shortcut is not None:
        y = y + shortcut_path(
            layers, x, filters=filters, shortcut=shortcut, strides=strides, zero_pad=zero_pad
        )
    return activation(y), layers.moving


def assert_matches(layer, branch, x, training=False, **options):
    """Holds a built block's output and moving statistics to the reference."""
    expected, moving = block(
        branch,
        weights_by_path(layer),
        x,
        filters=layer.filters * layer.expansion,
        shortcut=layer.shortcut,
        strides=layer.strides,
        training=training,
        **options,
    )
    y = numpy(layer(x, training=training))
    assert y.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=2e-5)
    after = weights_by_path(layer)
    for path, value in moving.items():
        np.testing.assert_allclose(after[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
