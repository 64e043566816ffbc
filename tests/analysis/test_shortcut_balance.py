"""What a block adds, against what passes it."""

import numpy as np
import pytest

from keras_resnets.analysis import shortcut_balance
from tests.analysis.networks import images, tiny_model, weights_of
from tests.models.once import once
from tests.reference import WeightedLayers, relu, zero_padded


def test_the_measures_are_those_of_the_formulas():
    model, x = tiny_model(), images(5)
    layers = WeightedLayers(weights_of(model))
    found = shortcut_balance(model, [x[:4], x[4:]])
    x = relu(layers.conv_norm(x.astype("float64"), "stem_conv"))
    for name, stride, filters in (
        ("stage1_block1", 1, 4),
        ("stage2_block1", 2, 8),
        ("stage2_block2", 1, 8),
    ):
        first = layers.conv_norm(x, f"{name}/conv1", stride)
        residual = layers.conv_norm(relu(first), f"{name}/conv2")
        passed = zero_padded(x, stride, filters)
        f, s, i = (values.reshape(5, -1) for values in (residual, passed, x))
        f_norm, s_norm, i_norm = (np.sqrt(np.sum(np.square(v), axis=1)) for v in (f, s, i))
        assert found[name] == pytest.approx(
            {
                "branch_to_input": np.mean(f_norm / i_norm),
                "branch_to_shortcut": np.mean(f_norm / s_norm),
                "cosine": np.mean(np.sum(f * s, axis=1) / (f_norm * s_norm)),
            },
            rel=1e-3,
            abs=1e-5,
        )
        x = relu(residual + passed)


@once
def test_a_block_that_repeats_its_input_is_parallel_to_it():
    """With the identity as kernels, and positive inputs, F(x) = x."""
    model = tiny_model(repeats=(1,), widths=(4,))
    block = model.get_layer("stage1_block1")
    for conv in (block.conv1, block.conv2):
        kernel = np.zeros((3, 3, 4, 4))
        kernel[1, 1] = np.eye(4)
        conv.conv.kernel.assign(kernel)
        conv.norm.set_weights([np.full(4, np.sqrt(1 + 1e-5)), *np.zeros((2, 4)), np.ones(4)])
    measures = shortcut_balance(model, images())["stage1_block1"]
    assert measures == pytest.approx(dict.fromkeys(measures, 1.0), rel=1e-5)


@once
def test_a_plain_block_has_no_sum():
    with pytest.raises(ValueError, match="plain blocks stage1_block1, stage2_block1"):
        shortcut_balance(tiny_model(shortcut=None), images())
