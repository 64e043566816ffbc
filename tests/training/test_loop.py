"""The train function: a step by hand, and what stops it."""

import types

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from training.loop.loop import MovingAverage, make_train_function  # noqa: E402


def linear_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.set_weights([np.array([[1.0, 0.0], [0.0, 1.0]], "float32")])
    return model


def squares(target, logits):
    return tf.reduce_sum((logits - target) ** 2, axis=-1) / 2


def train_linear(
    images, targets, steps=1, loss=squares, optimizer=None, average_decay=None, **options
):
    """Trains the linear model, by default by gradient descent with rate 1, on batches of four."""
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    with strategy.scope():
        model = linear_model()
        optimizer = optimizer or keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
        average = MovingAverage(model, average_decay) if average_decay else None
    train = make_train_function(
        strategy, model, optimizer, loss, batch=4, average=average, **options
    )
    dataset = tf.data.Dataset.from_tensor_slices({"image": images, "target": targets}).batch(4)
    iterator = iter(strategy.distribute_datasets_from_function(lambda context: dataset))
    return train(iterator, tf.constant(steps, tf.int64)), model, average


@pytest.fixture
def examples(rng):
    return rng.normal(size=(8, 2)).astype("float32"), rng.normal(size=(8, 2)).astype("float32")


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_step_is_the_mean_gradient_of_the_batch_however_it_is_parted(examples, accumulate):
    images, targets = examples
    progress, model, _ = train_linear(images, targets, accumulate=accumulate)
    weights = np.eye(2)
    gradient = images[:4].T @ (images[:4] @ weights - targets[:4]) / 4
    np.testing.assert_allclose(model.get_weights()[0], weights - gradient, rtol=1e-5)
    loss = np.sum((images[:4] - targets[:4]) ** 2) / 2
    assert float(progress.loss) == pytest.approx(loss, rel=1e-5)
    right = np.sum(images[:4].argmax(1) == targets[:4].argmax(1))
    assert int(progress.correct) == right


@pytest.mark.parametrize(("accumulate", "clip_norm"), [(1, 1000.0), (2, 0.01)])
def test_the_whole_batch_s_gradient_is_clipped_to_its_norm(examples, clip_norm, accumulate):
    images, targets = examples
    _, model, _ = train_linear(images, targets, clip_norm=clip_norm, accumulate=accumulate)
    gradient = images[:4].T @ (images[:4] - targets[:4]) / 4
    norm = np.linalg.norm(gradient)
    assert 0.01 < norm < 1000.0
    expected = np.eye(2) - gradient * min(1.0, clip_norm / norm)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5)


def test_the_moving_average_follows_by_its_decay(examples):
    images, targets = examples
    _, model, average = train_linear(images, targets, average_decay=0.75)
    expected = 0.75 * np.eye(2) + 0.25 * model.get_weights()[0]
    np.testing.assert_allclose(average.variables[0].numpy(), expected, rtol=1e-6)
    other = linear_model()
    average.copy_to(other)
    np.testing.assert_array_equal(other.get_weights()[0], average.variables[0].numpy())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stops_the_call_after_its_step(examples, bad):
    images, targets = (np.concatenate([part, part]) for part in examples)  # four steps
    images[5] = bad  # in the second
    progress, _, _ = train_linear(images, targets, steps=4)
    assert not bool(progress.finite)
    assert int(progress.steps) == 2


def test_a_gradient_that_is_not_finite_stops_too_though_the_loss_is(examples):
    def root(target, logits):  # that of 0 is 0, and its derivative infinite
        return tf.sqrt(tf.reduce_sum(0.0 * (logits - target) ** 2, axis=-1))

    progress, _, _ = train_linear(*examples, loss=root)
    assert float(progress.loss) == 0.0
    assert not bool(progress.finite)


def test_replicas_that_exchange_statistics_cannot_be_compiled():
    norm = keras.layers.BatchNormalization(synchronized=True)
    model = keras.Sequential([keras.Input((2,)), norm])
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ValueError, match="jit_compile=True, replicas=2"):
        make_train_function(two, model, None, None, batch=4, jit_compile=True)


def test_half_precision_gradients_are_scaled_and_a_step_that_overflows_is_left_out(examples):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=1e38)
    progress, model, _ = train_linear(
        *examples, loss=lambda target, logits: squares(target, 1e3 * logits), optimizer=optimizer
    )
    assert bool(progress.finite)
    np.testing.assert_array_equal(model.get_weights()[0], np.eye(2))
    assert float(optimizer.dynamic_scale.numpy()) == pytest.approx(5e37, rel=1e-5)
