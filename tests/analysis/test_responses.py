"""Figure 7, and what a block adds against what passes it: held to a network in NumPy."""

import keras
import numpy as np
import pytest

from keras_resnets import ResNetSpec, build_model
from keras_resnets.analysis import gradient_norms, layer_responses, shortcut_balance
from tests.analysis.networks import images, tiny_model, weights_of
from tests.models.once import once
from tests.reference import WeightedLayers, relu, zero_padded

# Name, strides of the block, output channels of the branch.
BLOCKS = {
    "basic": [("stage1_block1", 1, 4), ("stage2_block1", 2, 8), ("stage2_block2", 1, 8)],
    "bottleneck": [("stage1_block1", 1, 16), ("stage2_block1", 2, 32), ("stage2_block2", 1, 32)],
}


def expected_outputs(model, x, block, is_plain):
    """Returns each 3×3 layer's normalized output, by the formulas."""
    layers = WeightedLayers(weights_of(model))
    outputs = {"stem_conv": layers.conv_norm(x, "stem_conv")}
    x = relu(outputs["stem_conv"])
    for name, stride, filters in BLOCKS[block]:
        if block == "basic":
            first = layers.conv_norm(x, f"{name}/conv1", stride)
            last = layers.conv_norm(relu(first), f"{name}/conv2")
            outputs |= {f"{name}/conv1": first, f"{name}/conv2": last}
        else:
            first = layers.conv_norm(x, f"{name}/conv1")
            second = layers.conv_norm(relu(first), f"{name}/conv2", stride)
            last = layers.conv_norm(relu(second), f"{name}/conv3")
            outputs[f"{name}/conv2"] = second
        x = relu(last if is_plain else last + zero_padded(x, stride, filters))
    return outputs


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("shortcut", ["A", None])
def test_the_responses_are_those_of_the_formulas(block, shortcut):
    model = tiny_model(block, shortcut)
    x = images(5)
    found = layer_responses(model, [x[:2], (x[2:], np.zeros(3))])
    expected = expected_outputs(model, x.astype("float64"), block, is_plain=shortcut is None)
    assert list(found) == list(expected)
    for name, outputs in expected.items():
        assert found[name] == pytest.approx(outputs.std(), rel=1e-4), name


@once
def test_a_7x7_stem_is_no_3x3_layer():
    spec = ResNetSpec(block="basic", repeats=(1,), widths=(2,), stem="imagenet")
    model = build_model(spec, include_top=False, input_shape=(8, 8, 3))
    found = layer_responses(model, np.zeros((1, 8, 8, 3)))
    assert list(found) == ["stage1_block1/conv1", "stage1_block1/conv2"]


@once
def test_a_layer_in_two_models_is_measured_in_the_one_that_is_asked_for():
    model = tiny_model()
    x = keras.Input((6, 6, 3))
    doubled = keras.layers.Rescaling(2.0)(x)
    for layer in model.layers[1:]:
        doubled = layer(doubled)
    other = keras.Model(x, doubled)
    expected = layer_responses(model, 2.0 * images())
    assert layer_responses(other, images()) == pytest.approx(expected, rel=1e-5)


@once
def test_what_cannot_be_measured_is_refused():
    with pytest.raises(TypeError, match=r"functional keras\.Model or .* Received: model=None"):
        layer_responses(None, images())
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises((TypeError, ValueError), match="`model` must"):
        layer_responses(dense, images())
    x = keras.Input((6, 6, 3))
    with pytest.raises(ValueError, match="must have blocks of this package"):
        layer_responses(keras.Model(x, keras.layers.Flatten()(x)), images())


@once
@pytest.mark.parametrize("shape", [(5, 6, 3), (6, 6, 1)])
def test_images_of_another_shape_are_refused_with_both_shapes(shape):
    model = tiny_model()
    message = rf"\(None, 6, 6, 3\). Received: .* \(2, {shape[0]}, 6, {shape[2]}\)"
    for diagnostic in (
        layer_responses,
        shortcut_balance,
        lambda model, data: gradient_norms(model, (data, np.zeros(2)), "mse"),
    ):
        with pytest.raises(ValueError, match=message):
            diagnostic(model, np.zeros((2, *shape)))


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
def test_a_plain_block_has_no_sum():
    with pytest.raises(ValueError, match="plain blocks stage1_block1, stage2_block1"):
        shortcut_balance(tiny_model(shortcut=None), images())
