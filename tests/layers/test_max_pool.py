import keras
import numpy as np
import pytest

from keras_resnets.layers import SymmetricMaxPooling2D
from tests.backends import BACKEND, requires_tensorflow
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy
from tests.reference import max_pool


@pytest.mark.parametrize("sign", ["negative", "both signs"])
@pytest.mark.parametrize(("pool_size", "strides"), [(1, 2), (3, 1), (3, 2), (5, 3)])
def test_matches_numpy(pool_size, strides, sign, rng):
    """Where all is negative, a padding of zeros would win."""
    for size in [(7, 10), (3, 2), (pool_size // 2 or 1,) * 2]:
        x = rng.standard_normal((2, *size, 3)).astype("float32")
        if sign == "negative":
            x = -1.0 - np.abs(x)
        y = numpy(SymmetricMaxPooling2D(pool_size, strides)(x))
        np.testing.assert_array_equal(y, max_pool(x, pool_size, strides))


@pytest.mark.parametrize("strides", [1, 2])
def test_gradient_goes_to_the_largest(strides, rng):
    """Each window gives its whole gradient to its largest pixel, also at the edges."""
    values = rng.permutation(7 * 10).astype("float32").reshape((1, 7, 10, 1)) - 100.0
    x = keras.Variable(values)
    layer = SymmetricMaxPooling2D(3, strides)
    _, (gradient,) = value_and_gradients(
        lambda: keras.ops.sum(layer(keras.ops.convert_to_tensor(x))), [x]
    )
    largest = max_pool(values, 3, strides)
    expected = np.array([np.sum(largest == value) for value in values.ravel()])
    np.testing.assert_array_equal(gradient.ravel(), expected)


def test_channels_first_equals_channels_last(rng):
    x = rng.standard_normal((2, 7, 10, 3)).astype("float32")
    last = numpy(SymmetricMaxPooling2D()(x))
    first = numpy(SymmetricMaxPooling2D(data_format="channels_first")(np.moveaxis(x, 3, 1)))
    np.testing.assert_array_equal(np.moveaxis(first, 1, 3), last)


@pytest.mark.skipif(BACKEND == "torch", reason="torch pads no empty batch with its edges")
def test_empty_batch():
    y = SymmetricMaxPooling2D()(np.ones((0, 7, 10, 3), "float32"))
    assert tuple(y.shape) == (0, 4, 5, 3)


@requires_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_function_of_unknown_sizes(jit_compile, rng):
    import tensorflow as tf

    layer = SymmetricMaxPooling2D()
    call = tf.function(
        layer, input_signature=[tf.TensorSpec((None, None, None, 3))], jit_compile=jit_compile
    )
    for size in [(7, 10), (2, 3)]:
        x = rng.standard_normal((2, *size, 3)).astype("float32")
        np.testing.assert_array_equal(numpy(call(x)), max_pool(x, 3, 2))
