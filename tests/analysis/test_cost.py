"""Costs against hand computation and the published figures."""

import keras
import pytest

import keras_resnets
from keras_resnets.analysis import assert_same_cost, count_macs, count_parameters, layer_costs
from tests.models.once import once


def small_net():
    """Two convolutions and a classifier that can be reckoned on paper."""
    return keras.Sequential(
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


def test_a_small_net_by_hand():
    model = small_net()
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
    model = keras.applications.ResNet50(weights=None)
    assert round(count_macs(model) / 1e9, 4) == 3.8580
    assert count_parameters(model).total == 25_636_712


@once
def test_freezing_changes_no_count():
    model = keras_resnets.ResNet20()
    before = count_parameters(model), count_macs(model)
    model.trainable = False
    assert (count_parameters(model), count_macs(model)) == before


@once
def test_an_open_size_must_be_given():
    model = keras_resnets.ResNet20(input_shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"`input_shape` must be given.*Received"):
        count_macs(model)
    assert count_macs(model, input_shape=(32, 32, 3)) == count_macs(keras_resnets.ResNet20())


@once
@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 1), (None, 32, 3), (32, 32, 3, 1)])
def test_a_size_that_does_not_fit_is_refused(shape):
    model = keras_resnets.ResNet20(input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="`input_shape` must fit"):
        count_macs(model, input_shape=shape)


@once
def test_a_model_within_a_model_counts():
    backbone = keras_resnets.ResNet20(include_top=False, pooling="avg")
    model = keras.Sequential([keras.Input((32, 32, 3)), backbone, keras.layers.Dense(7)])
    macs = count_macs(keras_resnets.ResNet20())
    assert count_macs(model) == macs - 64 * 10 + 64 * 7
    assert count_parameters(model).trainable == 269_722 - 650 + 64 * 7 + 7
    assert layer_costs(model)[0].name == "resnet20/stem_conv/conv"


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


@once
def test_twins_under_option_a_cost_the_same():
    model = keras_resnets.ResNet20()
    assert assert_same_cost(model, keras_resnets.PlainNet20()) is None
    assert assert_same_cost(model, keras_resnets.plain_twin(model)) is None


@once
@pytest.mark.parametrize("factory", [keras_resnets.ResNet18, keras_resnets.ResNet34])
def test_under_option_b_the_three_projections_are_the_difference(factory):
    model = factory()
    with pytest.raises(AssertionError) as raised:
        assert_same_cost(model, keras_resnets.plain_twin(model))
    message = str(raised.value)
    assert "-173,824" in message
    assert [line.split("/")[0].strip() for line in message.splitlines() if "/conv:" in line] == [
        "stage2_block1",
        "stage3_block1",
        "stage4_block1",
    ]


@once
def test_equal_parameters_at_another_stride_are_not_the_same_cost():
    v1, v15 = keras_resnets.ResNet50(stride_on="1x1"), keras_resnets.ResNet50()
    with pytest.raises(AssertionError, match="multiply-adds") as raised:
        assert_same_cost(v15, v1)
    assert "parameters:" not in str(raised.value)
    assert "stage2_block1/conv1/conv" in str(raised.value)


@once
def test_many_differences_are_cut_short():
    with pytest.raises(AssertionError, match=r"and \d+ layers more"):
        assert_same_cost(keras_resnets.ResNet20(), keras_resnets.ResNet32())
