"""Weights on the shortcut, against NumPy."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import GatedBlock, ShortcutGate
from tests.layer_checks import numpy, randomize, weights_by_path
from tests.layers.block_reference import branch
from tests.reference import WeightedLayers, relu, zero_padded

GATES = ("constant", "scalar", "channel", "shortcut_only", "exclusive")


def gated(gate, gates, f, s):
    """Returns the sum of the weighed terms, by the formulas of section 3.1."""
    if gate == "constant":
        return 0.5 * f + 0.5 * s
    if gate in ("scalar", "channel"):
        return f + gates["gate/scale"] * s
    g = 1.0 / (1.0 + np.exp(-(s @ gates["gate/conv/kernel"][0, 0] + gates["gate/conv/bias"])))
    return (g * f if gate == "exclusive" else f) + (1.0 - g) * s


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("strides", [1, 2])
def test_matches_numpy(gate, strides, rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = GatedBlock(4, strides, "A", gate=gate)
    block.build(x.shape)
    randomize(block)
    weights = weights_by_path(block)
    f = branch(WeightedLayers(weights), x.astype("float64"), block)
    expected = relu(gated(gate, weights, f, zero_padded(x.astype("float64"), strides, 4)))
    np.testing.assert_allclose(numpy(block(x)), expected, rtol=1e-4, atol=2e-5)


def test_dropout_halves_the_values_that_pass_in_training_only():
    gate = ShortcutGate("dropout")
    x = np.ones((4, 16, 16, 4), "float32")
    np.testing.assert_array_equal(numpy(gate(x)), x)
    dropped = numpy(gate(x, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    # 4096 fair coins: 0.5 ± 5 · √(1/4 / 4096)
    assert abs(np.mean(dropped == 0) - 0.5) < 0.04
    f, s = gate.weigh(x, x, training=True)
    np.testing.assert_array_equal(numpy(f), x)
    assert set(np.unique(numpy(s))) == {0.0, 2.0}


def test_the_bias_begins_where_it_is_set(rng):
    """1 − σ(−6) = 0.9975: nearly all of the shortcut passes, as the paper wants it."""
    x = rng.standard_normal((2, 5, 6, 4)).astype("float32")
    gate = ShortcutGate("shortcut_only", gate_bias=-6.0)
    gate.build(x.shape)
    gate.conv.kernel.assign(np.zeros((1, 1, 4, 4)))
    np.testing.assert_allclose(numpy(gate(x)), x * 0.9975274, rtol=1e-5)
    default = ShortcutGate("exclusive")
    default.build(x.shape)
    np.testing.assert_array_equal(numpy(default.conv.bias), np.zeros(4))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gate": "nothing"}, ValueError, "gate='nothing'"),
        ({"gate": "scalar", "shortcut": None}, ValueError, "no shortcut to weigh"),
        ({"gate_bias": -6.0}, ValueError, "gate_bias=-6.0, gate=None"),
        ({"gate": "scalar", "gate_bias": -6.0}, ValueError, "belongs to the gates"),
        ({"gate": "exclusive", "gate_bias": "low"}, TypeError, "gate_bias='low'"),
        ({"gate": "exclusive", "gate_bias": True}, TypeError, "gate_bias=True"),
        ({"gate": "exclusive", "gate_bias": float("nan")}, ValueError, "gate_bias=nan"),
        ({"gate": "exclusive", "gate_bias": float("-inf")}, ValueError, "gate_bias=-inf"),
    ],
)
def test_other_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        GatedBlock(4, **options)


def test_channels_first_broadcasts_over_the_other_axes():
    gate = ShortcutGate("channel", data_format="channels_first")
    gate.build((2, 3, 5, 6))
    gate.scale.assign(np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1))
    x = np.ones((2, 3, 5, 6), "float32")
    np.testing.assert_array_equal(
        numpy(gate(keras.ops.convert_to_tensor(x)))[0, :, 0, 0], [1.0, 2.0, 3.0]
    )
