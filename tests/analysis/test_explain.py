"""Deviations from He et al., 2015: none in the paper's networks, each of the others by name."""

import keras
import pytest

import keras_resnets
from keras_resnets.analysis import explain
from tests.models.once import once

pytestmark = once

# From the paper: sections 3.3 and 4.1 (table 2: option A for 18 and 34 layers; 50 and more:
# option B, strides on the first 1×1). The CIFAR networks are the paper's by default (section 4.2).
PAPER = {
    "resnet18": {"shortcut": "A"},
    "resnet34": {"shortcut": "A"},
    "resnet50": {"shortcut": "B", "stride_on": "1x1"},
}


def points(model):
    return [deviation.what for deviation in explain(model).deviations]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_configuration_does_not_deviate(name):
    model = keras_resnets.create_model(name, **PAPER[name])
    assert explain(model).deviations == ()
    assert str(explain(model)) == f"{name} is a network of He et al., 2015."


@pytest.mark.parametrize("option", ["A", "B", "C"])
def test_the_paper_compares_the_options_on_34_layers_only(option):
    assert points(keras_resnets.ResNet34(shortcut=option)) == []
    assert points(keras_resnets.ResNet20(shortcut=option)) == ["shortcut"] * (option != "A")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"activation": "gelu"}, ["activation"]),
        ({"zero_init_residual": True}, ["first γ of a branch's last normalization"]),
        ({"drop_path_rate": 0.2}, ["drop path"]),
        ({"output_stride": 2}, ["dilation"]),
        ({"stem": "imagenet", "input_shape": (32, 32, 3), "classes": 10}, ["stem"]),
        ({"input_shape": (64, 32, 3)}, ["input"]),
        ({"input_shape": (None, None, 3)}, ["input"]),
        ({"classes": 100}, ["classes"]),
        ({"classifier_activation": None}, ["activation of the classifier"]),
        ({"include_top": False, "input_shape": (32, 32, 3)}, ["head"]),
        ({"shortcut": "B", "activation": "elu"}, ["activation", "shortcut"]),
    ],
)
def test_each_option_is_one_point(options, expected):
    assert points(keras_resnets.ResNet20(**options)) == expected


def test_a_depth_without_a_result_in_the_paper():
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(4, 4, 4), widths=(16, 32, 64), stem="cifar", shortcut="A"
    )
    (deviation,) = explain(keras_resnets.build_model(spec)).deviations
    assert deviation.here == "residual BasicBlocks, repeats (4, 4, 4) with widths (16, 32, 64)"


def test_the_dilation_is_named():
    model = keras_resnets.ResNet20(output_stride=1)
    (deviation,) = explain(model).deviations
    assert deviation.here == "up to 4, in the place of strides"


def test_a_changed_normalization_is_seen():
    model = keras_resnets.ResNet20()
    model.get_layer("stage2_block1").conv1.norm.momentum = 0.99
    (deviation,) = explain(model).deviations
    assert deviation.here == "momentum 0.99 and ε 1e-05"


def test_a_function_of_ones_own_is_called_by_its_name():
    def halved(x):
        return x / 2

    (deviation,) = explain(keras_resnets.ResNet20(classifier_activation=halved)).deviations
    assert deviation.here == "halved"


def test_a_reloaded_model_is_explained_alike(tmp_path):
    model = keras_resnets.ResNet20(activation="gelu", drop_path_rate=0.1)
    model.save(tmp_path / "model.keras")
    assert explain(keras.saving.load_model(tmp_path / "model.keras")) == explain(model)


def test_the_text_names_model_point_and_consequence():
    lines = str(explain(keras_resnets.ResNet20(zero_init_residual=True))).splitlines()
    assert lines[0] == "resnet20 departs from He et al., 2015 in:"
    assert len(lines) == 2
    assert lines[1].startswith("- first γ of a branch's last normalization: 0; in the paper, 1. ")


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="Received: model=3"):
        explain(3)
    x = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match="blocks of this package"):
        explain(keras.Model(x, keras.layers.Flatten()(x)))
