"""How far weights move."""

import keras
import numpy as np
import pytest

from keras_resnets.analysis import snapshot, update_ratios
from tests.analysis.networks import tiny_model


def test_a_weight_that_grows_by_a_tenth_has_moved_by_a_tenth():
    model = tiny_model()
    before = snapshot(model)
    for weight in model.trainable_weights:
        weight.assign(1.1 * np.array(before[weight.path]))
    ratios = update_ratios(before, snapshot(model))
    assert list(ratios) == [weight.path for weight in model.trainable_weights]
    assert ratios == pytest.approx(dict.fromkeys(before, 0.1), rel=1e-4)


def test_a_snapshot_does_not_follow_the_model():
    model = tiny_model()
    before = snapshot(model)
    kept = {path: value.copy() for path, value in before.items()}
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    for path, value in kept.items():
        np.testing.assert_array_equal(before[path], value)


def test_of_a_weight_that_was_zero_there_is_no_ratio():
    assert update_ratios({"beta": np.zeros(2)}, {"beta": np.ones(2)}) == {"beta": None}


def test_snapshots_of_other_weights_are_refused():
    with pytest.raises(ValueError, match=r"'b' with the shapes absent and \(3,\)"):
        update_ratios({"a": np.ones(2)}, {"a": np.ones(2), "b": np.ones(3)})
    with pytest.raises(ValueError, match=r"'a' with the shapes \(2,\) and absent"):
        update_ratios({"a": np.ones(2)}, {"b": np.ones(2)})
    with pytest.raises(ValueError, match=r"'a' with the shapes \(2,\) and \(1, 2\)"):
        update_ratios({"a": np.ones(2)}, {"a": np.ones((1, 2))})


@pytest.mark.parametrize("value", [3, [1.0, 2.0], 1.0, None, np.array("x"), np.array([None])])
def test_what_is_no_snapshot_is_refused(value):
    weights = {"a": np.ones(2)}
    with pytest.raises(
        TypeError, match=r"`before` must be what `snapshot` gave.*Received: 'a' with"
    ):
        update_ratios({"a": value}, weights)
    with pytest.raises(TypeError, match=r"`after` must be what `snapshot` gave.*Received: after="):
        update_ratios(weights, value)


def test_a_snapshot_needs_the_weights_of_a_model():
    with pytest.raises(TypeError, match="Received: model=3"):
        snapshot(3)
    with pytest.raises(ValueError, match="must be built"):
        snapshot(keras.Sequential([keras.layers.Dense(2)]))


def test_what_went_from_zero_to_zero_has_no_ratio_either():
    assert update_ratios({"beta": np.zeros(2)}, {"beta": np.zeros(2)}) == {"beta": None}
