"""Networks of other blocks: for the studies of depth, gates and order."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets.analysis import (
    count_macs,
    count_parameters,
    layer_responses,
    remove_blocks,
    shortcut_balance,
)
from keras_resnets.layers import BottleneckBlock, GatedBlock, OrderedBlock, StackedBlock
from tests.layer_checks import numpy, randomize
from tests.models.once import once

pytestmark = once
without_values = pytest.mark.usefixtures("without_values")
PRE = {
    "order": "full_pre_activation",
    "first": {"position": "first"},
    "last": {"position": "last"},
}
NETWORKS = {
    "stacked": (StackedBlock, {"depth": 1}),
    "constant": (GatedBlock, {"gate": "constant"}),
    "exclusive": (GatedBlock, {"gate": "exclusive"}),
    "norm after": (OrderedBlock, {"order": "norm_after_addition"}),
    "pre": (OrderedBlock, PRE),
}


def cifar(n, **options):
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(n,) * 3, widths=(16, 32, 64), stem="cifar", shortcut="A", **options
    )
    return keras_resnets.build_model(spec)


def images():
    return np.random.default_rng(0).standard_normal((3, 6, 6, 3)).astype("float32")


def tiny(name):
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(1, 2), widths=(4, 8), stem="cifar", shortcut="A"
    )
    model = keras_resnets.build_model(spec, input_shape=(6, 6, 3), classes=3)
    block, options = NETWORKS[name]
    model = keras_resnets.with_blocks(model, block, **options)
    for seed, layer in enumerate(model.layers):
        randomize(layer, seed)
    return model


@without_values
def test_one_two_and_three_layers_cost_the_same_at_equal_depth():
    """ResNet-20: 18 convolutions in 9 blocks of two, 18 of one, or 6 of three."""
    basic = keras_resnets.ResNet20()
    for depth, n in ((1, 6), (2, 3), (3, 2)):
        model = keras_resnets.with_blocks(cifar(n), StackedBlock, depth=depth)
        assert count_parameters(model) == count_parameters(basic) == (269_722, 271_098)
        assert count_macs(model) == 40_551_040


@without_values
def test_full_pre_activation_normalizes_other_channels():
    """As in (a), block by block, but in stages 2 and 3 the first norm has the stage's input."""
    model = keras_resnets.with_blocks(keras_resnets.ResNet20(), OrderedBlock, **PRE)
    assert count_macs(model) == 40_551_040
    # The first block has one norm of its own less, the last one more at the end: 64 for 16; and
    # the two blocks that widen have 16 for 32 and 32 for 64.
    assert count_parameters(model).trainable == 269_722 + 2 * (64 - 16 - 16 - 32)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_saved_and_its_layers_measured(name, tmp_path):
    model = tiny(name)
    x = images()
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(reloaded(x)), numpy(model(x)))
    twin = keras_resnets.plain_twin(model)
    assert len(layer_responses(model, x)) == len(layer_responses(twin, x)) > 3


def test_the_balance_is_that_of_the_weighed_terms():
    """Halving both terms changes neither their ratio nor their angle; but that to the input."""
    x = images()
    gated = tiny("constant")
    plain = keras_resnets.with_blocks(gated, GatedBlock, gate=None)
    plain.set_weights(gated.get_weights())
    halved = shortcut_balance(gated, x)["stage1_block1"]
    whole = shortcut_balance(plain, x)["stage1_block1"]
    assert halved["branch_to_shortcut"] == pytest.approx(whole["branch_to_shortcut"], rel=1e-5)
    assert halved["cosine"] == pytest.approx(whole["cosine"], rel=1e-5)
    assert halved["branch_to_input"] == pytest.approx(whole["branch_to_input"] / 2, rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_block_without_its_branch(name):
    """As if F were 0, whatever weighs the shortcut or follows the sum."""
    x = images()
    model = tiny(name)
    lesioned = remove_blocks(model, ["stage2_block2"])
    block = model.get_layer("stage2_block2")
    last = block.branch_layers()[-1]
    for weight in last.trainable_weights:  # kernel, or γ and β too: F(x) = 0
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(numpy(lesioned(x)), numpy(model(x)), rtol=1e-5, atol=1e-6)


@without_values
def test_the_options_of_the_blocks_are_kept():
    model = cifar(1, drop_path_rate=0.3, activation="elu", output_stride=2)
    changed = keras_resnets.with_blocks(model, StackedBlock, name="changed", depth=3)
    assert changed.name == "changed"
    for stage in (1, 2, 3):
        name = f"stage{stage}_block1"
        config = model.get_layer(name).get_config()
        assert changed.get_layer(name).get_config() == {**config, "depth": 3}


@without_values
def test_options_that_only_some_blocks_have_are_kept_among_these():
    spec = keras_resnets.ResNetSpec(
        block="bottleneck", repeats=(1, 1), widths=(4, 8), stem="cifar", stride_on="1x1"
    )
    model = keras_resnets.build_model(spec, input_shape=(6, 6, 3))
    silu = keras_resnets.with_blocks(model, BottleneckBlock, activation="silu")
    assert keras_resnets.model_spec(silu) == dataclasses.replace(spec, activation="silu")


@without_values
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": 3}, TypeError, "`name` must be None or a string.*name=3"),
        ({"name": "a/b"}, ValueError, "`name` must not.*name='a/b'"),
        ({"first": ["depth"]}, TypeError, r"`first` must be a dictionary.*first=\['depth'\]"),
        ({"first": {"name": "x"}}, ValueError, "are no options.*name='x'"),
        ({"filters": 8}, ValueError, "are no options.*filters=8"),
        ({"trainable": False}, ValueError, "are no options.*trainable=False"),
        ({"frozen": ("conv1",)}, ValueError, "are no options.*frozen="),
        ({"depht": 3}, TypeError, "depht"),
        ({"model": 3}, TypeError, "Received: model=3"),
        ({"block": "StackedBlock"}, TypeError, "Received: block='StackedBlock'"),
        ({"block": BottleneckBlock}, ValueError, "block=BottleneckBlock in the place of a Basic"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    arguments = {"model": cifar(1), "block": StackedBlock, **options}
    with pytest.raises(error, match=message):
        keras_resnets.with_blocks(**arguments)


def test_a_model_without_blocks_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.ReLU()])
    with pytest.raises(ValueError, match="none among its 2 layers"):
        keras_resnets.with_blocks(model, StackedBlock)
