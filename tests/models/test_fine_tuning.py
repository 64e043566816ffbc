"""Freezing the backbone: what is frozen does not move, and the rest learns."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_resnets import build_model, freeze_backbone, unfreeze
from tests.layer_checks import numpy
from tests.models.networks import TINY
from tests.models.once import once

PRE = dataclasses.replace(TINY, pre_activation=True, se_ratio=0.5)


def small(spec=TINY, **arguments):
    return build_model(spec, input_shape=(8, 8, 3), **arguments)


def images(rng, channels=3):
    return rng.normal(3.0, 2.0, (16, 8, 8, channels)).astype("float32")


def train(model, *inputs):
    """Trains for one step; returns the paths of the weights that have changed."""
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    before = {weight.path: numpy(weight) for weight in model.weights}
    model.train_on_batch(list(inputs) if len(inputs) > 1 else inputs[0], np.arange(16) % 3)
    return {
        weight.path
        for weight in model.weights
        if not np.array_equal(before[weight.path], numpy(weight))
    }


def convolutions(model):
    return {weight.path for weight in model.weights if "/conv/kernel" in weight.path}


def everything(model):
    return {weight.path for weight in model.weights}


@pytest.mark.parametrize("spec", [TINY, PRE])
def test_in_inference_mode_nothing_but_the_head_moves(spec, rng):
    model = small(spec, classes=3)
    assert freeze_backbone(model) is model
    x = images(rng)
    assert train(model, x) == {"predictions/kernel", "predictions/bias"}
    # The moving statistics are used in training, too.
    np.testing.assert_array_equal(numpy(model(x, training=True)), numpy(model(x, training=False)))


def test_in_training_mode_only_the_convolutions_stay(rng):
    model = freeze_backbone(small(classes=3), bn="train")
    norm, x = model.get_layer("stem_conv").norm, images(rng)
    mean = numpy(keras.ops.mean(model.get_layer("stem_conv").conv(x), axis=(0, 1, 2)))
    before = np.abs(numpy(norm.moving_mean) - mean)
    assert train(model, x) == everything(model) - convolutions(model)
    assert len(convolutions(model)) == 1 + 2 * 2 + 1
    np.testing.assert_array_less(np.abs(numpy(norm.moving_mean) - mean), before)


def test_the_normalization_before_the_head_is_of_the_backbone(rng):
    model = freeze_backbone(small(PRE, classes=3), bn="train")
    still = {w.path for w in model.weights if "/excitation/" in w.path} | convolutions(model)
    assert train(model, images(rng)) == everything(model) - still
    assert {f"post_norm/{name}" for name in ("gamma", "moving_mean")} <= everything(model) - still
    moved = train(unfreeze(freeze_backbone(model), from_stage=2), images(rng))
    assert {path.split("/")[0] for path in moved} == {"stage2_block1", "post_norm", "predictions"}


def test_unfreezing_trains_everything_again(rng):
    model = unfreeze(freeze_backbone(small(classes=3)))
    assert train(model, images(rng)) == everything(model)


@pytest.mark.usefixtures("without_values")
@pytest.mark.parametrize(("first", "second"), [("inference", "train"), ("train", "inference")])
def test_the_second_call_decides(first, second):
    model = freeze_backbone(freeze_backbone(small(classes=3), bn=first), bn=second)
    expected = freeze_backbone(small(classes=3), bn=second)
    assert [weight.path for weight in model.trainable_weights] == [
        weight.path for weight in expected.trainable_weights
    ]
    clone = keras.models.clone_model(model)  # knows what the layers' configurations say
    assert len(clone.trainable_weights) == len(expected.trainable_weights)


@once
def test_what_is_built_upon_the_backbone_and_beside_it_learns(rng):
    """Only what leads to the last block is backbone."""
    backbone = freeze_backbone(small(include_top=False, pooling="avg"))
    assert backbone.trainable_weights == []
    facts = keras.Input((5,))
    beside = facts
    for index in range(1, 6):
        beside = keras.layers.Dense(4, "tanh", name=f"facts{index}")(beside)
    x = keras.layers.Concatenate()([backbone.output, beside])
    x = keras.layers.BatchNormalization(name="head_norm")(x)
    outputs = keras.layers.Dense(3, "softmax", name="answer")(x)
    model = freeze_backbone(keras.Model([backbone.input, facts], outputs))
    changed = train(model, images(rng), rng.normal(size=(16, 5)).astype("float32"))
    learns = {"head_norm", "answer", *(f"facts{index}" for index in range(1, 6))}
    assert {path.split("/")[0] for path in changed} == learns


@once
def test_what_prepares_the_images_belongs_to_the_backbone(rng):
    x = keras.layers.Conv2D(3, 1, name="colours")(keras.Input((8, 8, 1)))
    x = keras.layers.BatchNormalization(name="first")(x)
    model = build_model(TINY, input_tensor=x, classes=3)
    freeze_backbone(model)
    assert train(model, images(rng, channels=1)) == {"predictions/kernel", "predictions/bias"}
    freeze_backbone(model, bn="train")
    kernels = {*convolutions(model), "colours/kernel", "colours/bias"}
    assert train(model, images(rng, channels=1)) == everything(model) - kernels


@pytest.mark.parametrize("bn", ["Inference", None, True])
def test_another_mode_is_refused(bn):
    with pytest.raises(ValueError, match=r"`bn` must be one of 'inference', 'train'.*Received"):
        freeze_backbone(small(), bn=bn)


@pytest.mark.parametrize("is_whole_frozen", [False, True])
def test_from_a_stage_on_it_trains_and_nothing_before(rng, is_whole_frozen):
    model = small(classes=3)
    if is_whole_frozen:
        model.trainable = False
    else:
        freeze_backbone(model)
    assert unfreeze(model, from_stage=2) is model
    moved = train(model, images(rng))
    expected = {w.path for w in model.weights if w.path.startswith(("stage2", "predictions"))}
    assert moved == expected


@pytest.mark.parametrize(("stage", "error"), [(0, ValueError), (3, ValueError), ("2", TypeError)])
def test_a_stage_that_is_not_there_is_an_error(stage, error):
    with pytest.raises(error, match=r"`from_stage` must be.*Received: from_stage="):
        unfreeze(small(classes=3), from_stage=stage)
