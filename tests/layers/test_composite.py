"""Layers made of layers remember which of these are frozen."""

import functools

import keras
import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, BottleneckBlock, ConvNorm, ProjectionShortcut

SHAPE = (None, 6, 6, 2)


def trainable(layer):
    return [weight.path.partition("/")[2] for weight in layer.trainable_weights]


@pytest.mark.parametrize(
    ("make", "freeze", "names"),
    [
        (lambda: ConvNorm(3, 3), lambda layer: [layer.conv], ["conv"]),
        (lambda: ConvNorm(3, 3), lambda layer: [layer.norm], ["norm"]),
        (
            lambda: ProjectionShortcut(3),
            lambda layer: [layer.conv_norm.norm],
            ["conv_norm/norm"],
        ),
        (
            lambda: BasicBlock(3),
            lambda layer: [layer.conv2.conv, layer.shortcut_layer.conv_norm.norm],
            ["conv2/conv", "projection/conv_norm/norm"],
        ),
        (
            lambda: BottleneckBlock(1, shortcut="A"),
            lambda layer: [layer.conv1],
            ["conv1", "conv1/conv", "conv1/norm"],
        ),
    ],
    ids=["conv", "norm", "projection", "basic", "bottleneck"],
)
def test_frozen_sublayers_stay_frozen(make, freeze, names):
    layer = make()
    layer.build(SHAPE)
    assert layer.get_config()["frozen"] == []
    for sublayer in freeze(layer):
        sublayer.trainable = False
    config = layer.get_config()
    assert sorted(config["frozen"]) == names
    again = type(layer).from_config(config)
    assert sorted(again.get_config()["frozen"]) == names  # before it is built, too
    again.build(SHAPE)
    assert trainable(again) == trainable(layer)
    fresh = make()
    fresh.build(SHAPE)
    assert len(trainable(again)) < len(trainable(fresh))
    assert again.get_config() == config

    again.trainable = False
    again.trainable = True
    assert again.get_config()["frozen"] == []


def test_a_frozen_layer_s_sublayers_are_frozen():
    block = BasicBlock(3, trainable=False)
    block.build(SHAPE)
    assert block.get_config()["frozen"] == []
    assert not block.conv1.norm.trainable
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(block(x, training=True)), keras.ops.convert_to_numpy(block(x))
    )


@pytest.mark.parametrize("frozen", ["conv", None, [1]])
def test_what_is_no_list_of_names(frozen):
    with pytest.raises(TypeError, match=r"`frozen` must be a tuple.*Received: frozen="):
        ConvNorm(3, 3, frozen=frozen)


@pytest.mark.parametrize("make", [BasicBlock, functools.partial(ConvNorm, kernel_size=3)])
def test_a_name_that_is_no_sublayer_s(make):
    layer = make(3, frozen=["convolution"])
    with pytest.raises(ValueError, match=r"must name sublayers: .*conv.*frozen='convolution'"):
        layer.build(SHAPE)
