"""Figure 4 of He et al., 2016: each order, step by step in NumPy."""

import re

import numpy as np
import pytest

from keras_resnets.layers import OrderedBlock
from tests.layer_checks import numpy, randomize, weights_by_path
from tests.reference import WeightedLayers, conv2d, relu, zero_padded

# (a) to (e): the branch, and what follows the sum.
FIGURE_4 = {
    "original": ("conv1 conv1/norm act conv2 conv2/norm", "act"),
    "norm_after_addition": ("conv1 conv1/norm act conv2", "sum_norm act"),
    "activation_before_addition": ("conv1 conv1/norm act conv2 conv2/norm act", ""),
    "activation_only_pre_activation": ("act conv1 conv1/norm act conv2 conv2/norm", ""),
    "full_pre_activation": ("start_norm act conv1 conv1/norm act conv2", ""),
}


def follow(steps, weights, x, act, strides=1):
    """Goes through the steps, one by one; the first convolution has the stride."""
    layers = WeightedLayers(weights)
    for step in steps.split():
        if step == "act":
            x = act(x)
        elif step.endswith("norm"):
            x = layers.norm(x, step)
        else:
            kernel = next(path for path in weights if re.fullmatch(f"{step}(/conv)?/kernel", path))
            x = conv2d(x, layers.weights[kernel], strides if step == "conv1" else 1)
    return x


def built(x, *arguments, **options):
    block = OrderedBlock(*arguments, **options)
    block.build(x.shape)
    randomize(block)
    return block


@pytest.mark.parametrize("order", FIGURE_4)
@pytest.mark.parametrize("shortcut", ["A", None])
def test_matches_numpy(order, shortcut, rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype("float32")
    block = built(x, 4, 2, shortcut, "tanh", order=order)
    weights = weights_by_path(block)
    branch, end = FIGURE_4[order]
    y = follow(branch, weights, x.astype("float64"), np.tanh, strides=2)
    if shortcut == "A":
        y = y + zero_padded(x.astype("float64"), 2, 4)
    expected = follow(end, weights, y, np.tanh)
    np.testing.assert_allclose(numpy(block(x)), expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("order", "norms"), [("full_pre_activation", 1), ("activation_only_pre_activation", 0)]
)
def test_the_first_and_the_last_block_of_a_network(order, norms, rng):
    """The appendix of the paper: no pre-activation in the first, one more after the last sum."""
    x = rng.standard_normal((2, 5, 6, 4)).astype("float32")
    names = {}
    for position in ("first", "inner", "last", "only"):
        block = built(x, 4, order=order, position=position)
        names[position] = [layer.name for layer in block.branch_layers()]
        end = ("sum_norm act" if norms else "act") if position in ("last", "only") else ""
        expected = follow(end, weights_by_path(block), numpy(block.branch(x)) + x, relu)
        np.testing.assert_allclose(numpy(block(x)), expected, rtol=1e-4, atol=2e-5)
    assert names["first"] == names["only"] == ["conv1", "activation1", "conv2"]
    assert names["inner"] == names["last"]
    assert names["inner"][-3:] == names["first"]
    assert len(names["inner"]) == 3 + 1 + norms


def test_zero_init_needs_a_normalization_at_the_end():
    block = OrderedBlock(4, zero_init_residual=True, order="activation_only_pre_activation")
    x = np.ones((1, 5, 6, 4), "float32")
    np.testing.assert_array_equal(numpy(block(x)), x)
    with pytest.raises(ValueError, match="order='full_pre_activation'"):
        OrderedBlock(4, zero_init_residual=True, order="full_pre_activation")


@pytest.mark.parametrize("option", ["order", "position"])
def test_other_names_are_refused(option):
    with pytest.raises(ValueError, match=f"Received: {option}='elsewhere'"):
        OrderedBlock(4, **{option: "elsewhere"})
