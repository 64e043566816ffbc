"""Freezing the backbone of a model that has more to it than backbone and head."""

import keras
import numpy as np
import pytest

from keras_resnets import ResNetSpec, build_model, freeze_backbone
from tests.backends import requires_tensorflow
from tests.layer_checks import numpy
from tests.models.once import once

SPEC = ResNetSpec(
    block="bottleneck", repeats=(1, 1), widths=(4, 8), stem="cifar", drop_path_rate=0.2
)


def fit(model, *inputs):
    """Trains for some steps; returns the paths of the weights that have changed."""
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    before = {weight.path: numpy(weight) for weight in model.weights}
    labels = np.arange(len(inputs[0])) % 3
    x = list(inputs) if len(inputs) > 1 else inputs[0]
    model.fit(x, labels, batch_size=8, epochs=2, verbose=0)
    return {
        weight.path
        for weight in model.weights
        if not np.array_equal(before[weight.path], numpy(weight))
    }


def images(rng, number=16, channels=3):
    return rng.normal(3, 2, (number, 8, 8, channels)).astype("float32")


def test_a_new_head_of_several_layers_learns(rng):
    backbone = build_model(SPEC, input_shape=(8, 8, 3), include_top=False)
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    x = keras.layers.Dense(6, activation="tanh", name="hidden")(x)
    x = keras.layers.BatchNormalization(name="head_norm")(x)
    model = keras.Model(backbone.input, keras.layers.Dense(3, "softmax", name="answer")(x))
    freeze_backbone(model)
    changed = fit(model, images(rng))
    assert {path.split("/")[0] for path in changed} == {"hidden", "head_norm", "answer"}


@once
def test_what_prepares_the_images_is_frozen_too(rng):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 1, name="colours")(inputs)
    model = build_model(SPEC, input_tensor=x, classes=3)
    freeze_backbone(model)
    assert fit(model, images(rng, channels=1)) == {"predictions/kernel", "predictions/bias"}


@once
def test_a_branch_beside_the_backbone_learns(rng):
    """Only what leads to the last block is backbone."""
    backbone = build_model(SPEC, input_shape=(8, 8, 3), include_top=False, pooling="avg")
    facts = keras.Input((5,))
    beside = keras.layers.Dense(4, "tanh", name="facts1")(facts)
    for index in range(2, 6):
        beside = keras.layers.Dense(4, "tanh", name=f"facts{index}")(beside)
    x = keras.layers.Concatenate()([backbone.output, beside])
    outputs = keras.layers.Dense(3, "softmax", name="answer")(x)
    model = keras.Model([backbone.input, facts], outputs)
    freeze_backbone(model)
    changed = fit(model, images(rng), rng.normal(size=(16, 5)).astype("float32"))
    assert {path.split("/")[0] for path in changed} == {
        "answer",
        *(f"facts{index}" for index in range(1, 6)),
    }


@once
def test_any_normalization_adapts_in_training_mode(rng):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="first")(inputs)
    model = build_model(SPEC, input_tensor=x, classes=3)
    freeze_backbone(model, bn="train")
    changed = fit(model, images(rng))
    convolutions = {weight.path for weight in model.weights if "/conv/kernel" in weight.path}
    assert changed == {weight.path for weight in model.weights} - convolutions


def test_without_a_head_all_is_frozen():
    model = freeze_backbone(build_model(SPEC, include_top=False))
    assert model.trainable_weights == []


def test_it_returns_the_model():
    model = build_model(SPEC)
    assert freeze_backbone(model) is model


def test_statistics_move_towards_the_data_in_training_mode(rng):
    model = build_model(SPEC, input_shape=(8, 8, 3), classes=3)
    freeze_backbone(model, bn="train")
    norm = model.get_layer("stem_conv").norm
    x = images(rng)
    mean = numpy(keras.ops.mean(model.get_layer("stem_conv").conv(x), axis=(0, 1, 2)))
    before = np.abs(numpy(norm.moving_mean) - mean)
    fit(model, x)
    np.testing.assert_array_less(np.abs(numpy(norm.moving_mean) - mean), before)


@requires_tensorflow
@pytest.mark.parametrize("bn", ["inference", "train"])
def test_on_a_pipeline_in_mixed_precision(bn, rng):
    import tensorflow as tf

    keras.config.set_dtype_policy("mixed_bfloat16")
    model = freeze_backbone(build_model(SPEC, input_shape=(8, 8, 3), classes=3), bn)
    before = {weight.path: numpy(weight) for weight in model.weights}
    dataset = tf.data.Dataset.from_tensor_slices((images(rng), np.arange(16) % 3)).batch(8)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(dataset, epochs=2, verbose=0)
    for weight in model.weights:
        is_kernel = weight.path.endswith("conv/kernel")
        frozen = is_kernel if bn == "train" else not weight.path.startswith("predictions")
        assert np.array_equal(numpy(weight), before[weight.path]) == frozen, weight.path
