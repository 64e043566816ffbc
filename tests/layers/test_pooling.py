"""Max pooling, averages and blurs, by hand, in NumPy and against torch."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import AveragePooling2D, BlurPooling2D, SymmetricMaxPooling2D
from tests.backends import BACKEND, requires_tensorflow
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy
from tests.reference import average_pool, blur_pool, max_pool

LAYERS = [SymmetricMaxPooling2D, AveragePooling2D, BlurPooling2D]


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


def test_zeros_outside_may_win(rng):
    x = rng.standard_normal((2, 7, 10, 3)).astype("float32") - 1.0
    y = numpy(SymmetricMaxPooling2D(3, 2, pads_zeros=True)(x))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    np.testing.assert_array_equal(y, max_pool(padded, 3, 1)[:, 1:-1:2, 1:-1:2])


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


@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        # Of the windows that reach over the right or the lower edge, what is within counts.
        (AveragePooling2D(2), [[(0 + 1 + 6 + 7) / 4, (2 + 8) / 2], [(1 + 3) / 2, 5]]),
        (AveragePooling2D(2, 1), [[3.5, 4.5, 5], [4.25, 5.75, 6.5], [2, 4, 5]]),
        (AveragePooling2D(3), [[33 / 9]]),
        (AveragePooling2D(1, 2), [[0, 2], [1, 5]]),
        (AveragePooling2D(2, 1, dilation=2), [[(0 + 2 + 1 + 5) / 4, 2, 3.5], [7, 7, 8], [3, 3, 5]]),
        # The row or column before the first is the second, that behind the last the one before.
        (BlurPooling2D(2), [[3.5, 4.5], [4.25, 5.75]]),
        (BlurPooling2D(3), [[3.5]]),
    ],
)
def test_averages_and_blurs_by_hand(layer, rows):
    x = np.array([[0, 1, 2], [6, 7, 8], [1, 3, 5]], "float32").reshape(1, 3, 3, 1)
    np.testing.assert_allclose(numpy(layer(x))[0, :, :, 0], rows, rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 5), (9, 12)])
def test_averages_and_blurs_match_numpy_and_torch(size, rng):
    x = rng.standard_normal((2, *size, 3)).astype("float32")
    y = numpy(AveragePooling2D(2)(x))
    np.testing.assert_allclose(y, average_pool(x, 2, 2), rtol=1e-5, atol=1e-6)
    pairs = [(AveragePooling2D(3, 2)(x), average_pool(x, 3, 2))]
    if min(size) > 1:
        pairs += [(BlurPooling2D(strides)(x), blur_pool(x, strides)) for strides in (1, 2, 3)]
    for actual, expected in pairs:
        np.testing.assert_allclose(numpy(actual), expected, rtol=1e-5, atol=1e-6)

    torch = pytest.importorskip("torch")
    images = torch.tensor(x).permute(0, 3, 1, 2)
    options = {"ceil_mode": True, "count_include_pad": False}  # as in timm's ResNet-D
    expected = torch.nn.functional.avg_pool2d(images, 2, 2, **options).permute(0, 2, 3, 1)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5, atol=1e-6)
    if min(size) > 1:
        kernel = torch.tensor(np.outer((1, 2, 1), (1, 2, 1)) / 16, dtype=torch.float32)
        padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="reflect")
        kernels = kernel.repeat(3, 1, 1, 1)
        expected = torch.nn.functional.conv2d(padded, kernels, stride=2, groups=3)
        y = numpy(BlurPooling2D()(x))
        np.testing.assert_allclose(y, expected.permute(0, 2, 3, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [AveragePooling2D(3, 1, 2), BlurPooling2D(1, 2)])
@pytest.mark.parametrize("size", [(4, 5), (7, 8)])
def test_a_dilation_treats_the_interlaced_maps_alike(layer, size, rng):
    x = rng.standard_normal((2, *size, 3)).astype("float32")
    y = numpy(layer(x))
    undilated = type(layer).from_config({**layer.get_config(), "dilation": 1})
    for row in range(2):
        for column in range(2):
            expected = numpy(undilated(x[:, row::2, column::2]))
            np.testing.assert_allclose(y[:, row::2, column::2], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_blur_needs_pixels_to_mirror(dilation):
    size = 2 * dilation - 1
    with pytest.raises(ValueError, match=rf"at least `2 \* dilation`.*dilation={dilation}"):
        BlurPooling2D(dilation=dilation).build((None, 8, size, 3))
    layer = BlurPooling2D(dilation=dilation)
    layer.build((None, None, None, 3))
    assert tuple(layer(np.ones((1, size + 1, 8, 3), "float32")).shape) == (1, dilation, 4, 3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_average_in_16_bits(dtype, rng):
    x = rng.standard_normal((2, 7, 8, 3)).astype("float32")
    for layer in (
        AveragePooling2D(2),
        AveragePooling2D(3, 2),
        BlurPooling2D(),
        BlurPooling2D(1, 2),
    ):
        small = type(layer).from_config({**layer.get_config(), "dtype": dtype})
        y = small(x)
        assert keras.backend.standardize_dtype(y.dtype) == dtype
        np.testing.assert_allclose(numpy(y), numpy(layer(x)), atol=0.05)


@pytest.mark.parametrize("kind", LAYERS)
def test_channels_first_equals_channels_last(kind, rng):
    x = rng.standard_normal((2, 7, 10, 3)).astype("float32")
    for options in ({}, {} if kind is SymmetricMaxPooling2D else {"strides": 1, "dilation": 2}):
        last = numpy(kind(**options)(x))
        first = numpy(kind(data_format="channels_first", **options)(np.moveaxis(x, 3, 1)))
        np.testing.assert_allclose(np.moveaxis(first, 1, 3), last, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="torch pads no empty batch with its edges")
@pytest.mark.parametrize("kind", LAYERS)
def test_empty_batch(kind):
    y = kind(strides=2)(np.ones((0, 7, 10, 3), "float32"))
    assert tuple(y.shape) == (0, 4, 5, 3)


@requires_tensorflow
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_function_of_unknown_sizes(kind, jit_compile, rng):
    import tensorflow as tf

    layer = kind(strides=2)
    call = tf.function(
        layer, input_signature=[tf.TensorSpec((None, None, None, 3))], jit_compile=jit_compile
    )
    for size in [(7, 10), (2, 3)]:
        x = rng.standard_normal((2, *size, 3)).astype("float32")
        np.testing.assert_allclose(numpy(call(x)), numpy(layer(x)), rtol=1e-6, atol=1e-6)
    if kind is BlurPooling2D:
        with pytest.raises(tf.errors.OpError):
            call(x[:, :1])  # never an empty map, whose mean is no number
