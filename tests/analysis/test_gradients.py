"""The norms of the gradients, and how far weights move, on every backend."""

import keras
import numpy as np
import pytest

from keras_resnets.analysis import gradient_norms, snapshot, update_ratios
from tests.analysis.networks import images, labels, tiny_model
from tests.gradients import value_and_gradients
from tests.models.once import once

LOSS = "sparse_categorical_crossentropy"


def test_a_linear_classifier_s_gradient_is_the_one_on_paper():
    """For logits Wᵀx + b and softmax cross-entropy: ∂/∂W = xᵀ(p − y)/n and ∂/∂b = Σ(p − y)/n."""
    inputs = keras.Input((2, 2, 1))
    outputs = keras.layers.Dense(3, activation="softmax", name="answer")(
        keras.layers.Flatten()(inputs)
    )
    model = keras.Model(inputs, outputs)
    x, y = np.random.default_rng(0).standard_normal((6, 2, 2, 1)), np.arange(6) % 3
    flat = x.reshape(6, 4)
    logits = flat @ model.get_weights()[0]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    difference = (p - np.eye(3)[y]) / 6
    assert gradient_norms(model, (x, y), LOSS) == pytest.approx(
        {
            "answer/kernel": np.linalg.norm(flat.T @ difference),
            "answer/bias": np.linalg.norm(difference.sum(axis=0)),
        },
        rel=1e-4,
    )


def test_every_weight_has_the_norm_of_its_gradient():
    model = tiny_model(shortcut="B")
    x, y = images(), labels()

    def loss():
        return keras.ops.mean(
            keras.losses.sparse_categorical_crossentropy(y, model(x, training=True))
        )

    before = model.get_weights()
    _, gradients = value_and_gradients(loss, model.trainable_weights)
    model.set_weights(before)
    found = gradient_norms(model, (x, y), keras.losses.get(LOSS))
    assert list(found) == [weight.path for weight in model.trainable_weights]
    expected = [np.linalg.norm(gradient) for gradient in gradients]
    assert list(found.values()) == pytest.approx(expected, rel=1e-3, abs=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@once
def test_over_batches_the_norms_are_averaged():
    model, x, y = tiny_model(), images(6), labels(6)
    parts = [gradient_norms(model, (x[part], y[part]), LOSS) for part in (np.s_[:3], np.s_[3:])]
    whole = gradient_norms(model, [(x[:3], y[:3]), (x[3:], y[3:])], LOSS)
    for path, norm in whole.items():
        assert norm == pytest.approx((parts[0][path] + parts[1][path]) / 2, rel=1e-4, abs=1e-7)


def test_the_state_of_random_generators_is_put_back():
    model = tiny_model(drop_path_rate=0.5)
    before = [keras.ops.convert_to_numpy(each.value) for each in model.non_trainable_variables]
    first = gradient_norms(model, (images(), labels()), LOSS)
    after = [keras.ops.convert_to_numpy(each.value) for each in model.non_trainable_variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert gradient_norms(model, (images(), labels()), LOSS) == pytest.approx(first, rel=1e-5)


@once
def test_a_frozen_model_has_no_gradients():
    model = tiny_model()
    model.trainable = False
    with pytest.raises(ValueError, match="all frozen"):
        gradient_norms(model, (images(), labels()), LOSS)


@once
def test_a_loss_that_sums_has_gradients_that_grow_with_the_batch():
    model, data = tiny_model(), (images(), labels())
    mean = gradient_norms(model, data, LOSS)
    for reduction, factor in (("sum", 5), ("sum_over_batch_size", 1), (None, 1)):
        loss = keras.losses.SparseCategoricalCrossentropy(reduction=reduction)
        found = gradient_norms(model, data, loss)
        assert list(found.values()) == pytest.approx(
            [factor * norm for norm in mean.values()], rel=1e-3, abs=1e-6
        )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.network = tiny_model()

    def call(self, x, training=None):
        return self.network(x, training=training)


@once
def test_a_subclassed_model_has_gradients_once_it_is_built():
    model = Subclassed()
    with pytest.raises(ValueError, match="must be built"):
        gradient_norms(model, (images(), labels()), LOSS)
    model(images())
    expected = gradient_norms(model.network, (images(), labels()), LOSS)
    found = gradient_norms(model, (images(), labels()), LOSS)
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-3, abs=1e-6)


@once
def test_weights_of_one_path_are_not_mixed_up():
    x = keras.Input((6, 6, 3))
    model = keras.Model(x, keras.layers.Add()([tiny_model()(x), tiny_model("bottleneck")(x)]))
    with pytest.raises(
        ValueError, match="23 paths more than once, such as 'stem_conv/conv/kernel'"
    ):
        gradient_norms(model, (images(), labels()), LOSS)
    with pytest.raises(ValueError, match="paths of their own"):
        snapshot(model)


@once
@pytest.mark.parametrize(
    ("model", "loss", "error", "message"),
    [
        (None, LOSS, TypeError, "Received: model=None"),
        (tiny_model, None, ValueError, "Received: loss=None"),
        (tiny_model, "nonsense", ValueError, "one loss.*loss='nonsense'"),
        (tiny_model, [LOSS], ValueError, r"one loss.*loss=\['sparse"),
        (tiny_model, keras.losses.MeanSquaredError, ValueError, "one loss.*loss=<class"),
    ],
)
def test_other_arguments_are_refused(model, loss, error, message):
    model = model and model()
    with pytest.raises(error, match=message):
        gradient_norms(model, (images(), labels()), loss)


def test_a_weight_that_grows_by_a_tenth_has_moved_by_a_tenth():
    model = tiny_model()
    before = snapshot(model)
    for weight in model.trainable_weights:
        weight.assign(1.1 * np.array(before[weight.path]))
    ratios = update_ratios(before, snapshot(model))
    assert list(ratios) == [weight.path for weight in model.trainable_weights]
    assert ratios == pytest.approx(dict.fromkeys(before, 0.1), rel=1e-4)


def test_of_a_weight_that_was_zero_there_is_no_ratio():
    for after in (np.zeros(2), np.ones(2)):
        assert update_ratios({"beta": np.zeros(2)}, {"beta": after}) == {"beta": None}


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
        TypeError, match=r"`before` must be a result of `snapshot`.*Received: 'a' with"
    ):
        update_ratios({"a": value}, weights)
    with pytest.raises(
        TypeError, match=r"`after` must be a result of `snapshot`.*Received: after="
    ):
        update_ratios(weights, value)


def test_a_snapshot_needs_the_weights_of_a_model():
    with pytest.raises(TypeError, match="Received: model=3"):
        snapshot(3)
    with pytest.raises(ValueError, match="must be built"):
        snapshot(keras.Sequential([keras.layers.Dense(2)]))
