import keras
import numpy as np
import pytest

from keras_resnets.layers import IdentityShortcut, ProjectionShortcut
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy


@pytest.mark.parametrize(("size", "kept"), [(1, [0]), (6, [0, 3]), (7, [0, 3, 6]), (8, [0, 3, 6])])
def test_identity_keeps_every_third_row_and_column(size, kept):
    rows = np.arange(size, dtype="float32")
    x = (rows[:, None] + 10 * rows)[None, :, :, None]
    y = numpy(IdentityShortcut(1, strides=3)(x))
    expected = [[row + 10.0 * column for column in kept] for row in kept]
    np.testing.assert_array_equal(y[0, :, :, 0], expected)


@pytest.mark.parametrize(
    ("zero_pad", "filters", "expected"),
    [
        ("end", 2, [1, 2]),
        ("end", 3, [1, 2, 0]),
        ("end", 6, [1, 2, 0, 0, 0, 0]),
        ("both", 2, [1, 2]),
        ("both", 3, [1, 2, 0]),
        ("both", 4, [0, 1, 2, 0]),
        ("both", 5, [0, 1, 2, 0, 0]),
        ("both", 6, [0, 0, 1, 2, 0, 0]),
    ],
)
def test_identity_fills_up_with_zero_channels(zero_pad, filters, expected):
    x = np.array([[[[1.0, 2.0]]]], "float32")
    y = IdentityShortcut(filters, zero_pad=zero_pad)(x)
    np.testing.assert_array_equal(numpy(y)[0, 0, 0], expected)
    first = IdentityShortcut(filters, zero_pad=zero_pad, data_format="channels_first")
    np.testing.assert_array_equal(numpy(first(np.moveaxis(x, 3, 1)))[0, :, 0, 0], expected)


def test_identity_passes_the_gradient_to_what_it_keeps():
    x = keras.Variable(np.zeros((1, 4, 5, 2), "float32"))
    layer = IdentityShortcut(4, strides=2)
    _, (gradient,) = value_and_gradients(
        lambda: keras.ops.sum(layer(keras.ops.convert_to_tensor(x))), [x]
    )
    kept = np.outer([1, 0, 1, 0], [1, 0, 1, 0, 1])
    np.testing.assert_array_equal(gradient, np.repeat(kept[None, :, :, None], 2, axis=3))


def test_identity_removes_no_channels():
    with pytest.raises(ValueError, match=r"at least the input's 4 channels. Received: filters=3"):
        IdentityShortcut(3).build((None, 8, 8, 4))
    with pytest.raises(ValueError, match="Received: filters=3"):
        IdentityShortcut(3)(keras.Input((8, 8, 4)))


def test_identity_of_other_channels_than_built_for():
    layer = IdentityShortcut(4)
    layer.build((None, 8, 8, 3))
    with pytest.raises(ValueError, match=r"axis (3|-1)"):
        layer(np.ones((1, 8, 8, 6), "float32"))


@pytest.mark.parametrize(
    ("size", "averages"),
    [((4, 4), [[2.5, 4.5], [10.5, 12.5]]), ((3, 3), [[2.0, 3.5], [6.5, 8.0]])],
)
def test_a_projection_of_averages(size, averages):
    """The pixels are numbered; the kernel doubles the one channel and triples it."""
    x = np.arange(np.prod(size), dtype="float32").reshape(1, *size, 1)
    layer = ProjectionShortcut(2, strides=2, pool_size=2, normalize=False)
    layer.build(x.shape)
    layer.set_weights([np.array([2.0, 3.0]).reshape(1, 1, 1, 2)])
    expected = np.array(averages)[None, :, :, None] * [2, 3]
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-6)


def test_identity_of_an_empty_batch():
    y = IdentityShortcut(6, strides=2)(np.ones((0, 5, 6, 3), "float32"))
    assert tuple(y.shape) == (0, 3, 3, 6)
