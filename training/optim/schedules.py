"""Learning-rate schedules: functions of the step, and of the measured accuracy.

They are rebuilt from the recipe, never saved as objects, so they have no `get_config`.
"""

import itertools

import keras
import numpy as np

from training.recipe.fields import to_steps
from training.recipe.recipe import Recipe


class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Straight lines between points, and constant after the last one."""

    def __init__(self, steps, values):
        self.points = list(zip(steps, values, strict=True))

    def __call__(self, step):
        step = keras.ops.cast(step, keras.config.floatx())
        rate = keras.ops.cast(self.points[0][1], step.dtype)
        for (begin, first), (end, last) in itertools.pairwise(self.points):
            part = keras.ops.minimum((step - begin) / (end - begin), 1.0)
            rate = keras.ops.where(step >= begin, first + part * (last - first), rate)
        return rate


class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A straight rise, and then another schedule."""

    def __init__(self, after, steps, start, peak, restart=False):
        self.after, self.steps, self.restart = after, steps, restart
        self.start, self.peak = start, peak

    def __call__(self, step):
        later = keras.ops.maximum(step - self.steps, 0) if self.restart else step
        part = keras.ops.cast(step, keras.config.floatx()) / self.steps
        rise = self.start + part * (self.peak - self.start)
        return keras.ops.where(step < self.steps, rise, self.after(later))


class WatchingSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that depends on the accuracy.

    Its state is in `variables`, a list of scalar `keras.Variable`s, which checkpoints contain.
    """

    def observe_step(self, accuracy):  # in a `tf.function`, outside of the replicas
        pass

    def observe_evaluation(self, accuracy):
        pass


class Plateau(WatchingSchedule):
    """Another schedule times a scale that falls whenever the accuracy stops rising.

    He et al., 2015, section 3.4: the rate "is divided by 10 when the error plateaus", here after
    `patience` evaluations in a row without a new best accuracy.
    """

    def __init__(self, before, factor, patience):
        self.before, self.factor, self.patience = before, factor, patience
        self.scale = _scalar(1.0, "scale")
        self.best = _scalar(0.0, "best_accuracy")
        self.waited = _scalar(0.0, "evaluations_waited")
        self.variables = [self.scale, self.best, self.waited]

    def __call__(self, step):
        return self.before(step) * self.scale

    def observe_evaluation(self, accuracy):
        accuracy = np.float32(accuracy)  # as stored: otherwise it could exceed itself
        if accuracy > self.best.numpy():
            self.best.assign(accuracy)
            self.waited.assign(0.0)
            return
        waited = self.waited.numpy() + 1.0
        if waited >= self.patience:
            self.scale.assign(self.scale.numpy() * self.factor)
            waited = 0.0
        self.waited.assign(waited)


class WarmupUntilAccuracy(WatchingSchedule):
    """A constant low rate until the training accuracy exceeds `accuracy`, then another schedule.

    He et al., 2015, section 4.2, for depth 110: 0.01 "until the training error is below 80%", then
    0.1 and the other networks' schedule, whose steps count from the start of the run. The training
    accuracy is a moving average over the steps, starting at 0, with the weights 0.1 · 0.9ⁿ.
    """

    def __init__(self, after, rate, accuracy):
        self.after, self.rate, self.accuracy = after, rate, accuracy
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


def _scalar(value, name):
    # Every replica computes the same value.
    return keras.Variable(
        value, dtype="float32", trainable=False, aggregation="only_first_replica", name=name
    )


def peak_learning_rate(recipe: Recipe) -> float:
    """Returns the schedule's greatest learning rate, scaled by the batch if the recipe says so."""
    optimizer = recipe.optimizer
    scale = recipe.batch / optimizer.reference_batch if optimizer.reference_batch else 1.0
    return optimizer.learning_rate * scale


def build_schedule(
    recipe: Recipe, examples: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate as a function of the number of steps already taken.

    With T steps in all, W of them warm-up, and the peak p, the rate rises linearly from
    `warmup_from` · p at 0 to p at W. Then, at t, it is:

    - `"constant"`: p.
    - `"step"`: p · factorⁿ, with n the number of boundaries b ≤ t, counted from the start of the
      run.
    - `"plateau"`: p · factorⁿ after n falls; see `Plateau`.
    - `"cosine"`: half a cosine from p at W to `final` · p at T.
    - `"polynomial"`: p · ((1 − `final`) · ((T − t) / (T − W))^power + `final`).
    - `"onecycle"`: a line back to `warmup_from` · p at 2 W, and another to `final` · p at T: the
      one-cycle policy of [Smith, 2018](https://arxiv.org/abs/1803.09820) (section 4) with constant
      momentum. PyTorch's `OneCycleLR` has its peak at W − 1 and its end at T − 1.

    Call it under the strategy's scope: some schedules have variables.
    """
    schedule, peak = recipe.schedule, peak_learning_rate(recipe)

    def steps(duration):
        return to_steps(duration, recipe.batch, examples)

    total, warmup = steps(recipe.length), steps(schedule.warmup)
    start, end = peak * schedule.warmup_from, peak * schedule.final
    recipe.require_parts_fit(
        f"{total} steps", lambda one, other, times: times * steps(one) < steps(other)
    )

    match schedule.name:
        case "cosine":
            rise = {"warmup_target": peak, "warmup_steps": warmup} if warmup else {}
            return keras.optimizers.schedules.CosineDecay(
                start if warmup else peak, total - warmup, alpha=schedule.final, **rise
            )
        case "onecycle":
            return PiecewiseLinear([0, warmup, 2 * warmup, total], [start, peak, start, end])
        case "polynomial":
            fall = keras.optimizers.schedules.PolynomialDecay(
                peak, total - warmup, end_learning_rate=end, power=schedule.power
            )
            return LinearWarmup(fall, warmup, start, peak, restart=True) if warmup else fall

    main = PiecewiseLinear([0], [peak])
    if schedule.name == "step":
        # Keras keeps a value up to and including the boundary, and counts steps from 0.
        main = keras.optimizers.schedules.PiecewiseConstantDecay(
            [steps(boundary) - 1 for boundary in schedule.boundaries],
            [peak * schedule.factor**count for count in range(len(schedule.boundaries) + 1)],
        )
    if warmup:
        main = LinearWarmup(main, warmup, start, peak)
    if schedule.name == "plateau":
        return Plateau(main, schedule.factor, schedule.patience)
    if schedule.warmup_until_accuracy:
        return WarmupUntilAccuracy(main, start, schedule.warmup_until_accuracy)
    return main
