"""Costs against hand computation and the published figures; of chains, graphs, and by stage."""

import dataclasses

import keras
import pytest

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


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def of_any_size():
    return network(input_shape=(None, None, 3))


def test_a_small_net_by_hand():
    model = keras.Sequential(
        [
            keras.Input((8, 6, 3)),
            keras.layers.Conv2D(4, 3, padding="same", name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(10, (1, 3), strides=2, use_bias=False, name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, name="dense"),
        ]
    )

    assert count_parameters(model) == (
        (3 * 3 * 3 * 4 + 4) + 2 * 4 + 3 * 4 * 10 + (4 * 2 * 10 * 5 + 5),
        (3 * 3 * 3 * 4 + 4) + 4 * 4 + 3 * 4 * 10 + (4 * 2 * 10 * 5 + 5),
    )
    first, second, dense = 8 * 6 * 27 * 4, 4 * 2 * 12 * 10, 80 * 5
    assert [(cost.name, cost.macs) for cost in layer_costs(model)] == [
        ("first", first),
        ("norm", 0),
        ("second", second),
        ("dense", dense),
    ]
    assert count_macs(model) == first + second + dense


def test_grouped_convolutions_cost_a_group_s_share():
    inputs = keras.Input((4, 4, 8))
    model = keras.Model(inputs, keras.layers.Conv2D(16, 3, groups=4, padding="same")(inputs))
    assert count_macs(model) == 16 * (3 * 3 * 2 * 16)


@once
def test_the_paper_s_figure_for_keras_applications_resnet50():
    with keras.StatelessScope(initialize_variables=False):  # ten times as fast
        model = keras.applications.ResNet50(weights=None)
    assert round(count_macs(model) / 1e9, 4) == 3.8580
    assert count_parameters(model).total == 25_636_712


@once
def test_an_unknown_layer_with_weights_is_named():
    inputs = keras.Input((8, 4))
    model = keras.Model(inputs, keras.layers.LSTM(3, name="memory")(inputs))
    with pytest.raises(TypeError, match=r"Received: 'memory', a LSTM"):
        count_macs(model)


@once
@pytest.mark.parametrize("function", [count_parameters, count_macs, layer_costs])
def test_what_is_no_model_is_refused(function):
    with pytest.raises(TypeError, match=r"`model` must be a keras\.Model"):
        function("resnet20")


def test_a_network_by_hand(model):
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
def test_dilation_costs_multiply_adds():
    """The last stage works at 8×12 instead of 4×6."""
    spec = dataclasses.replace(SPEC, output_stride=4)
    model = build_model(spec, input_shape=(32, 48, 3), classes=5)
    stage2 = 8 * 12 * (16 * 6 + 324 + 6 * 24 + 16 * 24 + 24 * 6 + 324 + 6 * 24)
    assert count_macs(model) == STEM + STAGE1 + stage2 + HEAD


@once
def test_channels_first():
    keras.config.set_image_data_format("channels_first")
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
    assert layer_costs(inner)[0].name == f"{backbone.name}/stem_conv/conv"
    open_size = keras.Sequential([keras.Input((None, None, 3)), backbone])
    assert count_macs(open_size, (32, 48, 3)) == STEM + STAGE1 + STAGE2
    rows = summarize(outer).rows
    assert sum(row.macs for row in rows) == count_macs(outer)
    assert sum(row.parameters for row in rows) == count_parameters(outer).trainable
    assert sum(row.share for row in rows) == pytest.approx(1.0)


@once
def test_a_layer_used_at_two_sizes():
    """It works twice, and its weights are there once; as a detector's head for all levels."""
    inputs = keras.Input((8, 8, 2))
    shared = keras.layers.Conv2D(2, 3, padding="same")
    small = shared(keras.layers.AveragePooling2D(2)(inputs))
    model = keras.Model(inputs, [shared(inputs), small])
    assert count_macs(model) == (64 + 16) * 36
    assert [cost.parameters for cost in layer_costs(model)] == [36 + 2, 0]


@once
def test_a_layer_with_two_inputs_is_named():
    inputs = keras.Input((8, 4))
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    with pytest.raises(TypeError, match=r"'attention', a MultiHeadAttention"):
        count_macs(keras.Model(inputs, x))


@once
def test_a_model_without_multiply_adds_has_a_table():
    model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
    assert [row.macs for row in summarize(model).rows] == [0]
    without_weights = keras.Sequential([keras.Input((6,)), keras.layers.ReLU()])
    assert str(summarize(without_weights)).split()[-4:] == ["total", "0", "0", "0.0%"]


@pytest.mark.parametrize("shape", [(32, 48, 3), [32, 48, 3]])
def test_an_open_size_must_be_given(shape, of_any_size):
    with pytest.raises(ValueError, match=r"`input_shape` must be given.*Received"):
        count_macs(of_any_size)
    assert count_macs(of_any_size, shape) == STEM + STAGE1 + STAGE2 + HEAD
    assert of_any_size.input_shape == (None, None, None, 3)
    assert summarize(of_any_size, shape).rows[-2].output_shape == (4, 6, 24)


@once
@pytest.mark.parametrize(
    "shape",
    [
        *(32, "32", (32.0, 48, 3), (0, 48, 3), (-32, 48, 3)),
        *((32, 32), (32, 32, 1), (None, 32, 3), (32, 32, 3, 1)),
    ],
)
def test_a_size_that_does_not_fit_is_refused(shape, of_any_size):
    with pytest.raises((TypeError, ValueError), match=r"`input_shape`.*input_shape="):
        count_macs(of_any_size, shape)


@once
def test_equal_parameters_at_another_stride_are_not_the_same_cost(model):
    v1 = build_model(dataclasses.replace(SPEC, stride_on="1x1"), input_shape=(32, 48, 3), classes=5)
    with pytest.raises(AssertionError, match="multiply-adds") as raised:
        assert_same_cost(model, v1)
    assert "parameters:" not in str(raised.value)
    assert "stage2_block1/conv1/conv" in str(raised.value)


@once
def test_many_differences_are_cut_short(model):
    deeper = dataclasses.replace(SPEC, repeats=(1, 4))
    with pytest.raises(AssertionError, match=r"and \d+ layers more"):
        assert_same_cost(model, build_model(deeper, input_shape=(32, 48, 3), classes=5))


@once
def test_assert_same_cost_checks_its_arguments(model):
    with pytest.raises(TypeError, match=r"`a` must be a keras\.Model.*a='net'"):
        assert_same_cost("net", model)
    with pytest.raises(TypeError, match=r"`b` must be a keras\.Model.*b=None"):
        assert_same_cost(model, None)
