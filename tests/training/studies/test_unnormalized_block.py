"""The basic block without batch normalization."""

import numpy as np
import pytest

from tests.layer_checks import check_layer
from training.studies.unnormalized_block import UnnormalizedBlock


def test_layer(tmp_path):
    # 3×3 convolutions from 3 to 4 and from 4 to 4 channels with biases; option A has no weights.
    parameters = 9 * (3 * 4 + 4 * 4) + 2 * 4

    def make(**kwargs):
        return UnnormalizedBlock(4, strides=2, shortcut="A", **kwargs)

    check_layer(make, (2, 5, 6, 3), (2, 3, 3, 4), parameters, 0, tmp_path)


def test_the_strided_convolution_is_padded_on_both_sides():
    block = UnnormalizedBlock(1, strides=2, shortcut=None, activation="linear")
    x = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
    block.build(x.shape)
    for weight in block.weights:
        weight.assign(np.zeros(weight.shape))
    block.conv1.kernel.assign(_centre())
    block.conv2.kernel.assign(_centre())
    # A kernel with a 1 in its centre picks every second row and column from the first on.
    np.testing.assert_array_equal(np.asarray(block(x))[0, :, :, 0], [[0, 2], [8, 10]])


def _centre():
    kernel = np.zeros((3, 3, 1, 1), "float32")
    kernel[1, 1] = 1.0
    return kernel


def test_there_is_no_gamma_to_begin_at_zero():
    with pytest.raises(ValueError, match="needs a normalization"):
        UnnormalizedBlock(4, zero_init_residual=True).build((None, 8, 8, 4))
