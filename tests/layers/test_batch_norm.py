import keras
import numpy as np
import pytest

from keras_resnets.layers import BatchNormalization
from tests.backends import BACKEND, requires_float64, requires_tensorflow
from tests.layer_checks import numpy, plain
from tests.layers.keras_batch_norm import assert_same, ours_and_keras

# Only TensorFlow has a path of its own; elsewhere two shapes will do.
SHAPES = [
    (4, 5, 7, 3),
    (6, 5),
    *(
        pytest.param(shape, marks=requires_tensorflow)
        for shape in [(3, 1, 1, 4), (1, 1, 1, 2), (2, 7, 3), (2, 3, 4, 5, 2)]
    ),
]


def test_constants_are_those_of_the_papers():
    layer = BatchNormalization()
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
    ours = plain(BatchNormalization(name="norm").get_config())
    kerass = plain(keras.layers.BatchNormalization(name="norm").get_config())
    assert {name for name in kerass if ours[name] != kerass[name]} == {"momentum", "epsilon"}


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (1, 1, 2, 1), (2, 1)])
def test_variance_is_biased(shape):
    # Two values, 1 and 5: mean 3, variance (1 - 5)² / 4 = 4; the unbiased one would be 8.
    layer = BatchNormalization()
    y = layer(np.array([1.0, 5.0], "float32").reshape(shape), training=True)

    np.testing.assert_allclose(numpy(y).ravel(), [-2 / 4.00001**0.5, 2 / 4.00001**0.5], rtol=1e-5)
    np.testing.assert_allclose(numpy(layer.moving_mean), [0.1 * 3], rtol=1e-5)
    np.testing.assert_allclose(numpy(layer.moving_variance), [0.9 * 1 + 0.1 * 4], rtol=1e-5)

    layer = BatchNormalization()  # and one value has none
    y = layer(np.full(np.ones_like(shape), 7.0, "float32"), training=True)
    np.testing.assert_allclose(numpy(y).ravel(), [0.0], atol=1e-6)
    np.testing.assert_allclose(numpy(layer.moving_variance), [0.9], rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_keras(shape, training, rng):
    x = 2.0 * rng.standard_normal(shape).astype("float32") + 1.0
    assert_same(*ours_and_keras(shape), x, training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": False},
        {"scale": False, "center": False},
        pytest.param({"axis": 3}, marks=requires_tensorflow),
        {"axis": 1},
        pytest.param({"momentum": 0.0, "epsilon": 0.1}, marks=requires_tensorflow),
        pytest.param({"renorm": True, "renorm_momentum": 0.8}, marks=requires_tensorflow),
    ],
    ids=str,
)
def test_options_match_keras(arguments, training, rng):
    x = rng.standard_normal((4, 5, 7, 3)).astype("float32")
    assert_same(*ours_and_keras(x.shape, **arguments), x, training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("policy", "unit"), [("mixed_float16", 2.0**-10), ("mixed_bfloat16", 2.0**-7)]
)
def test_small_floats(policy, unit, training, rng):
    """Outputs and gradients are within two roundings, statistics as exact as in 32 bits."""
    x = numpy(keras.ops.cast(rng.standard_normal((4, 5, 7, 3)), policy.removeprefix("mixed_")))
    ours, kerass = ours_and_keras(x.shape, dtype=policy)
    assert_same(ours, kerass, x, training, tolerance=2 * unit)

    ours, kerass = ours_and_keras(x.shape, dtype=policy)
    y, expected = (numpy(layer(x, training=training)) for layer in (ours, kerass))
    np.testing.assert_allclose(y, expected, rtol=2 * unit, atol=2 * unit)
    for one, other in zip(ours.get_weights(), kerass.get_weights(), strict=True):
        assert one.dtype == other.dtype == "float32"
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@requires_float64
@pytest.mark.parametrize("training", [True, False])
def test_float64_is_not_rounded(training, rng):
    x = rng.standard_normal((4, 5, 7, 3))
    ours, kerass = ours_and_keras(x.shape, dtype="float64")
    assert_same(ours, kerass, x, training, tolerance=1e-12)


def test_far_from_zero(rng):
    x = 100.0 + rng.standard_normal((8, 4, 4, 3)).astype("float32")
    layer = BatchNormalization(momentum=0.0)
    y = numpy(layer(x, training=True))
    exact = x.astype("float64")
    mean, variance = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    # JAX and torch take the variance as E[x²] - E[x]², which costs them digits.
    tolerance = 1e-4 if BACKEND == "tensorflow" else 1e-2
    np.testing.assert_allclose(y, (exact - mean) / np.sqrt(variance + 1e-5), atol=tolerance)
    np.testing.assert_allclose(numpy(layer.moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(numpy(layer.moving_variance), variance, rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_small_variables(dtype, rng):
    x = rng.standard_normal((4, 5, 7, 3)).astype("float32")
    ours, kerass = ours_and_keras(x.shape, dtype=dtype)
    y, expected = (numpy(layer(x, training=True)) for layer in (ours, kerass))
    np.testing.assert_allclose(y, expected, atol=0.05)
    for one, other in zip(ours.weights, kerass.weights, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(numpy(one), numpy(other), atol=0.02)


def test_integers_match_keras(rng):
    x = rng.integers(0, 255, (4, 5, 7, 3)).astype("uint8")
    ours, kerass = ours_and_keras(x.shape)
    for training in (True, False):
        y, expected = (numpy(layer(x, training=training)) for layer in (ours, kerass))
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_mask(rng):
    """Masked positions count for nothing: what stands there does not matter."""
    x = rng.standard_normal((4, 5, 7, 3)).astype("float32")
    mask = rng.random((4, 5, 7)) < 0.5
    ours, kerass = ours_and_keras(x.shape)
    assert_same(ours, kerass, x, training=True, mask=keras.ops.convert_to_tensor(mask))

    layer = BatchNormalization(momentum=0.0)
    layer(np.where(mask[..., None], x, 1e3), training=True, mask=keras.ops.convert_to_tensor(mask))
    np.testing.assert_allclose(numpy(layer.moving_mean), x[mask].mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(layer.moving_variance), x[mask].var(0), rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "call"),
    [
        *(((0, *sizes), {"training": on}) for sizes in [(4, 4, 3), (3,)] for on in (True, False)),
        ((2, 5, 3), {"training": True, "mask": np.zeros((2, 5), "bool")}),
    ],
    ids=str,
)
def test_what_holds_no_example_changes_nothing(shape, call):
    ours, _ = ours_and_keras(shape)
    before = ours.get_weights()
    if "mask" in call:
        call = {**call, "mask": keras.ops.convert_to_tensor(call["mask"])}
    assert tuple(ours(np.ones(shape, "float32"), **call).shape) == shape
    for one, other in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow synchronizes")
def test_synchronized_needs_tensorflow():
    with pytest.raises(ValueError, match="synchronized"):
        BatchNormalization(synchronized=True)
