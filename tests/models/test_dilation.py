"""Dilation in place of strides: the same network, asked at more positions.

With the same weights, every second (or fourth) position of the dilated network's feature map is
that of the strided network, at the borders too ("à trous"; Chen et al., 2017, section 3.1). This
holds for no other dilations, nor for another first block of a stage, nor with squeeze and
excitation, whose means are over more positions.
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
    "D": dataclasses.replace(BOTTLENECK, shortcut="D", groups=2, width_per_group=64, stem="deep"),
    "blur": dataclasses.replace(BOTTLENECK, block="basic", anti_alias="blur"),
    "average": dataclasses.replace(
        BOTTLENECK, anti_alias="average", shortcut="D", stem="deep_strided"
    ),
    "pre": dataclasses.replace(
        BOTTLENECK, pre_activation=True, anti_alias="blur", shortcut="D", dropout_rate=0.1
    ),
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
