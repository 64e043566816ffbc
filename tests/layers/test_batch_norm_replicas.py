"""Batch norm under `tf.distribute`: two replicas that see different data."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import BatchNormalization
from tests.backends import requires_tensorflow
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, weights_by_path
from tests.layers import mirrored_batch_norm
from tests.layers.mirrored_batch_norm import CASES
from tests.subprocesses import run_module

pytestmark = requires_tensorflow


@pytest.fixture(scope="module")
def mirrored():
    """What two replicas computed, case by case and step by step."""
    return run_module(mirrored_batch_norm.__name__)


@pytest.mark.parametrize("case", CASES)
def test_replicas_stay_equal(case, mirrored):
    for step in mirrored[case]:
        for name in ("moving_mean", "moving_variance"):
            first, second = step[name]
            assert first == second


@pytest.mark.parametrize("case", [case for case in CASES if "fused" in case])
def test_moving_statistics_are_the_mean_of_the_replicas_updates(case, mirrored):
    """Each replica counts by its examples; one without any leaves everything as it is."""
    shape, _, sizes = CASES[case]
    axes = tuple(range(len(shape)))
    mean, variance = np.zeros(shape[-1]), np.ones(shape[-1])
    all_values = zip(*mirrored_batch_norm.batches(shape, sizes), mirrored[case], strict=True)
    for inputs, dys, step in all_values:
        seen = [x for x in inputs if len(x)]
        weights = [len(x) for x in seen]
        mean = 0.9 * mean + 0.1 * np.average([x.mean(axes) for x in seen], 0, weights)
        variance = 0.9 * variance + 0.1 * np.average([x.var(axes) for x in seen], 0, weights)
        np.testing.assert_allclose(step["moving_mean"][0], mean, rtol=1e-5)
        np.testing.assert_allclose(step["moving_variance"][0], variance, rtol=1e-5)
        for replica, (x, dy) in enumerate(zip(inputs, dys, strict=True)):
            normalized = np.zeros_like(x)
            if len(x):
                normalized = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
            y = np.reshape(step["outputs"][replica], x.shape)
            np.testing.assert_allclose(y, normalized, rtol=1e-4, atol=1e-5)
            gradients = {"gamma": (dy * normalized).sum(axes), "beta": dy.sum(axes)}
            for name, expected in gradients.items():
                np.testing.assert_allclose(step[name][replica], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", [case for case in CASES if "synchronized" in case])
def test_synchronized_is_one_device_on_the_whole_batch(case, mirrored):
    shape, _, sizes = CASES[case]
    layer = BatchNormalization()
    layer.build((None, *shape))
    all_inputs, all_gradients = mirrored_batch_norm.batches(shape, sizes)
    for inputs, dy, step in zip(all_inputs, all_gradients, mirrored[case], strict=True):
        x = keras.Variable(np.concatenate(inputs))
        factors = np.concatenate(dy)

        def loss(x=x, factors=factors):
            y = layer(keras.ops.convert_to_tensor(x), training=True)
            return keras.ops.sum(y * factors)

        before = layer.get_weights()
        _, gradients = value_and_gradients(loss, [x, layer.gamma, layer.beta])
        layer.set_weights(before)
        outputs = numpy(layer(x, training=True))

        def whole(parts, like=x):
            return np.concatenate([np.reshape(part, (-1, *like.shape[1:])) for part in parts])

        np.testing.assert_allclose(whole(step["outputs"]), outputs, atol=1e-5)
        np.testing.assert_allclose(whole(step["gradients"]), gradients[0], atol=1e-5)
        np.testing.assert_allclose(np.sum(step["gamma"], 0), gradients[1], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(np.sum(step["beta"], 0), gradients[2], rtol=1e-4, atol=1e-4)
        for name, value in weights_by_path(layer).items():
            if name.startswith("moving"):
                np.testing.assert_allclose(step[name][0], value, rtol=1e-5, atol=1e-6)


def test_fit_goes_on_when_a_replica_has_no_example(mirrored):
    assert mirrored["fit"]["bad"] == []
    assert mirrored["fit"]["difference"] < 1e-5
