"""The published CIFAR checkpoints, against what the original networks answer."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import convert_weights
from tests.subprocesses import ROOT

DATA = ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the checkpoints are not here")


@pytest.mark.parametrize(
    ("name", "depth", "count", "accuracy"),
    [("resnet20-12fca82f", 20, 500, 0.910), ("resnet56-4bfd9763", 56, 50, None)],
)
def test_the_logits_are_the_original_s(name, depth, count, accuracy):
    with np.load(DATA / "cifar10_test_first500.npz") as test:
        images, labels = test["images"][:count], test["labels"][:count]
    with np.load(DATA / "torch_cifar" / f"resnet{depth}_expected_logits.npz") as expected:
        reference = expected["logits"][:count]
    path = DATA / "torch_cifar" / f"{name}.th"
    model = convert_weights(path, classifier_activation="linear")
    assert keras_resnets.model_spec(model).depth == depth
    logits = model(keras_resnets.preprocess_input(images, model), training=False)
    logits = keras.ops.convert_to_numpy(logits)
    assert np.abs(logits - reference).max() <= 1e-4 * (1 + np.abs(reference).max())
    np.testing.assert_array_equal(logits.argmax(axis=1), reference.argmax(axis=1))
    assert accuracy in (None, np.mean(logits.argmax(axis=1) == labels))


def test_a_factory_takes_the_file():
    path = DATA / "torch_cifar" / "resnet20-12fca82f.th"
    with pytest.warns(UserWarning, match="resnet20: zero_pad is the file's, 'both', not 'end'"):
        model = keras_resnets.ResNet20(weights=path)
    for weight, converted in zip(model.weights, convert_weights(path).weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), converted.numpy(), err_msg=weight.path)
