"""Weights on the shortcut, against NumPy."""

import functools

import keras
import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, GatedBlock, ShortcutGate
from tests.layer_checks import check_layer, numpy, randomize, weights_by_path
from tests.layers.block_reference import BASIC, branch
from tests.reference import WeightedLayers, relu, zero_padded

# 9 · (4·4 + 4·4) weights of the branch, γ and β of its two normalizations; and the gate's:
# one number, one a channel, or a 1×1 convolution of 4·4 weights with 4 biases.
BRANCH = 9 * (4 * 4 + 4 * 4) + 2 * 8
GATE_WEIGHTS = {"constant": 0, "scalar": 1, "channel": 4, "shortcut_only": 20, "exclusive": 20}


def gated(gate, gates, f, s):
    """Returns the sum of the weighed terms, by the formulas of section 3.1."""
    if gate == "constant":
        return 0.5 * f + 0.5 * s
    if gate in ("scalar", "channel"):
        return f + gates["gate/scale"] * s
    g = 1.0 / (1.0 + np.exp(-(s @ gates["gate/conv/kernel"][0, 0] + gates["gate/conv/bias"])))
    return (g * f if gate == "exclusive" else f) + (1.0 - g) * s


@pytest.mark.parametrize("gate", ["channel", "exclusive"])
def test_layer(gate, tmp_path):
    make = functools.partial(GatedBlock, 4, gate=gate)
    check_layer(make, (2, 5, 6, 4), (2, 5, 6, 4), BRANCH + GATE_WEIGHTS[gate], 16, tmp_path)


@pytest.mark.parametrize("gate", GATE_WEIGHTS)
@pytest.mark.parametrize("strides", [1, 2])
def test_matches_numpy(gate, strides, rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = GatedBlock(4, strides, "A", gate=gate)
    block.build(x.shape)
    randomize(block)
    weights = weights_by_path(block)
    f = branch(WeightedLayers(weights), x.astype("float64"), BASIC, strides)
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


def test_without_a_gate_it_is_the_basic_block(rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    blocks = [BasicBlock(4, 2), GatedBlock(4, 2)]
    for block in blocks:
        block.build(x.shape)
    randomize(blocks[0])
    blocks[1].set_weights(blocks[0].get_weights())
    np.testing.assert_array_equal(*(numpy(block(x)) for block in blocks))


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
