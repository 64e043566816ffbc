"""Normalizations folded into convolutions: the same answers, and nothing else has changed."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import Preprocessing, build_model, fuse_batch_norm, plain_twin, with_blocks
from keras_resnets.analysis import count_macs
from keras_resnets.layers import (
    BatchNormalization,
    ConvNorm,
    GatedBlock,
    OrderedBlock,
    ResidualBlock,
    StackedBlock,
)
from tests.backends import requires_channels_first
from tests.layer_checks import numpy, randomize
from tests.models.networks import SPECS, TINY, built, images
from tests.models.once import once


def check(model, x, tolerance=1e-5):
    before = model.get_weights()
    fused = fuse_batch_norm(model)
    expected = numpy(model(x))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(numpy(fused(x)), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_equal(model.get_weights(), before)
    return fused


def normalizations(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, BatchNormalization)]


@pytest.mark.parametrize("name", ["A", "B"])
def test_blocks_of_one_convolution_lose_their_shortcuts(name):
    spec = dataclasses.replace(SPECS[name], drop_path_rate=0.0, zero_init_residual=False)
    logits = build_model(spec, input_shape=(16, 16, 3), classifier_activation=None)
    model = with_blocks(logits, StackedBlock, depth=1)
    randomize(model)
    fused = check(model, images(2, 16, 16, 3))
    blocks = [layer for layer in fused.layers if isinstance(layer, StackedBlock)]
    assert len(blocks) == 3
    assert all(block.shortcut is None for block in blocks)
    # Nothing is left but the stem's, the blocks' and the classifier's kernel and bias.
    assert len(fused.weights) == 2 * (1 + 3 + 1)


@pytest.mark.parametrize("name", SPECS)
def test_the_answers_are_the_same(name):
    model = built(SPECS[name], include_top=False)
    fused = check(model, images(3, 16, 16, 3))
    assert normalizations(model)
    kept = {layer.name for layer in normalizations(fused)}  # those that follow no convolution
    assert kept == ({"start_norm", "post_norm"} if SPECS[name].pre_activation else set())
    assert keras_resnets.model_spec(fused) == keras_resnets.model_spec(model)
    assert [layer.name for layer in fused.layers] == [layer.name for layer in model.layers]
    assert count_macs(fused, (16, 16, 3)) == count_macs(model, (16, 16, 3))
    # Of four variables for each normalized channel, γ, β, mean and variance, one bias is left.
    channels = sum(layer.gamma.shape[0] for layer in normalizations(model))
    channels -= sum(layer.gamma.shape[0] for layer in normalizations(fused))
    assert fused.count_params() == model.count_params() - 3 * channels


@requires_channels_first
def test_channels_first():
    keras.config.set_image_data_format("channels_first")
    check(built(SPECS["C"], (3, 16, 16), include_top=False), images(2, 3, 16, 16))


def test_a_saved_fused_model_is_the_same(tmp_path):
    model = built(SPECS["C"], classes=3)
    keras_resnets.set_preprocessing(model, Preprocessing.imagenet(20, 16))
    fused = fuse_batch_norm(model, name="fused")
    fused.save(tmp_path / "fused.keras")
    loaded = keras.saving.load_model(tmp_path / "fused.keras")
    x = images(2, 16, 16, 3)
    np.testing.assert_array_equal(numpy(loaded(x)), numpy(fused(x)))
    assert loaded.name == "fused"
    assert keras_resnets.model_preprocessing(loaded) == Preprocessing.imagenet(20, 16)
    features = keras_resnets.feature_extractor(loaded)(x)
    for stage, expected in keras_resnets.feature_extractor(model)(x).items():
        np.testing.assert_allclose(numpy(features[stage]), numpy(expected), rtol=1e-4, atol=1e-4)


@once
@pytest.mark.parametrize(
    ("block", "options", "left"),
    [
        (GatedBlock, {"gate": "exclusive"}, 0),
        (OrderedBlock, {"order": "full_pre_activation"}, 2),  # one at the start of each block
        (OrderedBlock, {"order": "norm_after_addition"}, 2),
    ],
)
def test_other_blocks_keep_what_follows_no_convolution(block, options, left):
    model = with_blocks(built(TINY, include_top=False), block, **options)
    randomize(model)
    assert len(normalizations(check(model, images(2, 16, 16, 3), 1e-4))) == left


@once
def test_a_frozen_model_within_another_with_a_layer_that_has_learnt(rng):
    base = keras_resnets.freeze_backbone(built(TINY, include_top=False, pooling="avg"))
    scale = keras.layers.Normalization()
    scale.adapt(rng.normal(3.0, 2.0, size=(8, 16, 16, 3)))
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Dense(3)(base(scale(inputs))))
    fused = check(model, images(2, 16, 16, 3))
    assert not normalizations(fused)
    learnt = {weight.path for weight in scale.weights}
    assert {weight.path for weight in fused.weights if not weight.trainable} == learnt


def with_lora(model):
    """Gives each convolution LoRA of rank 2, whose second factor would begin at 0: no change."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D):
            layer.enable_lora(2, lora_alpha=3, b_initializer="ones")
    return model


@once
@pytest.mark.parametrize(
    ("depth", "options"), [(None, {}), (1, {}), (None, {"pre_activation": True, "se_ratio": 0.5})]
)
def test_what_lora_has_added_is_folded(depth, options):
    spec = dataclasses.replace(TINY, activation="elu", **options)
    model = built(spec, include_top=False)
    if depth:
        model = with_blocks(model, StackedBlock, depth=depth)
        randomize(model)
    x = images(2, 16, 16, 3)
    before = numpy(model(x))
    fused = check(with_lora(model), x, 1e-4)
    assert np.abs(numpy(model(x)) - before).max() > 0.1
    assert not any("lora" in weight.path for weight in fused.weights)


@once
def test_a_classifier_in_8_bits_stays_as_it_is():
    model = built(TINY, classes=3, classifier_activation=None)
    model.get_layer("predictions").quantize("int8")
    fused = fuse_batch_norm(model)
    features = images(4, 8)
    of_model, of_fused = (numpy(each.get_layer("predictions")(features)) for each in (model, fused))
    np.testing.assert_array_equal(of_fused, of_model)
    assert fused.get_layer("predictions")._kernel.dtype == "int8"


class Scaled(keras.layers.Wrapper):
    """A wrapper of one's own, with an argument of its own."""

    def __init__(self, layer, scale=1.0, **kwargs):
        super().__init__(layer, **kwargs)
        self.scale = scale

    def call(self, x):
        return self.scale * self.layer(x)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def video_model():
    """A network, behind a layer that has learnt, looks at each frame of a video, and back again."""
    scale = keras.layers.Normalization()
    scale.adapt(np.random.default_rng(0).normal(3.0, 2.0, size=(8, 16, 16, 3)))
    frame = keras.Input((16, 16, 3))
    network = built(SPECS["A"], include_top=False, pooling="avg")
    inner = keras.Model(frame, Scaled(network, 0.5)(scale(frame)), name="of_frames")
    video = keras.Input((3, 16, 16, 3))
    forward = keras.layers.TimeDistributed(inner)(video)
    backward = keras.layers.TimeDistributed(inner)(keras.ops.flip(video, axis=1))
    x = keras.layers.Concatenate()([forward, backward])
    x = keras.layers.Bidirectional(keras.layers.GRU(2))(x)
    return keras.Model(video, keras.layers.Dense(2)(x), name="video")


@once
def test_networks_within_wrappers_are_folded_or_lose_their_shortcuts():
    model = video_model()
    fused, twin = check(model, images(2, 3, 16, 16, 3)), plain_twin(model)
    assert not normalizations(fused)
    wrappers = [each for each in fused.layers if isinstance(each, keras.layers.TimeDistributed)]
    assert len(wrappers) == 2
    assert wrappers[0].layer is wrappers[1].layer  # one network, as before

    blocks = [each for each in twin._flatten_layers() if isinstance(each, ResidualBlock)]
    assert [block.shortcut for block in blocks] == [None] * 3
    learnt, copied = (
        [numpy(weight) for weight in each.weights if weight.name == "mean"]
        for each in (model, twin)
    )
    np.testing.assert_array_equal(copied, learnt)
    assert len(learnt) == 1


class Holder(keras.layers.Layer):
    """A layer of one's own that holds a network, which nobody else can replace."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.network = built(TINY, include_top=False)

    def call(self, x):
        return self.network(x)


@once
class TestErrors:
    @pytest.mark.parametrize("function", [fuse_batch_norm, plain_twin])
    def test_what_cannot_be_reached_is_named(self, function):
        x = keras.Input((16, 16, 3))
        with pytest.raises(ValueError, match=r"cannot be replaced. Received: 'hidden', a Holder"):
            function(keras.Model(x, Holder(name="hidden")(x)))

    @pytest.mark.parametrize(
        "function",
        [
            keras_resnets.freeze_backbone,
            keras_resnets.feature_extractor,
            keras_resnets.model_spec,
            lambda model: with_blocks(model, StackedBlock),
            lambda model: keras_resnets.analysis.layer_responses(model, images(1, 16, 16, 3)),
        ],
    )
    def test_what_needs_the_network_itself_names_the_wrapper(self, function):
        x = keras.Input((2, 16, 16, 3))
        network = build_model(TINY, include_top=False)
        wrapper = keras.layers.TimeDistributed(network, name="frames")
        with pytest.raises(ValueError, match="those within 'frames', a TimeDistributed, are not"):
            function(keras.Model(x, wrapper(x)))

    def test_what_has_no_convolution_of_ours_is_refused(self):
        with pytest.raises(ValueError, match="must have convolutions of this package"):
            fuse_batch_norm(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
        with pytest.raises(TypeError, match=r"must be a keras\.Model"):
            fuse_batch_norm(ConvNorm(1, 1))

    @pytest.mark.parametrize(
        "function", [fuse_batch_norm, plain_twin, lambda model: with_blocks(model, StackedBlock)]
    )
    def test_what_has_no_graph_is_refused(self, function):
        class Subclassed(keras.Model):
            def __init__(self):
                super().__init__()
                self.block = StackedBlock(2, depth=1)

            def call(self, x):
                return self.block(x)

        for model in (Subclassed(), keras.Sequential([StackedBlock(2, depth=1)])):
            with pytest.raises(TypeError, match=r"must be a keras\.Model, functional or Seq"):
                function(model)


@once
def test_16_bits_stay_16_bits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    fused = check(built(SPECS["B"], classes=3), images(2, 16, 16, 3), tolerance=0.02)
    assert fused.get_layer("stem_conv").conv.compute_dtype == "bfloat16"
    assert fused.get_layer("stem_conv").conv.kernel.dtype == "float32"
