import copy
import functools

import keras
import numpy as np
import pytest

from keras_resnets.layers import (
    BasicBlock,
    ConvNorm,
    IdentityShortcut,
    ProjectionShortcut,
    ResidualBlock,
)
from tests.layer_checks import check_layer, numpy, weights_by_path
from tests.layers.blocks import BLOCKS, feature_maps, make_block


@keras.saving.register_keras_serializable(package="tests")
class OneLayerBlock(ResidualBlock):
    """The paper's y = W₁x + x, on which it observed no advantage."""

    def create_branch(self):
        return [ConvNorm(self.filters, 3, strides=self.strides, dtype=self.dtype_policy, name="w1")]


def test_the_block_is_abstract():
    with pytest.raises(TypeError, match=r"abstract.*create_branch"):
        ResidualBlock(4)


def test_a_block_of_ones_own(tmp_path):
    check_layer(
        functools.partial(OneLayerBlock, 4, strides=2),
        (2, 5, 6, 3),
        (2, 3, 3, 4),
        parameters=9 * 3 * 4 + 8 + 3 * 4 + 8,
        statistics=16,
        folder=tmp_path,
    )


def test_a_block_of_ones_own_adds_and_activates(rng):
    x = feature_maps(rng, 4)
    block = make_block(OneLayerBlock, x)
    y = np.maximum(numpy(block.w1(x)) + x, 0)
    np.testing.assert_allclose(numpy(block(x)), y, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "names", [("conv", "conv"), ("filters",), ("call",), ("drop_path",), (None,)], ids=str
)
def test_branch_layers_need_names_of_their_own(names):
    """Else one would replace another, or a saved model would not find its weights again."""

    class BadlyNamedBlock(ResidualBlock):
        def create_branch(self):
            return [ConvNorm(self.filters, 1, name=name) for name in names]

    with pytest.raises(ValueError, match=r"`name`.* Received: name="):
        BadlyNamedBlock(4).build((None, 5, 6, 3))


@pytest.mark.parametrize("make", [lambda: keras.layers.Conv2D(4, 1), keras.layers.PReLU])
def test_names_that_keras_counts_are_no_names_of_their_own(make):
    """They differ from one session to the next: `conv2d`, `conv2d_1`, …"""

    class UnnamedBlock(ResidualBlock):
        def create_branch(self):
            return [make()]

    for _ in range(2):
        with pytest.raises(ValueError, match=r"Each layer of a branch needs a `name`"):
            UnnamedBlock(4).build((None, 5, 6, 3))


@pytest.mark.parametrize("cls", BLOCKS)
@pytest.mark.parametrize(
    ("shortcut", "strides", "channels", "projects"),
    [
        ("A", 1, 4, False),
        ("A", 2, 4, False),
        ("A", 1, 3, False),
        ("A", 2, 3, False),
        ("B", 1, 4, False),
        ("B", 2, 4, True),
        ("B", 1, 3, True),
        ("B", 1, 5, True),
        ("B", 2, 3, True),
        ("C", 1, 4, True),
        ("C", 2, 4, True),
        ("C", 1, 3, True),
        (None, 1, 4, False),
        (None, 2, 3, False),
    ],
)
def test_which_blocks_project(cls, shortcut, strides, channels, projects):
    block = cls(4 // cls.expansion, strides=strides, shortcut=shortcut)
    block.build((None, 5, 6, channels))
    beside = {path for path in weights_by_path(block) if not path.startswith("conv")}
    projection = {"conv/kernel", *(f"norm/{name}" for name in ("gamma", "beta"))}
    projection |= {"norm/moving_mean", "norm/moving_variance"}
    assert beside == (
        {f"projection/conv_norm/{path}" for path in projection} if projects else set()
    )
    expected = None if shortcut is None else ProjectionShortcut if projects else IdentityShortcut
    assert type(block.shortcut_layer) is (type(None) if expected is None else expected)
    assert block.compute_output_shape((None, 5, 6, channels))[-1] == 4


@pytest.mark.parametrize("cls", BLOCKS)
def test_the_branch_is_the_same_with_any_shortcut(cls):
    branches = []
    for shortcut in ["A", "B", "C", None]:
        block = cls(4 // cls.expansion, strides=2, shortcut=shortcut)
        block.build((None, 5, 6, 3))
        branches.append(
            {
                path: value.shape
                for path, value in weights_by_path(block).items()
                if path.startswith("conv")
            }
        )
    assert branches[0] == branches[1] == branches[2] == branches[3]


@pytest.mark.parametrize("cls", BLOCKS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("shortcut", "strides"), [("A", 2), ("B", 1), ("B", 2), ("C", 1)])
def test_the_output_is_the_activated_sum(cls, shortcut, strides, training, rng):
    x = feature_maps(rng, 4)
    block = make_block(cls, x, shortcut=shortcut, strides=strides)
    twin = copy.deepcopy(block)  # calls in training move the statistics
    branch = numpy(twin.branch(x, training=training))
    beside = numpy(twin.shortcut_path(x, training=training))
    y = numpy(block(x, training=training))
    np.testing.assert_allclose(y, np.maximum(branch + beside, 0), rtol=1e-5, atol=1e-6)
    if shortcut == "B" and strides == 1:
        np.testing.assert_array_equal(beside, x)
    for one, other in zip(block.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("cls", BLOCKS)
def test_a_plain_block_is_its_activated_branch(cls, rng):
    x = feature_maps(rng, 4)
    block = make_block(cls, x, shortcut=None)
    np.testing.assert_array_equal(numpy(block(x)), np.maximum(numpy(block.branch(x)), 0))
    with pytest.raises(ValueError, match=r"Received: shortcut=None"):
        block.shortcut_path(x)


@pytest.mark.parametrize("cls", BLOCKS)
@pytest.mark.parametrize("method", ["branch", "shortcut_path"])
def test_a_block_can_be_inspected_before_its_first_call(cls, method, rng):
    x = feature_maps(rng)
    block = cls(4 // cls.expansion, strides=2, name="block")
    assert block.branch_layers() == []
    part = numpy(getattr(block, method)(x))
    assert part.shape == (2, 3, 3, 4)
    assert block.built
    assert all(weight.path.startswith("block/") for weight in block.weights)

    before = block.get_weights()
    block(x)
    for one, other in zip(block.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(numpy(getattr(block, method)(x)), part)


def test_a_model_of_the_branch(rng):
    """`branch` takes symbolic inputs too, for a model that shows F(x)."""
    x = feature_maps(rng)
    block = make_block(BasicBlock, x)
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, [block.branch(inputs), block.shortcut_path(inputs)])
    for y, part in zip(model(x), (block.branch(x), block.shortcut_path(x)), strict=True):
        np.testing.assert_allclose(numpy(y), numpy(part), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_parts_compute_in_the_blocks_type(policy, rng):
    x = feature_maps(rng)
    block = BasicBlock(4, dtype=policy)
    for part in (block.branch(x), block.shortcut_path(x), block(x)):
        assert keras.backend.standardize_dtype(part.dtype) == block.compute_dtype
