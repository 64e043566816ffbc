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
    ],
)
def test_they_are_those_of_the_model_that_is_built(spec, classes):
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(spec, classes is not None, input_shape=(16, 16, 2), classes=classes)
    expected = {weight.path: tuple(weight.shape) for weight in model.weights}
    assert make_plan(spec).variable_shapes(2, classes) == expected
