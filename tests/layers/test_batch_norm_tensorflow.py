"""Batch norm on TensorFlow alone: the fused kernel, graphs, XLA, SavedModel."""

import functools

import numpy as np
import pytest

from keras_resnets.layers import BatchNormalization
from tests.backends import requires_tensorflow
from tests.layer_checks import numpy
from tests.layers.keras_batch_norm import ours_and_keras

pytestmark = requires_tensorflow


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 5, 7, 3), (4, 3)], ids=str)
def test_xla_equals_eager(shape, training, rng):
    import tensorflow as tf

    x = tf.constant(rng.standard_normal(shape).astype("float32"))
    eager, compiled = (ours_and_keras(shape)[0] for _ in range(2))
    expected = numpy(eager(x, training=training))
    call = tf.function(lambda x: compiled(x, training=training), jit_compile=True)
    np.testing.assert_allclose(numpy(call(x)), expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(compiled.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "arguments", "fused"),
    [
        ((None, None, None, 3), {}, True),
        ((None, 4, 4, 3), {"axis": 3}, True),
        ((None, 4, 4, 3), {"scale": False, "center": False}, True),
        ((None, 4, 4, 3), {"dtype": "mixed_float16"}, True),
        ((None, 4, 4, 3), {"dtype": "mixed_bfloat16"}, True),
        ((None, 4, 4, 3), {"dtype": "float64"}, False),
        ((None, 4, 4, 3), {"axis": 1}, False),
        ((None, 4, 4, 3), {"renorm": True}, False),
        ((None, 4, 4, 3), {"synchronized": True}, False),
        ((None, 3), {}, False),
        ((None, 2, 4, 4, 3), {}, False),
    ],
    ids=str,
)
def test_fused_kernel_runs_where_it_applies(shape, arguments, fused):
    import tensorflow as tf

    layer = BatchNormalization(**arguments)
    layer.build((None, *(size or 4 for size in shape[1:])))
    spec = tf.TensorSpec(shape, layer.compute_dtype)
    for training in (True, False):
        graph = tf.function(layer).get_concrete_function(spec, training=training).graph
        assert ("FusedBatchNormV3" in {op.type for op in graph.get_operations()}) == fused


@pytest.mark.parametrize("training", [True, False])
def test_graph_that_does_not_know_the_channels(training, rng):
    """A restored signature or a `py_function` may give a tensor of unknown sizes."""
    import tensorflow as tf

    x = rng.standard_normal((4, 5, 7, 3)).astype("float32")
    for options in ({}, {"scale": False, "center": False}):
        ours, kerass = ours_and_keras(x.shape, **options)
        spec = tf.TensorSpec((None, None, None, None))
        outputs = []
        for layer in (ours, kerass):
            call = tf.function(functools.partial(layer, training=training), input_signature=[spec])
            outputs.append(numpy(call(x)))
        np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_second_derivatives_match_keras(training, rng):
    import tensorflow as tf

    x = tf.constant(rng.standard_normal((2, 3, 3, 2)).astype("float32"))
    results = []
    for layer in ours_and_keras(x.shape):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(layer(x, training=training) ** 3)
            penalty = tf.reduce_sum(inner.gradient(loss, x) ** 2)
        results.append(outer.gradient(penalty, [x, layer.gamma.value, layer.beta.value]))
    scale = max(np.abs(result).max() for result in results[1])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("dtype", "jit_compile"),
    [("float32", False), ("float32", True), ("float16", False), ("bfloat16", False)],
)
@pytest.mark.parametrize("shape", [(4, 4, 3), (3,)], ids=["fused", "not fused"])
def test_a_graph_s_empty_batch_changes_nothing(shape, dtype, jit_compile):
    """A graph learns only when it runs that there is no example."""
    import tensorflow as tf

    ours, _ = ours_and_keras((None, *shape), dtype=f"mixed_{dtype}" if dtype != "float32" else None)

    @tf.function(input_signature=[tf.TensorSpec((None, *shape), dtype)], jit_compile=jit_compile)
    def gradients(x):
        with tf.GradientTape() as tape:
            y = ours(x, training=True)
        return tape.gradient(y, [ours.gamma.value, ours.beta.value])

    before = ours.get_weights()
    for gradient in gradients(tf.zeros((0, *shape), dtype)):
        np.testing.assert_array_equal(gradient, np.zeros(3))
    for one, other in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("ratio", [1e2, 1e4])
def test_a_mean_far_beyond_the_deviation(ratio, jit_compile, rng):
    """XLA takes the fused kernel's variance as E[x²] - E[x]², which has no digit left at 1e4."""
    import tensorflow as tf

    x = ratio + rng.standard_normal((8, 4, 4, 3)).astype("float32")
    dy = rng.standard_normal(x.shape).astype("float32")
    layer = BatchNormalization(momentum=0.0)
    layer.build(x.shape)

    @tf.function(jit_compile=jit_compile)
    def step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        sources = [x, layer.gamma.value, layer.beta.value]
        return y, tape.gradient(y, sources, output_gradients=dy)

    y, gradients = step(x, dy)
    exact, dy = x.astype("float64"), dy.astype("float64")
    axes, count = (0, 1, 2), x.size // 3
    mean, variance = exact.mean(axes), exact.var(axes)
    scale = 1 / np.sqrt(variance + 1e-5)
    normalized = (exact - mean) * scale
    slope = dy - dy.mean(axes) - normalized * (dy * normalized).mean(axes)
    # Each of some 8 operations rounds numbers of the size of ratio · scale by 2⁻²⁴ of them. The
    # gradients of γ and β add up `count` terms, each with such an error times |dy|.
    unit = 8 * 2.0**-24 * ratio * scale.max()
    np.testing.assert_allclose(y, normalized, atol=unit)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=8 * 2.0**-24)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=unit)
    np.testing.assert_allclose(gradients[0], slope * scale, atol=unit * np.abs(dy).max())
    for gradient, expected in zip(
        gradients[1:], ((dy * normalized).sum(axes), dy.sum(axes)), strict=True
    ):
        np.testing.assert_allclose(gradient, expected, atol=unit * count * np.abs(dy).mean())

    call = tf.function(functools.partial(layer, training=False), jit_compile=jit_compile)
    np.testing.assert_allclose(call(x), normalized, atol=unit)
