"""Residual blocks' activations: by name, and by function."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import BasicBlock
from tests.layer_checks import numpy
from tests.layers.blocks import feature_maps, make_block


@keras.saving.register_keras_serializable(package="tests")
def cubed(x):
    return x * x * x


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("linear", lambda x: x),
        (None, lambda x: x),
        (keras.activations.tanh, np.tanh),
        (keras.ops.sin, np.sin),
        (cubed, lambda x: x**3),
    ],
)
def test_activations(activation, formula, rng):
    x = feature_maps(rng)
    block = make_block(BasicBlock, x, activation=activation)
    hidden = formula(numpy(block.conv1(x)).astype("float64"))
    y = formula(numpy(block.conv2(hidden.astype("float32"))) + numpy(block.shortcut_path(x)))
    np.testing.assert_allclose(numpy(block(x)), y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("activation", ["gelu", None, keras.activations.silu, cubed])
def test_activations_reload(activation, tmp_path, rng):
    x = feature_maps(rng)
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, BasicBlock(4, activation=activation)(inputs))
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(reloaded(x)), numpy(model(x)))
    assert reloaded.layers[-1].activation is model.layers[-1].activation
