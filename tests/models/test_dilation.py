"""Dilation in place of strides: the same network, asked at more positions.

With the same weights, every second (or fourth) position of the dilated network's feature map is
that of the strided network, at the borders too ("à trous"; Chen et al., 2017, section 3.1).
"""

import dataclasses

import numpy as np
import pytest

import keras_resnets
from tests.layer_checks import numpy, randomize

BOTTLENECK = keras_resnets.ResNetSpec(block="bottleneck", repeats=(1, 1, 2, 2), widths=(2, 3, 4, 5))
SPECS = {
    "A": dataclasses.replace(BOTTLENECK, block="basic", shortcut="A"),
    "B": BOTTLENECK,
    "v1": dataclasses.replace(BOTTLENECK, stride_on="1x1"),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_dilated_network_is_a_strided_one_at_more_positions(name):
    strided = keras_resnets.build_model(SPECS[name], include_top=False)
    randomize(strided)
    size = (32, 47)
    x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype("float32")
    expected = numpy(strided(x))
    for output_stride in (16, 8):
        dilated = keras_resnets.build_model(
            dataclasses.replace(SPECS[name], output_stride=output_stride), include_top=False
        )
        dilated.set_weights(strided.get_weights())
        dense = numpy(dilated(x))
        assert dense.shape[1:3] == tuple(-(-length // output_stride) for length in size)
        step = 32 // output_stride
        difference = np.abs(dense[:, ::step, ::step] - expected).max()
        assert difference <= 1e-5 * np.abs(expected).max()


@pytest.mark.usefixtures("without_values")
@pytest.mark.parametrize(
    ("output_stride", "strides", "dilations", "first_dilations"),
    [
        (32, (1, 2, 2, 2), (1, 1, 1, 1), (1, 1, 1, 1)),
        (16, (1, 2, 2, 1), (1, 1, 1, 2), (1, 1, 1, 1)),
        (8, (1, 2, 1, 1), (1, 1, 2, 4), (1, 1, 1, 2)),
    ],
)
def test_strides_become_dilations(output_stride, strides, dilations, first_dilations):
    """As in torchvision: a stage's first block keeps the dilation of the stage before."""
    spec = dataclasses.replace(BOTTLENECK, output_stride=output_stride)
    model = keras_resnets.build_model(spec, include_top=False)
    blocks = {layer.name: layer for layer in model.layers if layer.name.startswith("stage")}
    first = [blocks[f"stage{stage}_block1"] for stage in range(1, 5)]
    assert tuple(block.strides for block in first) == strides
    assert tuple(block.dilation for block in first) == dilations
    assert tuple(block.first_dilation for block in first) == first_dilations
    for name, block in blocks.items():
        if not name.endswith("_block1"):
            assert block.strides == 1
            assert block.first_dilation == block.dilation == dilations[int(name[5]) - 1]
