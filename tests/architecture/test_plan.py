"""The shapes of a network's variables, without the network."""

import dataclasses

import keras
import pytest

from keras_resnets import ResNetSpec, build_model
from keras_resnets.architecture.plan import make_plan

BASIC = ResNetSpec(block="basic", repeats=(1, 2), widths=(4, 6), stem="cifar", shortcut="A")
BOTTLENECK = ResNetSpec(block="bottleneck", repeats=(2, 1), widths=(2, 4))


@pytest.mark.parametrize(
    ("spec", "classes"),
    [
        (BASIC, 5),
        (dataclasses.replace(BASIC, shortcut="B", stem="imagenet", widths=(4, 4)), None),
        (BOTTLENECK, None),
        (dataclasses.replace(BOTTLENECK, stride_on="1x1"), 5),
        (dataclasses.replace(BASIC, pre_activation=True, se_ratio=0.25), 5),
        (dataclasses.replace(BOTTLENECK, pre_activation="keras", repeats=(3, 2)), 5),
        (dataclasses.replace(BASIC, stem="deep", stem_width=6, shortcut="D", widths=(4, 4)), None),
        (
            dataclasses.replace(
                *(BOTTLENECK,),
                **{"stem": "deep_strided", "groups": 2, "width_per_group": 96, "se_ratio": 0.5},
                **{"pre_activation": True, "shortcut": "C"},
            ),
            5,
        ),
    ],
)
def test_they_are_those_of_the_model_that_is_built(spec, classes):
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(spec, classes is not None, input_shape=(16, 16, 2), classes=classes)
    expected = {weight.path: tuple(weight.shape) for weight in model.weights}
    assert list(make_plan(spec).variable_shapes(2, classes).items()) == list(expected.items())
