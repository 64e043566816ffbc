"""Residual blocks' stochastic depth."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, BottleneckBlock
from tests.layer_checks import numpy, randomize
from tests.layers.blocks import BLOCKS, feature_maps, make_block


def test_drop_path_drops_whole_branches(rng):
    """Per example: either the shortcut alone, or it and the branch divided by 1 - rate."""
    rate, batch = 0.25, 400
    x = rng.standard_normal((batch, 2, 2, 4)).astype("float32")
    block = make_block(BasicBlock, x, drop_path_rate=rate, activation=None)
    branch = numpy(block.branch(x, training=True))
    y = numpy(block(x, training=True))
    dropped = np.all(y == x, axis=(1, 2, 3))
    np.testing.assert_allclose(
        y[~dropped], (x + branch / (1 - rate))[~dropped], rtol=1e-4, atol=1e-5
    )
    # Binomial with a standard deviation of √(400 · 1/4 · 3/4) = 8.7.
    assert abs(dropped.sum() - rate * batch) < 4 * 8.7
    again = np.all(numpy(block(x, training=True)) == x, axis=(1, 2, 3))
    assert np.any(dropped != again)


def test_drop_path_keeps_the_expectation(rng):
    """The mean over many draws is the block without drop path."""
    x = np.repeat(rng.standard_normal((1, 2, 2, 4)), 2000, axis=0).astype("float32")
    block = make_block(BasicBlock, x, drop_path_rate=0.2, activation=None)
    branch = numpy(block.branch(x, training=False))[0]
    drop_path = numpy(block.drop_path(np.repeat(branch[None], 2000, axis=0), training=True))
    # The mean factor's standard error is √(0.2 / 0.8 / 2000) = 1.1 %.
    np.testing.assert_allclose(drop_path.mean(0), branch, rtol=0.05)


@pytest.mark.parametrize("cls", BLOCKS)
def test_drop_path_is_off_at_inference(cls, rng):
    x = feature_maps(rng)
    block = make_block(cls, x, drop_path_rate=0.5)
    without = make_block(cls, x)
    without.set_weights(block.get_weights())
    np.testing.assert_array_equal(numpy(block(x)), numpy(without(x)))
    np.testing.assert_array_equal(numpy(block(x, training=False)), numpy(without(x)))


def test_no_rate_makes_no_layer():
    assert BasicBlock(4).drop_path is None
    assert BasicBlock(4, drop_path_rate=0).drop_path is None
    assert BasicBlock(4, drop_path_rate=0.1).drop_path.rate == 0.1


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_drop_path_reloads(policy, tmp_path, rng):
    x = feature_maps(rng)
    inputs = keras.Input((None, None, 3))
    block = BottleneckBlock(2, strides=2, drop_path_rate=0.3, dtype=policy)
    model = keras.Model(inputs, block(inputs))
    randomize(block)
    y = model(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == block.compute_dtype
    assert np.all(np.isfinite(numpy(y)))
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(reloaded(x)), numpy(model(x)))
    assert reloaded.layers[-1].drop_path_rate == 0.3
