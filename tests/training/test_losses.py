"""The losses, against their formulas in NumPy."""

import keras
import numpy as np
import pytest

from training.optim.losses import build_loss
from training.recipe.recipe import Loss


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def binary(targets, logits):
    positive = 1 / (1 + np.exp(-logits))
    return -(targets * np.log(positive) + (1 - targets) * np.log(1 - positive)).mean(axis=-1)


def smooth(targets, part):
    return (1 - part) * targets + part / targets.shape[-1]


@pytest.fixture
def logits(rng):
    return 3 * rng.standard_normal((6, 5))


@pytest.fixture
def hard(rng):
    return np.eye(5)[rng.integers(0, 5, 6)]


@pytest.fixture
def mixed(hard):
    shares = np.array([[0.9], [0.7], [0.5], [0.25], [0.1], [1.0]])
    return shares * hard + (1 - shares) * hard[::-1]


def softmax(targets, logits):
    return -(targets * log_softmax(logits)).sum(axis=-1)


@pytest.mark.parametrize(("name", "formula"), [("softmax", softmax), ("bce", binary)])
@pytest.mark.parametrize("part", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["hard", "mixed"])
def test_losses(name, formula, kind, part, logits, request):
    targets = request.getfixturevalue(kind)
    losses = build_loss(Loss(name=name, label_smoothing=part))(targets, logits)
    np.testing.assert_allclose(losses, formula(smooth(targets, part), logits), rtol=2e-6)


def test_binary_with_a_threshold_counts_classes_as_present(logits):
    targets = np.zeros((6, 5))
    targets[:, 0], targets[:, 3] = [0.9, 0.7, 0.5, 0.25, 0.19, 1], [0.1, 0.3, 0.5, 0.75, 0.81, 0]
    present = np.zeros((6, 5))
    present[:, 0], present[:, 3] = [1, 1, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]
    losses = build_loss(Loss(name="bce", target_threshold=0.2))(targets, logits)
    np.testing.assert_allclose(losses, binary(present, logits), rtol=2e-6)


@pytest.mark.parametrize("name", ["softmax", "bce"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_loss_is_float32_under_mixed_precision(name, dtype, hard, logits):
    rounded = keras.ops.cast(logits, dtype)
    losses = build_loss(Loss(name=name, label_smoothing=0.1))(hard, rounded)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    exact = build_loss(Loss(name=name, label_smoothing=0.1))(
        hard, np.array(keras.ops.cast(rounded, "float32"))
    )
    np.testing.assert_allclose(losses, exact, rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "bce"])
def test_large_logits_have_finite_losses(name):
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]])
    losses = np.array(build_loss(Loss(name=name))(np.eye(2)[[0, 0]], logits))
    np.testing.assert_allclose(losses[0], 0, atol=1e-6)
    assert losses[1] >= 1e4
    assert np.isfinite(losses).all()
