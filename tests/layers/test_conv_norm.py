import functools
import itertools

import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, ConvNorm
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
