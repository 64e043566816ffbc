"""Keras's batch normalization, as the measure of ours."""

import keras
import numpy as np

from keras_resnets.layers import BatchNormalization
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, randomize


def ours_and_keras(shape, **arguments):
    """Returns our layer and Keras's, with the same constants and the same random weights."""
    ours = BatchNormalization(**arguments)
    kerass = keras.layers.BatchNormalization(**{"momentum": 0.9, "epsilon": 1e-5} | arguments)
    for layer in (ours, kerass):
        layer.build((None, *shape[1:]))
        randomize(layer)
    return ours, kerass


def assert_same(ours, kerass, x, training, tolerance=1e-5, **call):
    """Holds our outputs, gradients and moving statistics to those of Keras's layer."""
    factors = np.random.default_rng(1).standard_normal(x.shape).astype(x.dtype)
    inputs = keras.Variable(x, dtype=ours.compute_dtype)
    results = []
    for layer in (ours, kerass):

        def loss(layer=layer):
            y = layer(keras.ops.convert_to_tensor(inputs), training=training, **call)
            return keras.ops.sum(keras.ops.cast(y, x.dtype) * keras.ops.convert_to_tensor(factors))

        _, gradients = value_and_gradients(loss, [inputs, *layer.trainable_variables])
        y = layer(x, training=training, **call)
        assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
        results.append((numpy(y), *map(np.asarray, gradients), *layer.get_weights()))

    for one, other in zip(*results, strict=True):
        one, other = one.astype("float64"), other.astype("float64")
        assert np.all(np.isfinite(one))
        scale = max(1.0, np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)
