"""Scoring a split: what is not a finite number has no score."""

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from training.loop.evaluate import evaluate, make_score_function  # noqa: E402
from training.process import Diverged  # noqa: E402


def scores_of(outputs, crops=None, puts_out_logits=True):
    """Evaluates a model that puts out its input: outputs of six examples and three classes."""
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    outputs = np.asarray(outputs, "float32")
    if crops:
        # A crop is an image of (height, width, channels): here of one row and column.
        model = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.Flatten()])
        outputs = np.repeat(outputs[:, np.newaxis, np.newaxis, np.newaxis], crops, axis=1)
    size = len(outputs)
    examples = {
        "image": outputs,
        "label": np.arange(size) % 3,
        "index": np.arange(size),
        "weight": np.ones(size, "float32"),
    }
    batches = tf.data.Dataset.from_tensor_slices(examples).batch(4)
    return evaluate(make_score_function(strategy, model, puts_out_logits), batches, size, 3)


OUTPUTS = np.eye(3)[[0, 1, 2, 0, 1, 1]]


@pytest.mark.parametrize("crops", [None, 2])
def test_finite_outputs_are_scored(crops):
    assert scores_of(OUTPUTS, crops).top1 == pytest.approx(5 / 6)
    # A logit of −∞ is a probability of 0.
    assert scores_of(np.where(OUTPUTS == 1, 1, -np.inf)).top1 == pytest.approx(5 / 6)
    assert scores_of(OUTPUTS, puts_out_logits=False).top1 == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("bad", "label", "puts_out_logits", "crops"),  # each pair of two values
    [
        *((np.nan, 0, True, None), (np.nan, 1, False, 2), (np.nan, 2, True, 2)),
        *((np.inf, 0, False, 2), (np.inf, 1, True, None), (np.inf, 2, False, None)),
    ],
)
def test_an_output_that_is_not_finite_is_a_divergence(bad, label, puts_out_logits, crops):
    outputs = OUTPUTS.copy()
    outputs[[2, 5], label] = bad
    with pytest.raises(Diverged, match=r"for 2 of the split's 6 examples .* first .* example 2$"):
        scores_of(outputs, crops, puts_out_logits)
