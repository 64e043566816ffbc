"""How far an exported file may be from its model, and the images that it is compared on."""

import functools
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_resnets.export import ParityError
from keras_resnets.export.parity import Parity, random_images


@pytest.mark.parametrize(
    ("precision", "passes", "fails"),
    [
        ("float64", 0.9e-5, 1.1e-5),
        ("float32", 0.9e-5, 1.1e-5),
        # Ten steps of the type at 1: 10 · 2⁻¹⁰ and 10 · 2⁻⁷.
        ("float16", 0.008, 0.012),
        ("bfloat16", 0.07, 0.09),
    ],
)
def test_16_bits_may_differ_by_what_their_mantissa_rounds(precision, passes, fails):
    inputs = np.linspace(0, 1, 64).reshape(32, 2)
    served = SimpleNamespace(precision=precision, tensor=lambda batch: {"outputs": batch})
    parity = Parity(served, SimpleNamespace(inputs=lambda signature: inputs))

    def off_by(error):
        return {"tensor": lambda batch: {"outputs": batch + error}}

    assert parity.check("onnx", off_by(passes)) == pytest.approx(passes)
    with pytest.raises(ParityError, match=f"a difference of {fails:.2g}"):
        parity.check("onnx", off_by(fails))
    for other in (lambda batch: {"outputs": batch[:1]}, lambda batch: {"output_0": batch}):
        with pytest.raises(ParityError, match="a difference of inf"):
            parity.check("onnx", {"tensor": other})


def test_a_class_that_is_masked_out_may_be_so_in_the_file():
    """Its logit is −∞ in both; a file that is infinite elsewhere differs."""
    logits = np.linspace(-3, 3, 96).reshape(32, 3)
    logits[:, 1] = -np.inf
    served = SimpleNamespace(precision="float32", tensor=lambda batch: {"outputs": batch})
    parity = Parity(served, SimpleNamespace(inputs=lambda signature: logits))

    def answering(change):
        return {"tensor": lambda batch: {"outputs": change(batch)}}

    assert parity.check("onnx", answering(lambda batch: batch)) == 0
    lowest = np.finfo("float32").min  # as LiteRT has it
    assert parity.check("litert", answering(lambda batch: np.maximum(batch, lowest))) == 0
    assert parity.check("onnx", answering(lambda batch: batch + 3e-6)) == pytest.approx(1e-6)
    for change in (
        lambda batch: -batch,
        lambda batch: np.maximum(batch, -9),
        lambda batch: batch * np.nan,
    ):
        with pytest.raises(ParityError):
            parity.check("onnx", answering(change))


def test_nan_in_any_output_is_a_difference():
    inputs = np.linspace(0, 1, 64).reshape(32, 2)
    served = SimpleNamespace(precision="float32", tensor=lambda batch: {"a": batch, "b": batch})
    parity = Parity(served, SimpleNamespace(inputs=lambda signature: inputs))
    for name in "ab":
        wrong = functools.partial(
            lambda name, batch: served.tensor(batch) | {name: batch * np.nan}, name
        )
        with pytest.raises(ParityError, match="a difference of nan"):
            parity.check("onnx", {"tensor": wrong})


def test_what_a_signature_calls_scores_must_be_probabilities():
    inputs = np.linspace(-1, 2, 64).reshape(32, 2)
    layers = [keras.Input((2,)), keras.layers.Activation("softmax")]
    served = SimpleNamespace(
        precision="float32",
        scores=None,
        image=lambda batch: {"scores": batch},
        tensor=lambda batch: {"outputs": batch},
        model=keras.Sequential(layers, name="changed"),
    )
    parity = Parity(served, SimpleNamespace(inputs=lambda signature: inputs))
    with pytest.raises(ValueError, match=r"'changed', .*'softmax' .* from -1 to 2$"):
        parity.check("saved_model", {"image": lambda batch: {"scores": batch}})


@pytest.mark.parametrize(("activation", "middle"), [("linear", 0.0), ("sigmoid", 0.5)])
def test_of_one_unit_those_agree_that_are_on_the_same_side(activation, middle):
    layers = [keras.Input((1,)), keras.layers.Activation(activation)]
    served = SimpleNamespace(
        precision="float32",
        scores=None,
        model=keras.Sequential(layers),
        tensor=lambda batch: {"outputs": middle + batch},
    )
    tensors = np.array([[-0.4], [-0.1], [0.1], [0.4]])
    parity = Parity(served, SimpleNamespace(tensors=tensors))
    _, agreement = parity.agreement(lambda batch: {"outputs": middle + 0.2 + batch})
    assert agreement == 0.75


def test_random_images_have_surfaces_edges_and_no_clipped_values():
    images = random_images(8, 96, 112, 3)
    assert images.shape == (8, 96, 112, 3)
    assert images.dtype == np.uint8
    assert 0 < images.min() < 60
    assert 200 < images.max() < 255
    steps = np.abs(np.diff(images.astype("float64"), axis=2))
    assert np.mean(steps.max(axis=3) == 0) > 0.9  # of uniform noise 1 / 256³
    assert np.mean(steps.max(axis=3) > 20) > 0.01
    # Of photographs and of discs the channels are alike, of uniform noise they are not.
    red, green, _ = images.reshape(-1, 3).T
    assert np.corrcoef(red, green)[0, 1] > 0.8


def test_random_images_are_the_same_ones_every_time_and_differ_among_themselves():
    images = random_images(4, 20, 30, 1)
    np.testing.assert_array_equal(images, random_images(4, 20, 30, 1))
    assert len(np.unique(images, axis=0)) == 4
