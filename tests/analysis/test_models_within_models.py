"""A network of the zoo within another model: what is said of it is what is said of it alone."""

import keras
import numpy as np
import pytest

from keras_resnets.analysis import (
    explain,
    gradient_norms,
    layer_responses,
    remove_blocks,
    reorder_blocks,
    shortcut_balance,
)
from tests.analysis.networks import images, labels, tiny_model
from tests.layer_checks import numpy
from tests.models.once import once

pytestmark = once
LOSS = "sparse_categorical_crossentropy"


def preprocessing():
    """Doubles the images, by statistics that `set_weights` alone would not bring into effect."""
    layer = keras.layers.Normalization(axis=None, name="normalization")
    layer.adapt(np.array([-0.5, 0.5]))  # mean 0 and standard deviation 1/2
    return layer


def sequential(model):
    return keras.Sequential([keras.Input((6, 6, 3)), preprocessing(), model])


def sequential_of_layers(model):
    return keras.Sequential([keras.Input((6, 6, 3)), preprocessing(), *model.layers[1:]])


def functional(model):
    x = keras.Input((6, 6, 3))
    return keras.Model(x, model(preprocessing()(x)))


def two_deep(model):
    return keras.Sequential([keras.Input((6, 6, 3)), functional(model)])


WITHIN = [sequential, sequential_of_layers, functional, two_deep]


@pytest.mark.parametrize("within", WITHIN)
def test_the_measures_are_those_of_the_network_alone(within):
    model = tiny_model()
    outer = within(model)
    for diagnostic in (layer_responses, shortcut_balance):
        found, expected = diagnostic(outer, images()), diagnostic(model, 2 * images())
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("within", WITHIN)
def test_lesions_leave_the_rest_as_it_is(within):
    model = tiny_model(repeats=(3,), widths=(4,))
    outer, x = within(model), images()
    before = numpy(outer(x))
    np.testing.assert_allclose(before, numpy(model(2 * x)), rtol=1e-4)
    for lesion, blocks in (
        (remove_blocks, ["stage1_block2"]),
        (reorder_blocks, ["stage1_block3", "stage1_block1", "stage1_block2"]),
    ):
        lesioned = lesion(outer, blocks, name="lesioned")
        expected = numpy(lesion(model, blocks)(2 * x))
        np.testing.assert_allclose(numpy(lesioned(x)), expected, rtol=1e-4)
        assert not np.allclose(expected, before, atol=1e-3)
        assert lesioned.name == "lesioned"
    np.testing.assert_array_equal(numpy(outer(x)), before)


def test_a_network_is_explained_by_itself():
    model = tiny_model()
    assert explain(sequential(model)) == explain(model)


def test_gradients_reach_all_weights():
    model = tiny_model()
    expected = gradient_norms(model, (2 * images(), labels()), LOSS)
    found = gradient_norms(two_deep(model), (images(), labels()), LOSS)
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-3, abs=1e-6)


class Holder(keras.Model):
    def __init__(self):
        super().__init__()
        self.backbone = tiny_model()

    def call(self, x):
        return self.backbone(x)


@pytest.fixture(scope="module")
def both():
    x = keras.Input((6, 6, 3))
    outputs = [tiny_model()(x), tiny_model("bottleneck")(x)]
    return keras.Model(x, keras.layers.Add()(outputs), name="both")


@pytest.mark.parametrize(
    "diagnostic",
    [
        explain,
        lambda model: layer_responses(model, images()),
        lambda model: shortcut_balance(model, images()),
        lambda model: remove_blocks(model, []),
    ],
)
def test_which_network_is_meant_must_be_clear(diagnostic, both):
    message = r"`model\.get_layer\('tiny_basic'\)`.*'both' with those of 'tiny_basic', 'tiny_bott"
    with pytest.raises(ValueError, match=message):
        diagnostic(both)
    with pytest.raises(TypeError, match="of another that holds such a model, pass that one"):
        diagnostic(Holder())
    with pytest.raises(ValueError, match=r"begin with a keras\.Input"):
        diagnostic(keras.Sequential([keras.layers.Rescaling(2.0), tiny_model()]))
