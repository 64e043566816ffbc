"""The basic block without batch normalization."""

import numpy as np
import pytest

from keras_resnets import fuse_batch_norm, plain_twin, with_blocks
from keras_resnets.analysis import assert_same_cost
from keras_resnets.layers import UnnormalizedBlock
from tests.analysis.networks import images, tiny_model
from tests.layer_checks import numpy, randomize


def test_the_strided_convolution_is_padded_on_both_sides():
    block = UnnormalizedBlock(1, strides=2, shortcut=None, activation="linear")
    x = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
    block.build(x.shape)
    for weight in block.weights:
        weight.assign(np.zeros(weight.shape))
    block.conv1.kernel.assign(_centre())
    block.conv2.kernel.assign(_centre())
    # A kernel with a 1 in its centre picks every second row and column from the first on.
    np.testing.assert_array_equal(numpy(block(x))[0, :, :, 0], [[0, 2], [8, 10]])


def _centre():
    kernel = np.zeros((3, 3, 1, 1), "float32")
    kernel[1, 1] = 1.0
    return kernel


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zero_init_residual": True}, "needs a normalization.*zero_init_residual=True"),
        ({"folded": True, "shortcut": "A"}, "has none but a projection's.*folded=True"),
        ({"folded": True, "shortcut": None}, "has none but a projection's.*folded=True"),
    ],
)
def test_what_needs_a_normalization_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        UnnormalizedBlock(4, **options)


def test_a_network_that_begins_as_its_shortcuts_cannot_lose_its_normalization():
    model = tiny_model(shortcut="A", zero_init_residual=True)
    # Keras makes a TypeError of what a configuration's class raises.
    with pytest.raises(TypeError, match="needs a normalization"):
        with_blocks(model, UnnormalizedBlock)
    assert with_blocks(model, UnnormalizedBlock, zero_init_residual=False)


def test_what_normalizations_there_are_can_be_fused():
    model = with_blocks(tiny_model(shortcut="B"), UnnormalizedBlock)
    for layer in model.layers:
        randomize(layer)
    fused = fuse_batch_norm(model)
    np.testing.assert_allclose(numpy(fused(images())), numpy(model(images())), atol=1e-5)
    # The kernels and biases of the stem, six convolutions, the classifier and the projection.
    assert len(fused.weights) == 2 * (1 + 6 + 1 + 1)


def test_the_twin_costs_the_same():
    model = with_blocks(tiny_model(shortcut="A"), UnnormalizedBlock)
    assert_same_cost(model, plain_twin(model))
