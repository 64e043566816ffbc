"""Schedules that watch how the training goes, and so are no function of the step alone."""

import keras
import numpy as np


class WatchingSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule with a memory.

    The training loop tells it what it sees, and keeps `variables` in its checkpoints: a run that
    is resumed with them goes on as if nothing had happened.

    Attributes:
        variables: A list of scalar `keras.Variable`s, all that it remembers.
    """

    def observe_step(self, accuracy):
        """Takes note of a step.

        Call it after each step, in a `tf.function` or not, outside of the replicas.

        Args:
            accuracy: Part of the step's training examples, over all replicas, that were right.
        """
        return  # AutoGraph cannot convert a docstring alone

    def observe_evaluation(self, accuracy):
        """Takes note of an evaluation.

        Args:
            accuracy: Part of the evaluated examples that were right.
        """
        return


@keras.saving.register_keras_serializable(package="training")
class Plateau(WatchingSchedule):
    """Another schedule times a factor that falls whenever the accuracy has stopped rising.

    He et al., 2015, section 3.4: the rate "is divided by 10 when the error plateaus". When
    `patience` evaluations in a row were no better than the best one before them, the factor is
    multiplied by `factor`, and they are counted anew. Only strictly more is better.

    Args:
        before: The schedule that is multiplied.
        factor: In (0, 1).
        patience: Number of evaluations; at least 1.
    """

    def __init__(self, before, factor=0.1, patience=5):
        if not 0 < factor < 1:
            raise ValueError(f"`factor` must be in (0, 1). Received: factor={factor}")
        if patience < 1:
            raise ValueError(f"`patience` must be at least 1. Received: patience={patience}")
        self.before = before
        self.factor = factor
        self.patience = patience
        self.scale = _scalar(1.0, "scale")
        self.best = _scalar(0.0, "best_accuracy")
        self.waited = _scalar(0.0, "evaluations_waited")
        self.variables = [self.scale, self.best, self.waited]

    def __call__(self, step):
        return self.before(step) * self.scale

    def observe_evaluation(self, accuracy):
        accuracy = np.float32(accuracy)  # as it is remembered: else it would exceed itself
        if accuracy > self.best.numpy():
            self.best.assign(accuracy)
            self.waited.assign(0.0)
            return
        waited = self.waited.numpy() + 1.0
        if waited >= self.patience:
            self.scale.assign(self.scale.numpy() * self.factor)
            waited = 0.0
        self.waited.assign(waited)

    def get_config(self):
        return {
            "before": keras.optimizers.schedules.serialize(self.before),
            "factor": self.factor,
            "patience": self.patience,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "before": keras.optimizers.schedules.deserialize(config["before"])})


@keras.saving.register_keras_serializable(package="training")
class WarmupUntilAccuracy(WatchingSchedule):
    """A constant low rate until the training accuracy is high enough, and then another schedule.

    He et al., 2015, section 4.2, for depth 110: 0.01 "until the training error is below 80%", then
    0.1 and the other networks' schedule, whose steps count from the start of the run. The training
    accuracy is an average over the steps with the weights 0.1 · 0.9ⁿ, from 0: over about the last
    ten batches.

    Args:
        after: The schedule that follows.
        rate: Learning rate until then.
        accuracy: In (0, 1); what the training accuracy must exceed.
    """

    def __init__(self, after, rate, accuracy):
        if not 0 < accuracy < 1:
            raise ValueError(f"`accuracy` must be in (0, 1). Received: accuracy={accuracy}")
        self.after = after
        self.rate = rate
        self.accuracy = accuracy
        self.running = _scalar(0.0, "running_accuracy")
        self.is_over = _scalar(0.0, "warmup_is_over")
        self.variables = [self.running, self.is_over]

    def __call__(self, step):
        return keras.ops.where(self.is_over > 0.0, self.after(step), self.rate)

    def observe_step(self, accuracy):
        accuracy = keras.ops.cast(accuracy, self.running.dtype)
        running = 0.9 * self.running + 0.1 * accuracy
        self.running.assign(running)
        is_over = keras.ops.cast(running > self.accuracy, self.is_over.dtype)
        self.is_over.assign(keras.ops.maximum(self.is_over, is_over))

    def get_config(self):
        return {
            "after": keras.optimizers.schedules.serialize(self.after),
            "rate": self.rate,
            "accuracy": self.accuracy,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "after": keras.optimizers.schedules.deserialize(config["after"])})


def _scalar(value, name):
    # Every replica computes the same value, so the first one's is as good as any.
    return keras.Variable(
        value, dtype="float32", trainable=False, aggregation="only_first_replica", name=name
    )
