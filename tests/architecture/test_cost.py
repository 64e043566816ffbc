"""The cost of a spec by arithmetic, against published numbers and against built models."""

import dataclasses

import keras
import pytest

import keras_resnets
from keras_resnets import VARIANTS, ResNetSpec
from keras_resnets.analysis import count_macs, count_parameters
from keras_resnets.architecture.plan import make_plan
from tests import facts
from tests.models.once import once

pytestmark = once


@pytest.mark.parametrize(("name", "shortcut"), facts.IMAGENET)
def test_the_imagenet_networks(name, shortcut):
    spec = dataclasses.replace(VARIANTS[name], shortcut=shortcut)
    expected = facts.IMAGENET[name, shortcut]
    cost = make_plan(spec).cost(224, 3, 1000)
    assert cost.parameters == expected.trainable
    digits = len(expected.macs.partition(".")[2])
    assert f"{cost.macs / 1e9:.{digits}f}" == expected.macs


@pytest.mark.parametrize("name", facts.IMAGENET_V1)
def test_the_stride_on_the_1x1(name):
    cost = make_plan(dataclasses.replace(VARIANTS[name], stride_on="1x1")).cost(224, 3, 1000)
    assert cost.parameters == facts.IMAGENET_V1[name].trainable
    assert f"{cost.macs / 1e9:.4f}" == facts.IMAGENET_V1[name].macs


@pytest.mark.parametrize("depth", facts.CIFAR)
@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_the_cifar_networks(depth, shortcut):
    spec = dataclasses.replace(VARIANTS[f"resnet{depth}"], shortcut=shortcut)
    cost = make_plan(spec).cost(32, 3, 10)
    assert cost.parameters == facts.CIFAR[depth]["ABC".index(shortcut)]
    if shortcut == "A":
        assert f"{cost.macs / 1e6:.2f}" == facts.CIFAR[depth][3]


@pytest.mark.parametrize(
    "options",
    [
        {"block": "basic", "output_stride": 8},
        {"block": "bottleneck", "stride_on": "1x1", "shortcut": "C", "output_stride": 4},
        {"block": "bottleneck", "shortcut": "A"},
        {"block": "basic", "stem": "cifar", "shortcut": "C"},
    ],
)
def test_what_no_table_has_is_as_counted_on_the_layers(options):
    spec = ResNetSpec(repeats=(2, 1, 2), widths=(8, 12, 16), **options)
    with keras.StatelessScope(initialize_variables=False):
        model = keras_resnets.build_model(spec, input_shape=(None, None, 1), classes=3)
        for size in (32, 37, 64):
            macs = count_macs(model, (size, size, 1))
            assert make_plan(spec).cost(size, 1, 3) == (count_parameters(model).trainable, macs)
