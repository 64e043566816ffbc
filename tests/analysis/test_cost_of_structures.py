"""Costs of models that are more than a chain of layers, and of layers used in unusual ways."""

import dataclasses

import keras
import pytest

import keras_resnets
from keras_resnets import ResNetSpec, build_model
from keras_resnets.analysis import (
    assert_same_cost,
    count_macs,
    count_parameters,
    layer_costs,
    summarize,
)
from tests.models.once import once

SPEC = ResNetSpec(block="bottleneck", repeats=(1, 2), widths=(4, 6), shortcut="B")
# 7×7 convolution of 3 channels at 16×24 with 4 filters
STEM = 16 * 24 * 7 * 7 * 3 * 4
# At 8×12: 1×1 from 4 to 4 channels, 3×3, 1×1 to 16, and the projection to 16
STAGE1 = 8 * 12 * (4 * 4 + 9 * 4 * 4 + 4 * 16 + 4 * 16)
# 1×1 from 16 to 6 at 8×12; at 4×6 the rest, a projection from 16 to 24, and a second block
STAGE2 = 8 * 12 * 16 * 6 + 4 * 6 * (9 * 6 * 6 + 6 * 24 + 16 * 24) + 4 * 6 * (24 * 6 + 324 + 6 * 24)
HEAD = 24 * 5


def network(**arguments):
    return build_model(SPEC, **{"input_shape": (32, 48, 3), "classes": 5, **arguments})


def test_a_network_by_hand():
    model = network()
    assert count_macs(model) == STEM + STAGE1 + STAGE2 + HEAD
    assert [(row.name, row.macs) for row in summarize(model).rows] == [
        ("stem", STEM),
        ("stage1", STAGE1),
        ("stage2", STAGE2),
        ("head", HEAD),
    ]
    kernels = 147 * 4 + 16 + 144 + 64 + 64 + 96 + 324 + 144 + 384 + 144 + 324 + 144
    channels = 4 + (4 + 4 + 16 + 16) + (6 + 6 + 24 + 24) + (6 + 6 + 24)
    trainable = kernels + 2 * channels + 24 * 5 + 5
    assert count_parameters(model) == (trainable, trainable + 2 * channels)


@once
def test_the_layers_add_up():
    model = network()
    costs = layer_costs(model)
    assert sum(cost.parameters for cost in costs) == count_parameters(model).trainable
    assert sum(cost.macs for cost in costs) == count_macs(model)
    assert len({cost.name for cost in costs}) == len(costs)


@once
def test_dilation_costs_multiply_adds():
    """The last stage works at 8×12 instead of 4×6."""
    spec = dataclasses.replace(SPEC, output_stride=4)
    model = build_model(spec, input_shape=(32, 48, 3), classes=5)
    stage2 = 8 * 12 * (16 * 6 + 324 + 6 * 24 + 16 * 24 + 24 * 6 + 324 + 6 * 24)
    assert count_macs(model) == STEM + STAGE1 + stage2 + HEAD


@pytest.mark.parametrize("shape", [(32, 48, 3), [32, 48, 3]])
def test_an_open_size(shape):
    model = network(input_shape=(None, None, 3))
    assert count_macs(model, shape) == STEM + STAGE1 + STAGE2 + HEAD
    assert count_macs(network(input_shape=(None, 48, 3)), shape) == count_macs(model, shape)
    assert model.input_shape == (None, None, None, 3)


@once
@pytest.mark.parametrize("shape", [32, "32", (32.0, 48, 3), (0, 48, 3), (-32, 48, 3)])
def test_a_bad_size_is_named(shape):
    with pytest.raises((TypeError, ValueError), match=r"`input_shape`.*input_shape="):
        count_macs(network(input_shape=(None, None, 3)), shape)


@once
def test_channels_first():
    keras.config.set_image_data_format("channels_first")
    assert count_macs(network(input_shape=(3, 32, 48))) == STEM + STAGE1 + STAGE2 + HEAD
    model = network(input_shape=(3, None, None))
    assert count_macs(model, (3, 32, 48)) == STEM + STAGE1 + STAGE2 + HEAD


@once
def test_images_that_are_prepared_first():
    inputs = keras.Input((32, 48, 1))
    x = keras.layers.Conv2D(3, 1, name="colours")(keras.layers.Rescaling(1 / 255)(inputs))
    model = network(input_tensor=x, input_shape=None)
    assert count_macs(model) == 32 * 48 * 3 + STEM + STAGE1 + STAGE2 + HEAD
    rows = summarize(model).rows
    assert [row.name for row in rows][1:] == ["stem", "stage1", "stage2", "head"]
    assert rows[0].macs == 32 * 48 * 3
    assert rows[-1].macs == HEAD
    assert rows[-1].output_shape == (5,)


@once
def test_a_network_within_a_network():
    backbone = network(input_shape=(None, None, 3), include_top=False, classes=None)
    inputs = keras.Input((32, 48, 3))
    x = keras.layers.GlobalMaxPooling2D()(backbone(inputs))
    inner = keras.Model(inputs, keras.layers.Dense(5)(x), name="inner")
    outer = keras.Sequential([keras.Input((32, 48, 3)), inner, keras.layers.Dense(2)])
    assert count_macs(inner) == STEM + STAGE1 + STAGE2 + HEAD
    assert count_macs(outer) == count_macs(inner) + 5 * 2
    open_size = keras.Sequential([keras.Input((None, None, 3)), backbone])
    assert count_macs(open_size, (32, 48, 3)) == STEM + STAGE1 + STAGE2
    table = summarize(outer)
    assert sum(row.macs for row in table.rows) == count_macs(outer)
    assert sum(row.share for row in table.rows) == pytest.approx(1.0)


def test_a_layer_used_twice_works_twice():
    """Its parameters are there once, its multiply-adds are done twice."""
    inputs = keras.Input((6,))
    dense = keras.layers.Dense(6)
    model = keras.Model(inputs, dense(dense(inputs)))
    assert count_parameters(model).trainable == 42
    assert count_macs(model) == 2 * 36


@once
def test_a_layer_used_at_two_sizes():
    """As a detector's head that all levels share."""
    inputs = keras.Input((8, 8, 2))
    shared = keras.layers.Conv2D(2, 3, padding="same")
    small = shared(keras.layers.AveragePooling2D(2)(inputs))
    model = keras.Model(inputs, [shared(inputs), small])
    assert count_macs(model) == (64 + 16) * 36


@once
def test_a_layer_with_two_inputs_is_named():
    inputs = keras.Input((8, 4))
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    with pytest.raises(TypeError, match=r"'attention', a MultiHeadAttention"):
        count_macs(keras.Model(inputs, x))


@once
@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.DepthwiseConv2D(3),
        keras.layers.SeparableConv2D(4, 3),
        keras.layers.Conv2DTranspose(4, 3),
        keras.layers.TimeDistributed(keras.layers.Dense(3)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_of_unknown_cost_is_named(layer):
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(TypeError, match=rf"'{layer.name}', a {type(layer).__name__}"):
        count_macs(model)


@once
def test_a_subclassed_model_is_refused():
    class Net(keras.Model):
        def call(self, x):
            return x

    for model in (Net(name="net"), keras.Sequential([keras.layers.Dense(2)], name="net")):
        with pytest.raises(TypeError, match=r"functional.*'net'"):
            count_macs(model)


@once
def test_two_inputs_are_refused():
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], keras.layers.Dense(2)(keras.layers.Add()([a, b])), name="net")
    with pytest.raises(TypeError, match=r"one input.*'net'"):
        count_macs(model)


@once
def test_statistics_are_no_parameters():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Normalization()])
    assert count_parameters(model).trainable == 0
    model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization(renorm=True)])
    assert count_parameters(model).trainable == 2 * 6


@once
def test_seeds_are_no_parameters():
    plain, dropping = (
        build_model(dataclasses.replace(SPEC, drop_path_rate=rate), classes=5)
        for rate in (0.0, 0.2)
    )
    assert count_parameters(plain) == count_parameters(dropping)
    assert_same_cost(plain, dropping)


@once
@pytest.mark.parametrize("bn", ["inference", "train"])
def test_a_frozen_backbone_counts_the_same(bn):
    model = network()
    expected = count_parameters(model), count_macs(model), str(summarize(model))
    keras_resnets.freeze_backbone(model, bn)
    assert (count_parameters(model), count_macs(model), str(summarize(model))) == expected


@once
def test_assert_same_cost_checks_its_arguments():
    model = network()
    with pytest.raises(TypeError, match=r"`a` must be a keras\.Model.*a='net'"):
        assert_same_cost("net", model)
    with pytest.raises(TypeError, match=r"`b` must be a keras\.Model.*b=None"):
        assert_same_cost(model, None)


@once
def test_a_model_without_multiply_adds_has_a_table():
    model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
    assert [row.macs for row in summarize(model).rows] == [0]
