"""`ResNetSpec`: data that checks itself, and that can be read off any model."""

import dataclasses
import itertools
import json
import pickle
import re

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import (
    ResNetSpec,
    build_model,
    feature_extractor,
    feature_strides,
    freeze_backbone,
    model_spec,
)
from tests.models.once import once

BASIC = ResNetSpec(block="basic", repeats=(1, 2, 1), widths=(4, 6, 8))
BOTTLENECK = dataclasses.replace(BASIC, block="bottleneck")


def every_spec():
    """Every block, stem and shortcut, and each other option, alone and beside some others."""
    kinds = itertools.product(("basic", "bottleneck"), ("imagenet", "cifar"), ("A", "B", "C", None))
    for index, (block, stem, shortcut) in enumerate(kinds):
        spec = dataclasses.replace(BASIC, block=block, stem=stem, shortcut=shortcut)
        yield dataclasses.replace(spec, output_stride=spec.natural_stride // 2 ** (index % 3))
    for spec in (BASIC, BOTTLENECK):
        yield dataclasses.replace(spec, activation="silu", zero_init_residual=True)
        yield dataclasses.replace(spec, shortcut="A", zero_pad="both", drop_path_rate=0.3)
        yield dataclasses.replace(spec, shortcut="C", drop_path_rate=0.1, output_stride=4)
        for stem, shortcut in itertools.product(("deep", "deep_strided"), ("B", "D", None)):
            pre_activation = stem == "deep"
            yield dataclasses.replace(
                spec, stem=stem, shortcut=shortcut, pre_activation=pre_activation, stem_width=6
            )
        for shortcut in ("A", "B", "C", None):
            pre_activated = dataclasses.replace(spec, pre_activation=True, shortcut=shortcut)
            yield pre_activated
            yield dataclasses.replace(pre_activated, stem="cifar", anti_alias="average")
        yield dataclasses.replace(spec, anti_alias="blur", output_stride=4)
        yield dataclasses.replace(spec, shortcut="D", anti_alias="average", output_stride=8)
        yield dataclasses.replace(spec, shortcut="D", stem="cifar", output_stride=1)
        yield dataclasses.replace(spec, se_ratio=0.25, dropout_rate=0.3)
        yield dataclasses.replace(spec, pre_activation="keras")
        yield dataclasses.replace(spec, pre_activation="keras", shortcut=None, stem_width=6)
    yield dataclasses.replace(BOTTLENECK, groups=2, width_per_group=32)
    yield dataclasses.replace(BOTTLENECK, width_per_group=128, pre_activation=True)
    yield dataclasses.replace(BOTTLENECK, stride_on="1x1", shortcut="D", anti_alias="blur")
    yield dataclasses.replace(BOTTLENECK, stride_on="1x1")
    yield dataclasses.replace(BOTTLENECK, stride_on="1x1", shortcut=None, output_stride=8)
    yield ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar", drop_path_rate=0.5)
    yield ResNetSpec(block="basic", repeats=(1, 1, 1, 1, 1), widths=(4, 4, 4, 4, 4))


SPECS = list(every_spec())
ONE_STAGE = {"repeats": (1,), "widths": (4,)}
V1 = {"block": "bottleneck", "stride_on": "1x1"}


def spec_id(spec):
    fields = dataclasses.asdict(spec)
    default = dataclasses.asdict(BASIC)
    return "-".join(f"{name}={fields[name]}" for name in fields if fields[name] != default[name])


class TestData:
    def test_goes_through_json(self):
        for spec in SPECS:
            assert ResNetSpec.from_json(spec.to_json()) == spec
        # An older spec lacks what has a default.
        older = '{"block": "basic", "repeats": [1, 2, 1], "widths": [4, 6, 8]}'
        assert ResNetSpec.from_json(older) == BASIC

    def test_compares_and_hashes_by_value(self):
        assert len(set(SPECS)) == len(SPECS)
        again = list(every_spec())
        assert again == SPECS
        assert [hash(spec) for spec in SPECS] == [hash(spec) for spec in again]
        assert pickle.loads(pickle.dumps(BASIC)) == BASIC

    def test_cannot_change(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            BASIC.shortcut = "A"

    def test_takes_what_means_the_same(self):
        spec = ResNetSpec(
            block="bottleneck",
            repeats=[np.int64(1), 2, 1],
            widths=[4, np.int32(6), 8],
            activation=keras.activations.relu,
            drop_path_rate=0,
            output_stride=np.int64(16),
            stem_width=np.int64(4),
            groups=np.int64(1),
            dropout_rate=0,
        )
        assert spec == BOTTLENECK
        assert spec.to_json() == BOTTLENECK.to_json()
        assert dataclasses.replace(BASIC, activation="swish").activation == "silu"

    @pytest.mark.parametrize(
        ("spec", "depth", "stride", "strides"),
        [
            (keras_resnets.VARIANTS["resnet34"], 34, 32, (32, 16, 8)),
            (keras_resnets.VARIANTS["resnet152"], 152, 32, (32, 16, 8)),
            (keras_resnets.VARIANTS["plainnet50"], 50, 32, (32, 16, 8)),
            (keras_resnets.VARIANTS["resnet1202"], 1202, 4, (4, 2, 1)),
            (BASIC, 10, 16, (16, 8, 4)),
            (BOTTLENECK, 14, 16, (16, 8, 4)),
            (ResNetSpec(block="basic", repeats=(1,), widths=(4,)), 4, 4, (4,)),
            (ResNetSpec(block="basic", repeats=(1, 1), widths=(4, 4), stem="cifar"), 6, 2, (2, 1)),
        ],
    )
    def test_derived_numbers(self, spec, depth, stride, strides):
        assert spec.depth == depth
        assert spec.natural_stride == stride
        assert spec.output_strides == strides

    def test_variants_differ_by_their_shortcuts_alone(self):
        for name, spec in keras_resnets.VARIANTS.items():
            if name.startswith("plain"):
                residual = keras_resnets.VARIANTS[name.replace("plain", "res")]
                assert dataclasses.replace(residual, shortcut=None) == spec


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "rule", "value", "beside"),
        [
            ("block", "'basic', 'bottleneck'", "wide", {}),
            *(("repeats", "one integer a stage", value, {}) for value in ((), 3)),
            ("repeats", "one entry a stage.*widths=", (1, 2), {}),
            *(("repeats", "positive integer", value, {}) for value in ((1, 0, 1), (1, 2.0, 1))),
            ("widths", "positive integer", (4, -6, 8), {}),
            ("widths", "one integer a stage", None, {}),
            ("widths", "narrower", (4, 8, 6), {"shortcut": "A"}),
            ("stem", "'deep', 'deep_strided', 'cifar'", "svhn", {}),
            *(("shortcut", "'A', 'B', 'C', 'D', None", value, {}) for value in ("E", False, ["A"])),
            ("zero_pad", "'end', 'both'", "front", {}),
            ("zero_pad", "shortcut='A'.*shortcut='B'", "both", {}),
            ("stride_on", "'3x3', '1x1'", "2x2", {}),
            ("stride_on", "block='bottleneck'.*block='basic'", "1x1", {}),
            ("activation", "Did you mean 'relu'", "rleu", {}),
            ("activation", "function", 3, {}),
            ("zero_init_residual", "True or False", 1, {}),
            ("zero_init_residual", "shortcut=None", True, {"shortcut": None}),
            *(("drop_path_rate", r"\[0, 1\)", rate, {}) for rate in (1.0, float("nan"), "0.1")),
            ("drop_path_rate", "shortcut=None", 0.1, {"shortcut": None}),
            ("output_stride", "16, 8, 4", 12, {}),
            *(("output_stride", "positive integer", value, {}) for value in ("8", 8.0)),
            ("output_stride", "stride_on='3x3'", 8, V1 | {"shortcut": "D"}),
            ("output_stride", "stride_on='3x3'", 4, V1 | {"anti_alias": "blur"}),
            ("stem_width", "positive integer", 0, {}),
            ("stem_width", "at least 2 filters", 1, {"stem": "deep"}),
            ("stem_width", "narrower than what comes before", 5, {"shortcut": "A"}),
            *(("groups", "positive integer", value, {}) for value in (0, 1.5)),
            ("groups", "block='bottleneck'.*block='basic'", 2, {}),
            ("width_per_group", "block='bottleneck'.*block='basic'", 32, {}),
            ("width_per_group", "leave a channel", 15, {"block": "bottleneck"}),
            ("pre_activation", "one of True, False, 'keras'", "both", {}),
            ("pre_activation", "True, False or 'keras'", 1, {}),
            ("zero_init_residual", "ends in a conv", True, {"pre_activation": True}),
            *(
                (name, "with pre_activation='keras'", value, {"pre_activation": "keras"})
                for name, value in (("stem", "deep"), ("shortcut", "C"), ("anti_alias", "blur"))
            ),
            ("output_stride", "with pre_activation='keras'", 8, {"pre_activation": "keras"}),
            *(("anti_alias", "'blur', 'average', None", value, {}) for value in ("max", True)),
            ("anti_alias", "has none.*stem='cifar'", "blur", ONE_STAGE | {"stem": "cifar"}),
            ("anti_alias", "has none.*'deep_str", "average", ONE_STAGE | {"stem": "deep_strided"}),
            *(("se_ratio", r"\(0, 1\]", ratio, {}) for ratio in (0.0, 16, "1/16")),
            ("dropout_rate", r"\[0, 1\)", 1.0, {}),
        ],
    )
    def test_name_what_is_wrong(self, name, rule, value, beside):
        with pytest.raises((TypeError, ValueError)) as caught:
            dataclasses.replace(BASIC, **{name: value}, **beside)
        message = str(caught.value)
        assert re.search(rule, message), message
        if name == "stem_width" and "filters" in rule:
            return  # whose number is what is received
        if rule == "positive integer" and isinstance(value, tuple):
            value = value[1]  # which alone is wrong
        assert re.search(rf"Received: .*{name}={re.escape(repr(value))}", message), message

    def test_a_function_of_ones_own_has_no_name_and_a_layer_has_weights(self):
        with pytest.raises(ValueError, match=r"`activation`.*keras\.activations"):
            dataclasses.replace(BASIC, activation=spec_id)
        with pytest.raises(TypeError, match=r"`activation`.*weights"):
            dataclasses.replace(BASIC, activation=keras.layers.PReLU())

    def test_json(self):
        fields = json.loads(BASIC.to_json())
        with pytest.raises(ValueError, match=r"Did you mean 'widths' or 'stem_width'"):
            ResNetSpec.from_json(json.dumps(fields | {"width": [4]}))
        del fields["repeats"]
        with pytest.raises(ValueError, match="needs the field 'repeats'"):
            ResNetSpec.from_json(json.dumps(fields))
        for text in (None, 3, fields):
            with pytest.raises(TypeError, match=r"`text` must be a string of JSON\. Received: "):
                ResNetSpec.from_json(text)
        with pytest.raises(TypeError, match=r"must be a JSON object.*Received: '\[1\]'"):
            ResNetSpec.from_json("[1]")
        with pytest.raises(ValueError):  # noqa: PT011  json's own, with the position
            ResNetSpec.from_json("{")

    @pytest.mark.parametrize("spec", ["resnet18", None, {"block": "basic"}])
    def test_build_model_takes_a_spec(self, spec):
        with pytest.raises(TypeError, match=r"`spec` must be a ResNetSpec"):
            build_model(spec)


@pytest.mark.usefixtures("without_values")
class TestReadOffAModel:
    """That saving and cloning keep it is tested in test_saving.py."""

    @once
    @pytest.mark.parametrize("spec", SPECS, ids=spec_id)
    def test_is_the_one_it_was_built_from(self, spec):
        model = build_model(spec, include_top=False)
        assert model_spec(model) == spec
        # The blocks themselves, not only the spec that was read off them
        for layer in model.layers:
            if layer.name.startswith("stage"):
                subsamples = spec.pre_activation == "keras" and layer.strides > 1
                is_identity = subsamples and spec.shortcut and "block1" not in layer.name
                assert layer.shortcut == ("A" if is_identity else spec.shortcut)
                assert layer.zero_pad == spec.zero_pad
                assert layer.zero_init_residual == spec.zero_init_residual

    def test_a_stem_that_does_not_fit_the_blocks(self):
        pre_activated = dataclasses.replace(BASIC, pre_activation=True)
        for spec, changed in ((BASIC, True), (pre_activated, False)):
            model = keras_resnets.with_blocks(
                build_model(spec, include_top=False),
                keras_resnets.layers.BasicBlock,
                pre_activation=changed,
            )
            message = f"activated, or its blocks pre-activated.*pre_activation={changed}"
            with pytest.raises(ValueError, match=message):
                model_spec(model)

    def test_survives_building_around(self):
        spec = dataclasses.replace(BOTTLENECK, shortcut="C", stem="cifar", output_stride=2)
        x = keras.layers.Conv2D(3, 1, name="colours")(keras.Input((64, 64, 1)))
        backbone = build_model(spec, include_top=False, input_tensor=x)
        y = keras.layers.GlobalMaxPooling2D()(backbone.output)
        outputs = keras.layers.Dense(2, name="own_head")(keras.layers.Dropout(0.5)(y))
        assert model_spec(keras.Model(backbone.input, outputs)) == spec

    @pytest.mark.parametrize(
        "function", [model_spec, feature_extractor, feature_strides, freeze_backbone]
    )
    def test_another_package_s_model_is_refused(self, function):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="mlp")
        with pytest.raises(ValueError, match=r"residual blocks named stage1_block1.*'mlp'"):
            function(model)
        with pytest.raises(TypeError, match=r"`model` must be a keras\.Model.*'resnet18'"):
            function("resnet18")

    @pytest.mark.parametrize(
        "second",
        [
            {"shortcut": "C"},
            {"activation": "silu"},
            {"filters": 6},
            {"zero_init_residual": True},
            {"strides": 2},
            {"dilation": 2},
            {"first_dilation": 2},
            {"drop_path_rate": 0.3},
            {"anti_alias": "blur"},
            {"pre_activation": True},
            {"se_ratio": 0.5},
            {"dropout_rate": 0.1},
        ],
        ids=lambda options: next(iter(options)),
    )
    def test_blocks_that_are_not_of_one_spec(self, second):
        inputs = keras.Input((16, 16, 3))
        x = keras_resnets.layers.ConvNorm(4, 3, name="stem_conv")(inputs)
        x = keras_resnets.layers.BasicBlock(**{"filters": 4, **second}, name="stage1_block1")(x)
        x = keras_resnets.layers.BasicBlock(4, name="stage1_block2")(x)
        with pytest.raises(ValueError, match="spec"):
            model_spec(keras.Model(inputs, x))

    def test_blocks_of_another_kind(self):
        class DoubleBlock(keras_resnets.layers.BasicBlock):
            pass

        inputs = keras.Input((16, 16, 4))
        model = keras.Model(inputs, DoubleBlock(4, name="stage1_block1")(inputs))
        with pytest.raises(ValueError, match=r"BasicBlock, BottleneckBlock.*DoubleBlock"):
            model_spec(model)
