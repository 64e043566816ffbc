"""Freezing the backbone: what stays put does so, and what is to learn learns."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import freeze_backbone, unfreeze
from tests.layer_checks import numpy


def small(**arguments):
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(1, 1), widths=(4, 8), stem="cifar", shortcut="B"
    )
    return keras_resnets.build_model(spec, input_shape=(8, 8, 3), **arguments)


def fit(model, rng):
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    images = rng.normal(3.0, 2.0, size=(16, 8, 8, 3)).astype("float32")
    before = {weight.path: np.array(weight) for weight in model.weights}
    model.fit(images, np.arange(16) % 3, batch_size=8, epochs=2, verbose=0)
    return {
        weight.path for weight in model.weights if not np.array_equal(before[weight.path], weight)
    }


def test_in_inference_mode_nothing_but_the_head_moves(rng):
    model = freeze_backbone(small(classes=3))
    assert fit(model, rng) == {"predictions/kernel", "predictions/bias"}


def test_frozen_normalization_uses_the_moving_statistics_also_in_training(rng):
    model = freeze_backbone(small(classes=3))
    images = rng.normal(3.0, 2.0, size=(4, 8, 8, 3)).astype("float32")
    in_training, in_inference = (numpy(model(images, training=mode)) for mode in (True, False))
    np.testing.assert_array_equal(in_training, in_inference)


def test_in_training_mode_only_the_convolutions_stay(rng):
    model = freeze_backbone(small(classes=3), bn="train")
    moved = fit(model, rng)
    convolutions = {weight.path for weight in model.weights if "/conv/kernel" in weight.path}
    assert moved == {weight.path for weight in model.weights} - convolutions
    assert len(convolutions) == 1 + 2 * 2 + 1


def test_what_is_built_upon_the_backbone_is_trained(rng):
    backbone = small(include_top=False, pooling="avg")
    freeze_backbone(backbone)
    assert backbone.trainable_weights == []
    model = keras.Sequential([backbone, keras.layers.Dense(3, activation="softmax", name="new")])
    assert all(path.endswith(("new/kernel", "new/bias")) for path in fit(model, rng))


@pytest.mark.parametrize("bn", ["inference", "train"])
def test_unfreezing_trains_everything_again(rng, bn):
    model = unfreeze(freeze_backbone(small(classes=3), bn=bn))
    assert fit(model, rng) == {weight.path for weight in model.weights}


@pytest.mark.parametrize(("first", "second"), [("inference", "train"), ("train", "inference")])
def test_the_second_call_decides(first, second):
    model = freeze_backbone(freeze_backbone(small(classes=3), bn=first), bn=second)
    expected = freeze_backbone(small(classes=3), bn=second)
    assert [weight.path for weight in model.trainable_weights] == [
        weight.path for weight in expected.trainable_weights
    ]
    clone = keras.models.clone_model(model)  # knows what the layers' configurations say
    assert len(clone.trainable_weights) == len(expected.trainable_weights)


@pytest.mark.parametrize("bn", ["Inference", None, True, "eval"])
def test_another_mode_is_refused(bn):
    with pytest.raises(ValueError, match=r"`bn` must be one of 'inference', 'train'.*Received"):
        freeze_backbone(small(), bn=bn)


def test_another_package_s_model_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="residual blocks named stage1_block1"):
        freeze_backbone(model)
