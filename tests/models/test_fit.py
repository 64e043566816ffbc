"""Training with plain Keras."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import build_model
from tests.backends import BACKEND
from tests.layer_checks import numpy
from tests.models.networks import SPECS, TINY
from tests.models.once import once

SPEC = dataclasses.replace(TINY, shortcut="A")


def striped_images(number=64):
    """Images with horizontal, vertical or no stripes, and which it is."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.3, (number, 12, 12, 3)).astype("float32")
    y = np.arange(number) % 3
    stripes = np.where(np.arange(12) % 4 < 2, 1.0, -1.0)
    x[y == 0] += stripes[None, :, None, None]
    x[y == 1] += stripes[None, None, :, None]
    return x, y


# Uncompiled, JAX takes each operation by itself, a thousand a step; the others are quicker so.
COMPILES = BACKEND == "jax"


def compiled(spec, jit_compile=COMPILES, **options):
    model = build_model(spec, input_shape=(12, 12, 3), classes=3)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile,
        **options,
    )
    return model


def check_learnt(history):
    losses = history.history["loss"]
    assert np.all(np.isfinite(losses))
    assert losses[-1] < 0.5 * losses[0]


def test_arrays():
    spec = dataclasses.replace(SPECS["C"], drop_path_rate=0.2, zero_init_residual=True)
    model = compiled(spec)
    x, y = striped_images()
    before = {weight.path: numpy(weight) for weight in model.weights}
    # 64 images in batches of 24: the last one has 16.
    check_learnt(model.fit(x, y, batch_size=24, epochs=14, verbose=0))
    for weight in model.weights:
        assert not np.array_equal(numpy(weight), before[weight.path]), weight.path
    # The moving statistics have followed: the answers without a batch's own are right as well.
    assert np.mean(numpy(model(x)).argmax(axis=1) == y) > 0.9


@once
def test_compiled_by_default():
    """`jit_compile="auto"`, which turns on XLA where the backend has it."""
    spec = dataclasses.replace(TINY, repeats=(1,), widths=(8,), shortcut="C")
    model = compiled(spec, jit_compile="auto")
    x, y = striped_images(number=32)
    check_learnt(model.fit(x, y, batch_size=16, epochs=12, verbose=0))


@once
def test_runs_with_one_seed_are_the_same():
    spec = dataclasses.replace(SPEC, repeats=(1,), widths=(4,), drop_path_rate=0.2)
    x, y = striped_images(number=24)
    results = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = compiled(spec, run_eagerly=True)
        model.fit(x, y, batch_size=8, verbose=0)
        results.append(model.get_weights())
    for first, second in zip(*results, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_mixed_precision():
    """On TensorFlow out of a pipeline."""
    on_tensorflow = BACKEND == "tensorflow"
    keras.config.set_dtype_policy("mixed_float16" if on_tensorflow else "mixed_bfloat16")
    model = compiled(SPEC)
    x, y = striped_images()
    data = {"x": x, "y": y, "batch_size": 16}
    if on_tensorflow:
        import tensorflow as tf

        data = {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(16)}
    check_learnt(model.fit(**data, shuffle=False, epochs=8, verbose=0))
    assert {weight.dtype for weight in model.weights} == {"float32"}
    answers = model.predict(data["x"], verbose=0)
    assert (answers.shape, answers.dtype) == ((64, 3), np.float32)


@pytest.mark.usefixtures("without_values")
def test_drop_path_s_rate_grows_with_depth():
    """Block l of L has rate · l / L (Huang et al., 2016, section 3)."""
    model = keras_resnets.ResNet20(drop_path_rate=0.5)
    rates = [layer.drop_path_rate for layer in model.layers if layer.name.startswith("stage")]
    np.testing.assert_allclose(rates, [0.5 * block / 9 for block in range(1, 10)], rtol=1e-12)
    assert rates[-1] == 0.5
