"""Residual blocks' gradients and initial values."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, IdentityShortcut
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, weights_by_path
from tests.layers.blocks import BLOCKS, feature_maps, make_block


@pytest.mark.parametrize("cls", BLOCKS)
def test_the_skipped_layers_are_trained(cls, rng):
    """The shortcut goes past them, and yet each convolution and norm has a gradient."""
    x = feature_maps(rng, 4)
    block = make_block(cls, x, shortcut="B")
    assert type(block.shortcut_layer) is IdentityShortcut
    factors = rng.standard_normal(x.shape).astype("float32")
    _, gradients = value_and_gradients(
        lambda: keras.ops.sum(keras.ops.multiply(block(x, training=True), factors)),
        block.trainable_weights,
    )
    names = ["conv1", "conv2"] if cls is BasicBlock else ["conv1", "conv2", "conv3"]
    reached = [
        weight.path.removeprefix(f"{block.name}/")
        for weight, gradient in zip(block.trainable_weights, gradients, strict=True)
        if np.any(np.abs(gradient) > 1e-6)
    ]
    weights = ["conv/kernel", "norm/gamma", "norm/beta"]
    assert reached == [f"{name}/{weight}" for name in names for weight in weights]


def test_the_gradient_passes_an_identity_unchanged(rng):
    """With a branch that ends in γ = 0 and no activation, dy/dx is 1."""
    x = keras.Variable(feature_maps(rng, 4))
    block = BasicBlock(4, activation=None, zero_init_residual=True)
    block.build(x.shape)
    factors = rng.standard_normal(x.shape).astype("float32")
    _, (gradient,) = value_and_gradients(
        lambda: keras.ops.sum(
            keras.ops.multiply(block(keras.ops.convert_to_tensor(x), training=True), factors)
        ),
        [x],
    )
    np.testing.assert_allclose(gradient, factors, rtol=1e-6)


@pytest.mark.parametrize("cls", BLOCKS)
@pytest.mark.parametrize(("shortcut", "strides"), [("A", 2), ("B", 1), ("B", 2)])
def test_zero_init_residual_begins_as_the_shortcut(cls, shortcut, strides, rng):
    x = feature_maps(rng, 4)
    block = cls(4 // cls.expansion, strides=strides, shortcut=shortcut, zero_init_residual=True)
    for training in (False, True):
        beside = numpy(block.shortcut_path(x, training=training))
        y = numpy(block(x, training=training))
        np.testing.assert_allclose(y, np.maximum(beside, 0), rtol=1e-6, atol=1e-6)

    gammas = {path: value for path, value in weights_by_path(block).items() if "gamma" in path}
    last = "conv2/norm/gamma" if cls is BasicBlock else "conv3/norm/gamma"
    assert {path for path, value in gammas.items() if not value.any()} == {last}


@pytest.mark.parametrize("cls", BLOCKS)
def test_every_gamma_begins_at_1_by_default(cls):
    block = cls(4, shortcut="C")
    block.build((None, 5, 6, 3))
    for path, value in weights_by_path(block).items():
        if "gamma" in path or "variance" in path:
            np.testing.assert_array_equal(value, 1.0)
        elif "kernel" not in path:
            np.testing.assert_array_equal(value, 0.0)
