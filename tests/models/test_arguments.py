"""The arguments that every factory shares with `keras.applications.ResNet50`."""

import dataclasses
import inspect
import re
import typing

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import ResNet20, ResNetSpec, build_model
from keras_resnets.models import factories
from tests.backends import requires_channels_first
from tests.layer_checks import numpy
from tests.models.networks import BOTTLENECK, built, images
from tests.models.once import once

PUBLISHED = inspect.signature(keras.applications.ResNet50).parameters
without_values = pytest.mark.usefixtures("without_values")


@pytest.mark.parametrize(
    ("factory", "typed"),
    [
        (keras_resnets.ResNet34, factories.ResNetOptions),
        (keras_resnets.PlainNet34, factories.PlainNetOptions),
    ],
)
def test_type_checkers_know_every_option(factory, typed):
    options = list(inspect.signature(factory).parameters)[len(PUBLISHED) :]
    assert typing.get_type_hints(typed).keys() == set(options)


@pytest.mark.parametrize("name", keras_resnets.VARIANTS)
def test_the_signature_of_a_factory(name):
    [factory] = [value for key, value in vars(keras_resnets).items() if key.lower() == name]
    parameters = inspect.signature(factory).parameters
    shared, options = list(parameters)[: len(PUBLISHED)], list(parameters)[len(PUBLISHED) :]
    assert shared == list(PUBLISHED)
    for argument in shared:
        assert parameters[argument].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if argument not in ("weights", "classes", "name"):
            assert parameters[argument].default == PUBLISHED[argument].default, argument
    assert parameters["weights"].default is None
    assert parameters["classes"].default is None  # which follows the stem, as the size does
    assert parameters["name"].default == name
    fields = set(ResNetSpec.__dataclass_fields__)
    assert set(options) <= fields
    if keras_resnets.VARIANTS[name].shortcut is not None:
        assert set(options) == fields - {"block", "repeats", "widths"}
    for option in options:
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[option].default == getattr(keras_resnets.VARIANTS[name], option), option

    _, _, rest = inspect.getdoc(factory).partition("\nArgs:\n")
    section, _, rest = rest.partition("\n\n")
    described = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE))
    assert list(described) == list(parameters)
    assert all(text.count("\n") < 3 and text.endswith(".") for text in described.values())
    assert rest.startswith("Returns:\n")


@without_values
def test_by_position():
    assert list(inspect.signature(build_model).parameters) == ["spec", *PUBLISHED]
    model = ResNet20(True, None, None, (16, 24, 1), None, 7, None, "net")
    assert model.input_shape == (None, 16, 24, 1)
    assert model.output_shape == (None, 7)
    assert model.layers[-1].activation is keras.activations.linear
    assert model.name == "net"


class TestTop:
    @once
    @without_values
    @pytest.mark.parametrize(
        ("stem", "size", "classes"), [("imagenet", 224, 1000), ("cifar", 32, 10)]
    )
    def test_sizes_and_classes_follow_the_stem(self, stem, size, classes):
        model = build_model(dataclasses.replace(BOTTLENECK, stem=stem))
        assert model.input_shape == (None, size, size, 3)
        assert model.output_shape == (None, classes)

    @without_values
    def test_without_top(self):
        model = build_model(BOTTLENECK, include_top=False)
        assert model.input_shape == (None, None, None, 3)
        assert model.output_shape == (None, None, None, 32)
        assert model.layers[-1].name == "stage2_block1"

    def test_the_feature_map_is_pooled_and_classified(self):
        """Classified after average pooling, by one layer."""
        model = built(BOTTLENECK, (None, None, 3), classes=5)
        *weights, kernel, bias = model.get_weights()
        heads = [
            build_model(BOTTLENECK, include_top=False, pooling=pooling)
            for pooling in (None, "avg", "max")
        ]
        for head in heads:
            head.set_weights(weights)
        assert [head.layers[-1].name for head in heads[1:]] == ["avg_pool", "max_pool"]
        for height, width in [(8, 8), (45, 19)]:
            x = images(3, height, width, 3)
            features, averages, maxima = (numpy(head(x)) for head in heads)
            np.testing.assert_allclose(averages, features.mean((1, 2)), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(maxima, features.max((1, 2)), rtol=1e-5, atol=1e-6)
            logits = averages @ kernel + bias
            expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            np.testing.assert_allclose(numpy(model(x)), expected, rtol=1e-4, atol=1e-6)

    @without_values
    @pytest.mark.parametrize(
        ("activation", "function"),
        [
            ("sigmoid", keras.activations.sigmoid),
            (None, keras.activations.linear),
            (keras.activations.tanh, keras.activations.tanh),
        ],
    )
    def test_classifier_activation(self, activation, function):
        model = build_model(BOTTLENECK, classifier_activation=activation)
        assert model.layers[-1].name == "predictions"
        assert model.layers[-1].activation is function


class TestInputs:
    @once
    @pytest.mark.parametrize(("stem", "least"), [("imagenet", 8), ("cifar", 2)])
    def test_least_size(self, stem, least):
        spec = dataclasses.replace(BOTTLENECK, stem=stem, output_stride=least // 2)
        for include_top in (True, False):
            model = build_model(spec, include_top, input_shape=(least, least, 3))
            assert model.input_shape == (None, least, least, 3)
            for shape in [(least - 1, least, 3), (least, least - 1, 3), (None, least - 1, 3)]:
                with pytest.raises(ValueError, match=rf"`input_shape`.*at least {least}"):
                    build_model(spec, include_top, input_shape=shape)
        x = images(1, least, least, 3)
        assert np.all(np.isfinite(numpy(model(x))))

    def test_input_tensor_with_layers_before_it(self):
        pixels = keras.Input((16, 16, 1), name="pixels")
        x = keras.layers.Rescaling(1 / 255)(pixels)
        x = keras.layers.Concatenate()([x, x, x])
        model = build_model(BOTTLENECK, input_tensor=x, classes=3)
        bare = build_model(BOTTLENECK, input_shape=(16, 16, 3), classes=3)
        bare.set_weights(model.get_weights())
        assert len(model.inputs) == 1
        assert model.inputs[0] is pixels
        assert model.input_shape == (None, 16, 16, 1)
        x = images(2, 16, 16, 1)
        expected = numpy(bare(np.concatenate([x] * 3, axis=-1)))
        np.testing.assert_allclose(numpy(model(255 * x)), expected, rtol=1e-4)

    def test_input_tensor_from_two_sources(self):
        left, right = keras.Input((16, 16, 1), name="left"), keras.Input((16, 16, 2), name="right")
        x = keras.layers.Concatenate()([left, right])
        model = build_model(BOTTLENECK, input_tensor=x, classes=3)
        assert {tensor.name for tensor in model.inputs} == {"left", "right"}
        by_name = {"left": images(1, 16, 16, 1), "right": images(1, 16, 16, 2)}
        assert numpy(model([by_name[tensor.name] for tensor in model.inputs])).shape == (1, 3)

    @without_values
    def test_input_tensor_and_a_shape_that_agrees(self):
        inputs = keras.Input((None, 16, 3))
        model = build_model(BOTTLENECK, input_tensor=inputs, input_shape=(16, None, 3))
        assert model.input_shape == (None, None, 16, 3)

    def test_input_tensor_of_bytes(self):
        x = keras.layers.Rescaling(1 / 255)(keras.Input((16, 16, 3), dtype="uint8"))
        model = build_model(BOTTLENECK, input_tensor=x, classes=3)
        pixels = (255 * np.abs(images(2, 16, 16, 3))).astype("uint8")
        assert np.all(np.isfinite(numpy(model(pixels))))


class TestChannelsFirst:
    @pytest.fixture(autouse=True)
    def channels_first(self):
        keras.config.set_image_data_format("channels_first")

    def test_without_top(self):
        model = build_model(BOTTLENECK, include_top=False)
        assert model.input_shape == (None, 3, None, None)
        assert model.output_shape == (None, 32, None, None)
        with pytest.raises(
            ValueError, match=r"`input_shape`.*number of channels.*\(None, 16, 16\)"
        ):
            build_model(BOTTLENECK, input_shape=(None, 16, 16))
        with pytest.raises(ValueError, match=r"`input_shape`.*at least 8.*\(16, 16, 3\)"):
            build_model(BOTTLENECK, input_shape=(16, 16, 3))

    @requires_channels_first
    @pytest.mark.parametrize(
        ("options", "include_top"),
        [
            ({"shortcut": "A", "zero_pad": "both"}, True),
            ({"shortcut": "C", "drop_path_rate": 0.1}, False),
            ({"stride_on": "1x1", "output_stride": 4}, False),
        ],
    )
    def test_outputs(self, options, include_top):
        spec = dataclasses.replace(BOTTLENECK, repeats=(1, 2), **options)
        first = built(spec, (3, None, None), include_top=include_top)
        keras.config.set_image_data_format("channels_last")
        last = build_model(spec, input_shape=(None, None, 3), include_top=include_top)
        last.set_weights(first.get_weights())
        x = images(2, 17, 22, 3)
        expected, actual = numpy(last(x)), numpy(first(x.transpose(0, 3, 1, 2)))
        if not include_top:
            actual = actual.transpose(0, 2, 3, 1)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("policy", "activation"), [("mixed_bfloat16", "softmax"), ("float16", None)]
)
def test_answers_are_float32_in_16_bits(policy, activation):
    keras.config.set_dtype_policy(policy)
    model = build_model(
        BOTTLENECK, input_shape=(16, 16, 3), classes=7, classifier_activation=activation
    )
    assert model.get_layer("stage2_block1").output.dtype == policy.removeprefix("mixed_")
    assert model.output.dtype == "float32"
    outputs = model(images(2, 16, 16, 3))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    outputs = numpy(outputs)
    assert np.all(np.isfinite(outputs))
    if activation == "softmax":
        # bfloat16 would be off by some 1e-3
        np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)
