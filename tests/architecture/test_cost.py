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
R18, R50 = VARIANTS["resnet18"], VARIANTS["resnet50"]


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


# Counted on timm's and torchvision's own modules: parameters and multiply-adds.
FAMILY = {
    "resnext50_32x4d": (R50, {"groups": 32, "width_per_group": 4}, 25_028_904, 4_230_479_872),
    "wide_resnet50_2": (R50, {"width_per_group": 128}, 68_883_240, 11_398_021_120),
    "resnet18d": (R18, {"stem": "deep", "shortcut": "D"}, 11_708_744, 2_053_713_920),
    "resnet50d": (R50, {"stem": "deep", "shortcut": "D"}, 25_576_264, 4_328_824_832),
    "seresnet18": (R18, {"se_ratio": 1 / 16}, 11_779_624, 1_814_161_408),
    "seresnet50": (R50, {"se_ratio": 1 / 16}, 28_088_024, 4_091_699_200),
    "resnetrs50": (
        *(R50, {"stem": "deep_strided", "stem_width": 64, "shortcut": "D", "se_ratio": 0.25}),
        *(35_691_912, 4_454_490_112),
    ),
    "resnetv2_50": (R50, {"pre_activation": True}, 25_549_352, 4_089_184_256),
}


@pytest.mark.parametrize("name", FAMILY)
def test_the_wider_family(name):
    spec, options, parameters, macs = FAMILY[name]
    cost = make_plan(dataclasses.replace(spec, **options)).cost(224, 3, 1000)
    assert cost == (parameters, macs)


@pytest.mark.parametrize(
    "options",
    [
        {"block": "basic", "output_stride": 8},
        {"block": "bottleneck", "stride_on": "1x1", "shortcut": "C", "output_stride": 4},
        {"block": "bottleneck", "shortcut": "A"},
        {"block": "basic", "stem": "cifar", "shortcut": "C"},
        {"block": "basic", "stem": "deep", "stem_width": 6, "anti_alias": "blur", "se_ratio": 0.5},
        {"block": "basic", "stem": "deep_strided", "pre_activation": True, "shortcut": "D"},
        {"block": "bottleneck", "groups": 2, "width_per_group": 32, "anti_alias": "average"}
        | {"shortcut": "D", "output_stride": 8, "pre_activation": True},
        {"block": "bottleneck", "stride_on": "1x1", "anti_alias": "blur", "se_ratio": 1 / 16},
        {"block": "basic", "pre_activation": "keras"},
        {"block": "bottleneck", "pre_activation": "keras", "shortcut": None},
    ],
)
def test_what_no_table_has_is_as_counted_on_the_layers(options):
    spec = ResNetSpec(repeats=(2, 1, 2), widths=(8, 12, 16), **options)
    with keras.StatelessScope(initialize_variables=False):
        model = keras_resnets.build_model(spec, input_shape=(None, None, 1), classes=3)
        for size in (32, 37, 64):
            macs = count_macs(model, (size, size, 1))
            assert make_plan(spec).cost(size, 1, 3) == (count_parameters(model).trainable, macs)
