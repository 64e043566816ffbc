"""Plain twins: the same network in everything but its shortcuts."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import ResNetSpec, build_model, model_spec, plain_twin, with_blocks
from keras_resnets.analysis import assert_same_cost, count_macs, count_parameters
from keras_resnets.layers import GatedBlock, OrderedBlock, StackedBlock
from keras_resnets.layers.blocks import ORDERS
from tests.layer_checks import numpy
from tests.models.once import once

SMALL = ResNetSpec(block="basic", repeats=(1, 2), widths=(4, 8), stem="cifar", shortcut="A")
BASIC = dataclasses.replace(SMALL, stem="imagenet", shortcut="B")
BOTTLENECK = dataclasses.replace(BASIC, block="bottleneck")
SPECS = {
    "B": BASIC,
    "C": dataclasses.replace(BASIC, shortcut="C", stem="cifar", activation="silu"),
    "plain": dataclasses.replace(BASIC, shortcut=None),
    "zero_pad": dataclasses.replace(BASIC, shortcut="A", zero_pad="both"),
    "v1": dataclasses.replace(BOTTLENECK, stride_on="1x1", shortcut="A"),
    "all": dataclasses.replace(
        BOTTLENECK, shortcut="C", zero_init_residual=True, drop_path_rate=0.5, output_stride=4
    ),
    "pre": dataclasses.replace(SMALL, pre_activation=True, dropout_rate=0.1),  # begins with "both"
    "D": dataclasses.replace(
        BOTTLENECK, stem="deep", shortcut="D", anti_alias="blur", se_ratio=0.25, groups=2
    ),
}
SHAPE = (16, 20, 3)
without_values = pytest.mark.usefixtures("without_values")


def built(name):
    return build_model(SPECS[name], input_shape=SHAPE, classes=2, name="net")


def without_shortcuts(spec):
    return dataclasses.replace(
        spec, shortcut=None, zero_pad="end", zero_init_residual=False, drop_path_rate=0.0
    )


@once
@without_values
@pytest.mark.parametrize("name", SPECS)
def test_twin_of_a_model_is_the_model_of_the_twin_s_spec(name):
    assert plain_twin(SPECS[name]) == without_shortcuts(SPECS[name])
    model = built(name)
    twin = plain_twin(model)
    expected = build_model(without_shortcuts(SPECS[name]), input_shape=SHAPE, classes=2)
    assert twin.name == "plain_net"
    assert model_spec(twin) == model_spec(expected)
    for layer, other in zip(twin.layers[1:], expected.layers[1:], strict=True):
        assert layer.get_config() == other.get_config()
    assert [(w.path, w.shape) for w in twin.weights] == [
        (w.path, w.shape) for w in expected.weights
    ]
    assert count_macs(twin) == count_macs(expected)
    assert twin.output_shape == model.output_shape
    # The difference is what the shortcuts weigh, no more.
    projections = sum(
        int(np.prod(weight.shape))
        for weight in model.trainable_weights
        if "/projection/" in weight.path
    )
    lost = count_parameters(model).trainable - count_parameters(twin).trainable
    assert lost == projections


def test_weights_are_fresh():
    model = built("zero_pad")
    twin, other = plain_twin(model), plain_twin(model)
    for models in ((twin, other), (twin, model)):
        for weight, again in zip(*(each.weights for each in models), strict=True):
            assert weight is not again
            if weight.path.endswith("kernel"):
                assert not np.array_equal(numpy(weight), numpy(again)), weight.path

    # and not shared: what happens to the twin does not happen to the model
    before = model.get_weights()
    for weight in twin.weights:
        weight.assign(np.zeros(weight.shape, "float32"))
    np.testing.assert_equal(model.get_weights(), before)


@once
@without_values
@pytest.mark.parametrize("name", ["resnet18", "resnet20"])
def test_option_a_costs_the_same(name):
    model = keras_resnets.create_model(name, shortcut="A")
    twin = plain_twin(model)
    assert_same_cost(model, twin)
    assert_same_cost(twin, keras_resnets.create_model(name.replace("res", "plain")))


@once
@without_values
def test_option_b_costs_the_three_projections_more():
    model = keras_resnets.ResNet18()
    twin = plain_twin(model)
    with pytest.raises(AssertionError) as caught:
        assert_same_cost(model, twin)
    lines = str(caught.value).splitlines()
    assert "'resnet18' and 'plain_resnet18'" in lines[0]
    assert "trainable parameters" in lines[1]
    assert "-173,824" in lines[1]
    # 1×1 convolutions from 64, 128 and 256 channels to twice as many, at 28², 14² and 7²
    macs = 28**2 * 64 * 128 + 14**2 * 128 * 256 + 7**2 * 256 * 512
    assert any("multiply-adds" in line and f"-{macs:,}" in line for line in lines)
    named = [line.split(":")[0].strip() for line in lines[1:] if "/" in line.split(":")[0]]
    assert named == [
        f"stage{stage}_block1/projection/conv_norm/{part}"
        for stage in (2, 3, 4)
        for part in ("conv", "norm")
    ]

    with pytest.raises(AssertionError, match=r"\+173,824"):
        assert_same_cost(twin, model)


@without_values
class TestModelsBuiltUpon:
    def test_layers_around_the_network_stay(self):
        inputs = keras.Input((20, 20, 1), name="pixels")
        x = keras.layers.Rescaling(1 / 255, name="scaled")(inputs)
        x = keras.layers.Conv2D(3, 1, name="colours")(x)
        x = build_model(SPECS["all"], include_top=False, input_tensor=x).output
        x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
        x = keras.layers.Dropout(0.5, name="dropout")(x)
        outputs = [keras.layers.Dense(n, name=f"head{n}")(x) for n in (2, 3)]
        model = keras.Model(inputs, outputs, name="two_heads")
        twin = plain_twin(model)
        assert [layer.name for layer in twin.layers[1:]] == [
            layer.name for layer in model.layers[1:]
        ]
        assert twin.get_layer("scaled").scale == 1 / 255
        assert [output.shape for output in twin.outputs] == [(None, 2), (None, 3)]
        assert model_spec(twin) == without_shortcuts(SPECS["all"])

    def test_own_blocks(self):
        inputs = keras.Input((8, 8, 3))
        x = keras_resnets.layers.BasicBlock(6, shortcut="A", zero_pad="both")(inputs)
        x = keras_resnets.layers.BottleneckBlock(2, strides=2)(x)
        twin = plain_twin(keras.Model(inputs, x))
        blocks = [block for block in twin.layers if hasattr(block, "shortcut")]
        assert [block.shortcut for block in blocks] == [None, None]
        assert [block.strides for block in blocks] == [1, 2]


class TestState:
    """What a twin takes over from the model beside its structure."""

    def test_what_was_learnt_about_the_images(self):
        images = np.random.default_rng(0).normal(5, 3, (50, *SHAPE)).astype("float32")
        normalization = keras.layers.Normalization(axis=-1, name="normalized")
        normalization.adapt(images)
        within = keras.layers.Normalization(axis=-1)
        within.adapt(images[:10])
        nested = keras.Sequential([keras.Input(SHAPE), within], name="nested")
        x = nested(normalization(keras.Input(SHAPE)))
        model = build_model(SMALL, input_tensor=x, classes=2)
        for twin in (plain_twin(model), with_blocks(model, StackedBlock, depth=3)):
            for name in ("normalized", "nested"):
                expected, actual = (numpy(each.get_layer(name)(images)) for each in (model, twin))
                np.testing.assert_array_equal(actual, expected)
            # The statistics differ from those of a new layer.
            assert np.abs(numpy(twin.get_layer("normalized").mean) - 5).max() < 0.5

    @without_values
    @pytest.mark.parametrize("bn", ["inference", "train"])
    def test_nothing_is_frozen(self, bn):
        model = built("C")
        whole = build_model(without_shortcuts(SPECS["C"]), input_shape=SHAPE, classes=2)
        expected = [weight.path for weight in whole.trainable_weights]
        keras_resnets.freeze_backbone(model, bn)
        assert [weight.path for weight in plain_twin(model).trainable_weights] == expected
        model.trainable = False
        assert [weight.path for weight in plain_twin(model).trainable_weights] == expected
        assert model.trainable_weights == []


class TestErrors:
    @without_values
    @pytest.mark.parametrize(
        ("name", "error"),
        [("", ValueError), ("a/b", ValueError), (3, TypeError), (b"t", TypeError)],
    )
    def test_names_that_are_not_allowed(self, name, error):
        with pytest.raises(error, match=r"`name` must .*Received: name="):
            plain_twin(built("B"), name=name)

    @pytest.mark.parametrize("value", ["resnet18", None, keras_resnets.layers.BasicBlock(4)])
    def test_no_model(self, value):
        with pytest.raises(TypeError, match=r"`model_or_spec`.*Received: model_or_spec="):
            plain_twin(value)

    def test_no_blocks_and_a_spec_with_a_name(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="mlp")
        with pytest.raises(ValueError, match=r"`model_or_spec`.*residual blocks.*'mlp'"):
            plain_twin(model)
        with pytest.raises(ValueError, match="name='twin'"):
            plain_twin(BASIC, name="twin")


@once
@without_values
@pytest.mark.parametrize(
    ("block", "options", "parameters", "macs"),
    [  # by hand, for blocks of 4, 8 and 8 channels at 6×6, 3×3 and 3×3
        (GatedBlock, {"gate": "constant"}, 0, 0),
        (GatedBlock, {"gate": "dropout"}, 0, 0),
        (GatedBlock, {"gate": "scalar"}, 3, 0),
        (GatedBlock, {"gate": "channel"}, 4 + 8 + 8, 0),
        (GatedBlock, {"gate": "exclusive"}, 4 * 5 + 2 * 8 * 9, 36 * 16 + 2 * 9 * 64),
        *((StackedBlock, {"depth": depth}, 0, 0) for depth in (1, 3)),
        *((OrderedBlock, {"order": order}, 0, 0) for order in ORDERS),
    ],
)
def test_of_the_other_blocks_only_the_gates_go_with_the_shortcuts(block, options, parameters, macs):
    basic = build_model(SMALL, input_shape=(6, 6, 3))
    model = with_blocks(basic, block, **options)
    twin = plain_twin(model)
    assert all(layer.shortcut is None for layer in twin.layers if "block" in layer.name)
    assert count_parameters(model).trainable - count_parameters(twin).trainable == parameters
    assert count_macs(model) - count_macs(twin) == macs
    if parameters == 0:
        assert_same_cost(model, twin)
    if block is GatedBlock:
        assert_same_cost(twin, basic)
    else:
        [(name, value)] = options.items()
        assert getattr(twin.get_layer("stage2_block1"), name) == value


@once
def test_without_sums_all_orders_are_one_network():
    model = build_model(SMALL, input_shape=(6, 6, 3), classes=3)
    ends = {"first": {"position": "first"}, "last": {"position": "last"}}
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 3))
    answers = []
    for order in ORDERS:
        twin = plain_twin(with_blocks(model, OrderedBlock, order=order, **ends))
        rng = np.random.default_rng(1)
        for weight in twin.weights:
            if weight.path.endswith("kernel"):
                weight.assign(rng.standard_normal(weight.shape) / 3)
        answers.append(numpy(twin(x)))
    assert answers[0].std() > 0.01
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-4)
