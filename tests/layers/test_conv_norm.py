import functools
import itertools

import keras
import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, ConvNorm, SqueezeExcitation
from tests.backends import requires_channels_first, requires_tensorflow
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, randomize, weights_by_path
from tests.reference import WeightedLayers, pair

# (kernel size, strides, dilation): Keras cannot combine the last two.
GEOMETRIES = [
    *((size, strides, 1) for size, strides in itertools.product([1, 2, 3, 7, (3, 1)], [1, 2])),
    *((3, strides, 1) for strides in (3, (2, 1))),
    *((size, 1, dilation) for size, dilation in itertools.product([2, 3, (3, 1)], [2, (1, 2)])),
]


def conv_norm(x, kernel_size, strides=1, dilation=1):
    """Returns a layer with random weights, built for `x`."""
    layer = ConvNorm(4, kernel_size, strides=strides, dilation=dilation)
    layer.build(x.shape)
    randomize(layer)
    return layer


@pytest.mark.parametrize(("kernel_size", "strides", "dilation"), GEOMETRIES, ids=str)
def test_matches_numpy(kernel_size, strides, dilation, rng):
    """An odd height and an even width."""
    x = rng.standard_normal((2, 9, 12, 3)).astype("float32")
    layer = conv_norm(x, kernel_size, strides, dilation)
    y = numpy(layer(x))

    weights = {f"layer/{path}": value for path, value in weights_by_path(layer).items()}
    expected = WeightedLayers(weights).conv_norm(x, "layer", strides, dilation)
    assert layer.compute_output_shape(x.shape) == y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "strides", "dilation"), GEOMETRIES[1::4], ids=str)
def test_matches_torch(kernel_size, strides, dilation, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 9, 12, 3)).astype("float32")
    layer = conv_norm(x, kernel_size, strides, dilation)
    reach = zip(pair(dilation), pair(kernel_size), strict=True)

    weights = {path: torch.tensor(value) for path, value in weights_by_path(layer).items()}
    expected = torch.nn.functional.conv2d(
        torch.tensor(x).permute(0, 3, 1, 2),
        weights["conv/kernel"].permute(3, 2, 0, 1),
        stride=strides,
        padding=tuple(d * (k - 1) // 2 for d, k in reach),
        dilation=dilation,
    )
    norm = [weights[f"norm/{name}"] for name in ("moving_mean", "moving_variance", "gamma", "beta")]
    expected = torch.nn.functional.batch_norm(expected, *norm, eps=1e-5)
    expected = expected.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compiled", [None, False, True])
@pytest.mark.parametrize(
    ("strides", "dilation", "groups", "normalize"),
    [(1, 1, 2, False), (2, 1, 4, False), (1, 2, 8, False), (1, 1, 2, True)],
)
def test_groups_and_their_gradients_match_torch(
    strides, dilation, groups, normalize, compiled, rng
):
    """Also without oneDNN, where TensorFlow has neither the gradient nor the fused operation."""
    torch = pytest.importorskip("torch")
    tf = None if compiled is None else pytest.importorskip("tensorflow")
    if tf and keras.backend.backend() != "tensorflow":
        pytest.skip("needs TensorFlow")
    x = rng.standard_normal((2, 9, 12, 8)).astype("float32")
    options = {"strides": strides, "dilation": dilation, "groups": groups}
    layer = ConvNorm(16, 3, **options, normalize=normalize)
    layer.build(x.shape)
    kernel = layer.conv.kernel
    images = keras.Variable(x)

    def output(x):
        return keras.ops.relu(layer(x)) if normalize else layer(x)

    call = output if tf is None else tf.function(output, jit_compile=compiled)
    y = call(keras.ops.convert_to_tensor(images))
    inputs, weights = (torch.tensor(a, requires_grad=True) for a in (x, numpy(kernel)))
    expected = torch.nn.functional.conv2d(
        inputs.permute(0, 3, 1, 2),
        weights.permute(3, 2, 0, 1),
        None,
        strides,
        dilation,
        dilation,
        groups,
    ).permute(0, 2, 3, 1)
    expected = torch.relu(expected / np.sqrt(1 + 1e-5)) if normalize else expected
    np.testing.assert_allclose(numpy(y), expected.detach(), rtol=1e-4, atol=1e-5)

    (expected**2).sum().backward()
    _, gradients = value_and_gradients(
        lambda: keras.ops.sum(call(keras.ops.convert_to_tensor(images)) ** 2), [images, kernel]
    )
    for actual, wanted in zip(gradients, (inputs.grad, weights.grad), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-3, atol=1e-3)


@requires_tensorflow
@pytest.mark.parametrize("dtype", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_groups_have_gradients_in_each_type(dtype, rng):
    layer = ConvNorm(8, 3, groups=4, dtype=dtype, normalize=False)
    x = rng.standard_normal((2, 5, 6, 8))
    layer.build(x.shape)
    _, (gradient,) = value_and_gradients(
        lambda: keras.ops.sum(keras.ops.cast(layer(x), "float32")), [layer.conv.kernel]
    )
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient)


def test_excitation_by_hand():
    """Means of 1 and 3, and inner channels of relu(1 + 3 − 1) = 3, relu(1 − 3) = 0, and zeros."""
    x = np.array([[0.0, 2.0], [2.0, 4.0]], "float32").reshape(1, 1, 2, 2)
    layer = SqueezeExcitation(1.0)
    layer.build(x.shape)
    reduce, expand = np.zeros((2, 8)), np.zeros((8, 2))
    reduce[:, :2], expand[:2] = [[1, 1], [1, -1]], [[2, -1], [5, 5]]
    bias = np.array([-1.0, *[0.0] * 7])
    layer.set_weights([reduce[None, None], bias, expand[None, None], np.array([-6.0, 4.0])])
    gates = 1 / (1 + np.exp([-(2 * 3 - 6), -(-3 + 4)]))
    np.testing.assert_allclose(numpy(layer(x)), x * gates, rtol=1e-6)


@pytest.mark.parametrize(
    ("channels", "ratio", "inner"),
    # As in timm: to the nearest multiple of 8, and at least 8.
    [(256, 1 / 16, 16), (2048, 1 / 16, 128), (64, 1 / 16, 8), (16, 0.25, 8), (80, 0.25, 24)],
)
def test_inner_channels_of_an_excitation(channels, ratio, inner):
    layer = SqueezeExcitation(ratio)
    layer.build((None, None, None, channels))
    assert layer.reduce.filters == inner


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_kernel_is_he_normal_by_fan_out(kernel_size):
    layer = ConvNorm(256, kernel_size)
    twin = ConvNorm.from_config(layer.get_config())
    for each in (layer, twin):
        each.build((None, 8, 8, 128))
    kernel = weights_by_path(layer)["conv/kernel"]
    assert not np.any(kernel == weights_by_path(twin)["conv/kernel"])
    # 32,768 values or more: the standard error of their deviation is below half a per cent.
    std = np.sqrt(2 / (kernel_size**2 * 256))
    assert kernel.std() == pytest.approx(std, rel=0.02)
    assert abs(kernel.mean()) < 0.03 * std
    # Untruncated: 4.55 % of a normal distribution lie beyond 2 deviations, 0.27 % beyond 3.
    assert np.mean(np.abs(kernel) > 2 * std) == pytest.approx(0.0455, rel=0.1)
    assert np.mean(np.abs(kernel) > 3 * std) == pytest.approx(0.0027, rel=0.5)


@pytest.mark.parametrize("make", [functools.partial(ConvNorm, 4, 3), lambda: BasicBlock(4)])
def test_shapes_that_are_no_feature_maps(make):
    for shape in [(8, 3), (8, 8, 3), (1, 2, 8, 8, 3)]:
        with pytest.raises(ValueError, match=r"feature maps \(batch, height, .* Received"):
            make().build(shape)
    with pytest.raises(ValueError, match=r"channels must be known.* Received"):
        make().build((None, 8, 8, None))


def test_channels_that_are_not_known_first():
    with pytest.raises(ValueError, match=r"\(batch, channels, height, width\)"):
        ConvNorm(4, 3, data_format="channels_first").build((None, None, 8, 8))


@requires_channels_first
@pytest.mark.parametrize("width", [4, 5])
def test_a_bias_goes_to_the_channels_where_the_width_is_as_large(width, rng):
    """Keras adds it to the last axis of TensorFlow's feature maps then."""
    layer = ConvNorm(4, 1, normalize=False, use_bias=True, data_format="channels_first")
    layer.build((1, 3, 6, width))
    kernel, bias = rng.normal(size=(1, 1, 3, 4)), rng.normal(size=4)
    layer.set_weights([kernel, bias])
    x = rng.normal(size=(1, 3, 6, width)).astype("float32")
    expected = np.einsum("bihw,io->bohw", x, kernel[0, 0]) + bias[:, None, None]
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-5, atol=1e-5)
