"""Deviations from He et al., 2015: none in the paper's networks, each of the others by name."""

import dataclasses

import keras
import pytest

import keras_resnets
from keras_resnets import (
    VARIANTS,
    ResNetSpec,
    build_model,
    fuse_batch_norm,
    plain_twin,
    with_blocks,
)
from keras_resnets.analysis import count_macs, explain
from keras_resnets.layers import (
    BasicBlock,
    GatedBlock,
    OrderedBlock,
    StackedBlock,
    UnnormalizedBlock,
)
from keras_resnets.layers.blocks import ORDERS
from tests.models.once import once

pytestmark = once
FIRST, LAST = {"first": {"position": "first"}}, {"last": {"position": "last"}}
# A third of ResNet-20, which departs from the paper's networks in its depth alone.
SPEC = ResNetSpec(block="basic", repeats=(1, 1, 1), widths=(16, 32, 64), stem="cifar", shortcut="A")


@pytest.fixture(scope="module")
def small():
    return build_model(SPEC)


def points(model):
    return [deviation.what for deviation in explain(model).deviations]


def only_point(model):
    """Returns the one deviation of a network as small as `SPEC`'s, but for its depth."""
    (deviation,) = (each for each in explain(model).deviations if each.what != "depth and width")
    return deviation


# From the paper: sections 3.3 and 4.1 (table 2: option A for 18 and 34 layers; 50 and more:
# option B, strides on the first 1×1; table 3: each option for 34) and section 4.2.
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"shortcut": "A"}),
        ("resnet34", {"shortcut": "C"}),
        ("resnet50", {"shortcut": "B", "stride_on": "1x1"}),
        ("resnet20", {}),
    ],
)
def test_the_paper_s_configuration_does_not_deviate(name, options):
    explanation = explain(keras_resnets.create_model(name, **options))
    assert explanation.deviations == ()
    assert str(explanation) == f"{name} is a network of He et al., 2015."


@pytest.mark.parametrize(
    ("options", "what", "words"),
    [
        ({"activation": "gelu"}, "activation", "for ReLU"),
        ({"activation": None}, "activation", "a linear map"),
        ({"zero_init_residual": True}, "first γ of a branch's last normalization", "Goyal"),
        ({"drop_path_rate": 0.2}, "drop path", "up to 0.2;"),
        ({"output_stride": 1}, "dilation", "up to 4, in the place of strides;"),
        ({"stem": "imagenet", "input_shape": (32, 32, 3), "classes": 10}, "stem", "a sixteenth"),
        ({"input_shape": (64, 32, 3)}, "input", "64×32×3; in the paper, 32×32 in RGB. The m"),
        ({"input_shape": (32, 32, 1)}, "input", "32×32×1; in the paper, 32×32 in RGB. The first"),
        ({"input_shape": (28, 28, 1)}, "input", "another scale. The first kernel"),
        ({"input_shape": (None, None, 3)}, "input", "any×any×3;"),
        ({"classes": 100}, "classes", "100; in the paper, 10."),
        ({"classifier_activation": None}, "activation of the classifier", "from_logits=True"),
        ({"include_top": False, "input_shape": (32, 32, 3)}, "head", "another, or none"),
        ({"shortcut": "B"}, "shortcut", "option B; in the paper, option A."),
        ({"shortcut": "C"}, "shortcut", "too expensive"),
        ({"shortcut": "D"}, "shortcut", "option D; in the paper, option A. Where the shape"),
        ({"pre_activation": True}, "order in a block", "6.37 and 5.46 % test error"),
        ({"stem_width": 8}, "stem width", "8 filters, 16 in the first stage; in the paper, as"),
        (
            {"anti_alias": "blur"},
            "anti-aliasing",
            "blurs of 3×3 pixels instead of strides",
        ),
        ({"anti_alias": "average"}, "anti-aliasing", "76.81 % with averages, instead of 76.16 %"),
        ({"se_ratio": 1 / 16}, "squeeze and excitation", "of ratio 0.0625; in the paper, none."),
        ({"dropout_rate": 0.3}, "dropout in the branches", "a rate of 0.3; in the paper, none."),
        ({"stem": "deep", "input_shape": (32, 32, 3), "classes": 10}, "stem", "a sixteenth of the"),
    ],
)
def test_each_option_is_one_point(options, what, words):
    deviation = only_point(built(**options))
    assert deviation.what == what
    assert words in str(deviation)


# As He et al., 2018, Xie et al., 2017, Zagoruyko & Komodakis, 2016, and Hu et al., 2018, say.
@pytest.mark.parametrize(
    ("options", "what", "here", "words"),
    [
        ({"stem": "deep"}, "stem", "three of 3×3, the first with", "76.87 instead of 76.66 %"),
        ({"stem": "deep_strided"}, "stem", "four of 3×3, the first and the last", "cost more"),
        (
            {"groups": 32, "width_per_group": 4},
            *("groups of a 3×3 convolution", "32, of 4 channels where the stage's width is 64"),
            "22.2 % top-1 error",
        ),
        ({"width_per_group": 128}, "width of a bottleneck", "2 times as many", "21.9 % top-1 err"),
        ({"shortcut": "D"}, "shortcut", "option D", "77.16 instead of 76.87 %"),
        ({"se_ratio": 1 / 16}, "squeeze and excitation", "at the end of a branch", "24.80 %"),
    ],
)
def test_the_wider_family_s_options_are_points_of_a_bottleneck_network(options, what, here, words):
    """Beside a depth and, with the stride on the 1×1 convolution, nothing else of the paper's."""
    spec = ResNetSpec(block="bottleneck", repeats=(1, 1, 1, 1), stride_on="1x1", **options)
    with keras.StatelessScope(initialize_variables=False):
        deviation = only_point(build_model(spec))
    assert deviation.what == what
    assert deviation.here.startswith(here)
    assert words in deviation.consequence


def test_all_options_of_the_family_are_points_at_once():
    model = built(
        **{"stem": "deep", "stem_width": 8, "shortcut": "D", "pre_activation": True},
        **{"anti_alias": "blur", "se_ratio": 0.25, "dropout_rate": 0.1},
    )
    names = {"stem", "stem width", "shortcut", "order in a block", "anti-aliasing"}
    names |= {"squeeze and excitation", "dropout in the branches", "depth and width", "max pooling"}
    assert set(points(model)) - {"input", "classes"} == names


def test_pre_activation_has_the_text_of_its_order(small):
    order = with_blocks(small, OrderedBlock, order="full_pre_activation", **LAST)
    assert only_point(built(pre_activation=True)) == only_point(order)
    without_end = only_point(with_blocks(small, BasicBlock, pre_activation=True))
    assert without_end.consequence.endswith("with `pre_activation` of the whole network.")


def test_a_pre_activated_plain_network_is_the_paper_s_chain():
    """Normalization and activation only move from one block's end to the next one's start."""
    assert points(built(pre_activation=True, shortcut=None)) == ["depth and width"]
    assert points(plain_twin(built(pre_activation=True))) == ["depth and width"]


@pytest.mark.parametrize("shortcut", ["B", None])
def test_with_pre_activation_an_imagenet_stem_pools_before_the_activation(shortcut):
    spec = dataclasses.replace(VARIANTS["resnet18v2"], shortcut=shortcut)
    with keras.StatelessScope(initialize_variables=False):
        names = points(build_model(spec))
    # For basic blocks, the paper compares the options at other depths.
    assert names == [*(["order in a block", "shortcut"] if shortcut else []), "max pooling"]


def test_the_v2_networks_of_keras_differ_in_a_stride_and_not_in_their_shortcuts():
    spec = dataclasses.replace(VARIANTS["resnet50v2"], pre_activation="keras")
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(spec)
    expected = ["order in a block", "stride of a bottleneck", "stride of a stage", "max pooling"]
    assert points(model) == expected
    assert round(count_macs(model) / 1e9, 2) == 3.48  # which it says


def test_two_options_are_two_points():
    assert points(built(shortcut="B", activation="elu"))[1:] == ["activation", "shortcut"]


def built(**options):
    fields = {name: options.pop(name) for name in list(options) if hasattr(SPEC, name)}
    return build_model(dataclasses.replace(SPEC, **fields), **options)


def test_a_depth_without_a_result_in_the_paper(small):
    (deviation,) = explain(small).deviations
    assert deviation.here == "residual BasicBlocks, repeats (1, 1, 1) with widths (16, 32, 64)"


def test_a_changed_normalization_is_seen():
    model = built()
    model.get_layer("stage2_block1").conv1.norm.momentum = 0.99
    assert only_point(model).here == "momentum 0.99 and ε 1e-05"


def test_a_function_of_ones_own_is_called_by_its_name():
    def halved(x):
        return x / 2

    assert only_point(built(classifier_activation=halved)).here == "halved"


def test_a_reloaded_model_is_explained_alike(tmp_path):
    model = built(activation="gelu", drop_path_rate=0.1)
    model.save(tmp_path / "model.keras")
    assert explain(keras.saving.load_model(tmp_path / "model.keras")) == explain(model)


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="Received: model=3"):
        explain(3)
    x = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match="blocks of this package"):
        explain(keras.Model(x, keras.layers.Flatten()(x)))


@pytest.mark.parametrize(
    ("block", "options"),
    [
        (StackedBlock, {"depth": 2}),
        (GatedBlock, {}),
        (OrderedBlock, {"order": "original"}),
        (type("OfOnesOwn", (BasicBlock,), {}), {}),
    ],
)
def test_the_paper_s_block_under_another_name_is_the_paper_s(block, options, small):
    assert points(with_blocks(small, block, **options)) == ["depth and width"]


@pytest.mark.parametrize(
    ("depth", "here", "consequence"),
    [
        (1, "1 convolution (3×3)", "a single convolution and its activation"),
        (3, "3 convolutions (3×3, 3×3, 3×3)", "fewer shortcuts"),
    ],
)
def test_another_number_of_layers(depth, here, consequence, small):
    deviation = only_point(with_blocks(small, StackedBlock, depth=depth))
    assert (deviation.what, deviation.here) == ("layers of a branch", here)
    assert consequence in deviation.consequence


def test_a_plain_network_is_a_chain_wherever_its_blocks_begin():
    """18 layers of 3×3 in blocks of one are plain-20, of table 6; in blocks of three as well."""
    for depth, repeats in ((1, 6), (3, 2)):
        model = built(repeats=(repeats,) * 3, shortcut=None)
        assert points(with_blocks(model, StackedBlock, depth=depth)) == []
    assert points(with_blocks(model, StackedBlock, depth=2)) == ["depth and width"]


# He et al., 2016, table 1, in %.
@pytest.mark.parametrize(
    ("options", "here", "consequence"),
    [
        ({"gate": "constant"}, "s / 2 and F / 2", "12.35 %"),
        ({"gate": "shortcut_only"}, "(1 − g) s, b beginning at 0", "12.86 %"),
        ({"gate": "shortcut_only", "gate_bias": -6.0}, "(1 − g) s, b beginning at -6", "6.91 %"),
        ({"gate": "exclusive", "gate_bias": -6}, "(1 − g) s and g F, b beginning at -6", "8.70 %"),
        ({"gate": "exclusive"}, "(1 − g) s and g F, b beginning at 0", "hinders"),
        ({"gate": "scalar"}, "λ s with a learned number λ", "product of all λ"),
        ({"gate": "channel"}, "λ s with a learned number λ for each channel", "product of all λ"),
        ({"gate": "dropout"}, "in training, half the values of s", "good solution"),
    ],
)
def test_each_gate(options, here, consequence, small):
    deviation = only_point(with_blocks(small, GatedBlock, **options))
    assert deviation.what == "weight on the shortcut"
    assert deviation.here.startswith(here)
    assert consequence in deviation.consequence
    assert ("6.61 %" in deviation.consequence) == ("%" in consequence)


# Figure 4 and table 2 of He et al., 2016.
@pytest.mark.parametrize(
    ("order", "steps", "errors"),
    [
        ("norm_after_addition", "conv, norm, act, conv, sum, norm, act", "8.17 and 6.50 %"),
        ("activation_before_addition", "conv, norm, act, conv, norm, act, sum", "7.84 and 6.14 %"),
        (
            "activation_only_pre_activation",
            "act, conv, norm, act, conv, norm, sum",
            "6.71 and 5.91 %",
        ),
        ("full_pre_activation", "norm, act, conv, norm, act, conv, sum", "6.37 and 5.46 %"),
    ],
)
def test_each_order(order, steps, errors, small):
    deviation = only_point(with_blocks(small, OrderedBlock, order=order, **LAST))
    assert deviation.paper == "conv, norm, act, conv, norm, sum, act"
    assert deviation.here == steps
    assert errors in deviation.consequence
    assert "unchanged;" not in deviation.consequence


@pytest.mark.parametrize("order", ["full_pre_activation", "activation_only_pre_activation"])
def test_pre_activation_without_an_end_is_noticed(order, small):
    deviation = only_point(with_blocks(small, OrderedBlock, order=order))
    assert deviation.consequence.endswith('with position="last".')


@pytest.mark.parametrize("order", ORDERS)
def test_without_sums_the_orders_are_one(order, small):
    twin = plain_twin(with_blocks(small, OrderedBlock, order=order, **FIRST, **LAST))
    assert points(twin) == ["depth and width"]


def test_without_sums_and_without_an_end_they_are_not(small):
    model = with_blocks(small, OrderedBlock, order="full_pre_activation")
    deviation = only_point(plain_twin(model))
    assert deviation.what == "order in a block"
    assert "at the ends of the network only" in deviation.consequence


def test_a_fused_network_answers_alike(small):
    deviation = only_point(fuse_batch_norm(built(zero_init_residual=True)))
    assert deviation.here.startswith("folded into the convolutions")
    assert deviation.consequence.startswith("The outputs in inference are the same;")
    assert "shortcut" not in deviation.consequence
    one_layer = fuse_batch_norm(with_blocks(small, StackedBlock, depth=1))
    assert "A shortcut beside a single" in explain(one_layer).deviations[-1].consequence


def test_a_block_that_calls_its_own_way_is_not_judged_by_its_layers(small):
    @keras.saving.register_keras_serializable("tests")
    class Doubled(BasicBlock):
        def branch(self, inputs, training=None):
            return 2 * super().branch(inputs, training)

    model = with_blocks(small, Doubled)
    deviation = only_point(model)
    assert deviation.here == "Doubled with its own `branch`"
    heading, _, line = str(explain(model)).splitlines()
    assert heading == f"{model.name} departs from He et al., 2015 in:"
    assert line.startswith(f"- block: {deviation.here}; in the paper, y = g(F(x) + s(x)). Its lay")


def test_that_nothing_normalizes_is_noticed(small):
    model = with_blocks(small, UnnormalizedBlock)
    deviation = only_point(model)
    assert deviation.what == "normalization"
    assert deviation.here == "none in the branches of the blocks"
    assert deviation.consequence.startswith("Each sum adds to the variance")
    consequence = only_point(plain_twin(model)).consequence
    assert consequence.startswith("Signals and gradients keep their size only")
