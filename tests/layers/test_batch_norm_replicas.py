"""Batch norm under `tf.distribute`: two replicas that see different data."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import BatchNormalization
from tests.backends import requires_tensorflow
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, weights_by_path
from tests.layers import mirrored_batch_norm
from tests.subprocesses import run_module

pytestmark = requires_tensorflow


@pytest.fixture(scope="module")
def mirrored():
    """What two replicas computed, case by case and step by step."""
    return run_module(mirrored_batch_norm.__name__)


@pytest.mark.parametrize("case", mirrored_batch_norm.CASES)
def test_replicas_stay_equal(case, mirrored):
    for step in mirrored[case]:
        for name in ("moving_mean", "moving_variance"):
            first, second = step[name]
            assert first == second


@pytest.mark.parametrize("case", ["fused", "not fused"])
def test_moving_statistics_are_the_mean_of_the_replicas_updates(case, mirrored):
    shape, _ = mirrored_batch_norm.CASES[case]
    axes = tuple(range(len(shape) - 1))
    mean, variance = np.zeros(shape[-1]), np.ones(shape[-1])
    for inputs, step in zip(mirrored_batch_norm.batches(shape)[0], mirrored[case], strict=True):
        mean = np.mean([0.9 * mean + 0.1 * x.mean(axes) for x in inputs], axis=0)
        variance = np.mean([0.9 * variance + 0.1 * x.var(axes) for x in inputs], axis=0)
        np.testing.assert_allclose(step["moving_mean"][0], mean, rtol=1e-5)
        np.testing.assert_allclose(step["moving_variance"][0], variance, rtol=1e-5)
        for x, y in zip(inputs, step["outputs"], strict=True):
            expected = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_synchronized_is_one_device_on_the_whole_batch(mirrored):
    shape, _ = mirrored_batch_norm.CASES["synchronized"]
    layer = BatchNormalization()
    layer.build((None, *shape[1:]))
    all_inputs, all_gradients = mirrored_batch_norm.batches(shape)
    for inputs, dy, step in zip(all_inputs, all_gradients, mirrored["synchronized"], strict=True):
        x = keras.Variable(inputs.reshape(-1, *shape[1:]))
        factors = dy.reshape(x.shape)

        def loss(x=x, factors=factors):
            y = layer(keras.ops.convert_to_tensor(x), training=True)
            return keras.ops.sum(y * factors)

        before = layer.get_weights()
        _, (gradient,) = value_and_gradients(loss, [x])
        layer.set_weights(before)
        outputs = numpy(layer(x, training=True))

        np.testing.assert_allclose(np.reshape(step["outputs"], x.shape), outputs, atol=1e-5)
        np.testing.assert_allclose(np.reshape(step["gradients"], x.shape), gradient, atol=1e-5)
        for name, value in weights_by_path(layer).items():
            if name.startswith("moving"):
                np.testing.assert_allclose(step[name][0], value, rtol=1e-5, atol=1e-6)
