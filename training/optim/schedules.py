"""Learning-rate schedules, of the step and of what is measured."""

import itertools

import keras
import numpy as np

from training.recipe.fields import to_steps
from training.recipe.recipe import Recipe


@keras.saving.register_keras_serializable(package="training")
class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Straight lines between points, and constant after the last one.

    Example:

    >>> schedule = PiecewiseLinear([0, 10, 30], [0.0, 1.0, 0.5])
    >>> [float(schedule(step)) for step in (0, 5, 10, 20, 30, 99)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.5]
    """

    def __init__(self, steps, values):
        if len(steps) != len(values) or not steps:
            raise ValueError(
                "`steps` and `values` must be of the same length, at least 1. "
                f"Received: steps={steps}, values={values}"
            )
        if steps[0] != 0 or any(a >= b for a, b in itertools.pairwise(steps)):
            raise ValueError(f"`steps` must grow, from 0. Received: steps={steps}")
        self.steps = list(steps)
        self.values = list(values)

    def __call__(self, step):
        step = keras.ops.cast(step, keras.config.floatx())
        rate = keras.ops.cast(self.values[0], step.dtype)
        points = list(zip(self.steps, self.values, strict=True))
        for (begin, first), (end, last) in itertools.pairwise(points):
            part = keras.ops.minimum((step - begin) / (end - begin), 1.0)
            rate = keras.ops.where(step >= begin, first + part * (last - first), rate)
        return rate

    def get_config(self):
        return {"steps": self.steps, "values": self.values}


@keras.saving.register_keras_serializable(package="training")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A straight rise, and then another schedule."""

    def __init__(self, after, steps, start, peak, restart=False):
        if steps < 1:
            raise ValueError(f"`steps` must be at least 1. Received: steps={steps}")
        self.after = after
        self.steps = steps
        self.start = start
        self.peak = peak
        self.restart = restart

    def __call__(self, step):
        later = keras.ops.maximum(step - self.steps, 0) if self.restart else step
        part = keras.ops.cast(step, keras.config.floatx()) / self.steps
        rise = self.start + part * (self.peak - self.start)
        return keras.ops.where(step < self.steps, rise, self.after(later))

    def get_config(self):
        return {
            "after": keras.optimizers.schedules.serialize(self.after),
            "steps": self.steps,
            "start": self.start,
            "peak": self.peak,
            "restart": self.restart,
        }

    @classmethod
    def from_config(cls, config):
        after = keras.optimizers.schedules.deserialize(config["after"])
        return cls(**{**config, "after": after})


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
        """
        return  # AutoGraph cannot convert a docstring alone

    def observe_evaluation(self, accuracy):
        """Takes note of an evaluation."""
        return


@keras.saving.register_keras_serializable(package="training")
class Plateau(WatchingSchedule):
    """Another schedule times a factor that falls whenever the accuracy has stopped rising.

    He et al., 2015, section 3.4: the rate "is divided by 10 when the error plateaus". When
    `patience` evaluations in a row were no better than the best one before them, the factor is
    multiplied by `factor`, and they are counted anew. Only strictly more is better.
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


def peak_learning_rate(recipe: Recipe) -> float:
    """Returns the schedule's greatest learning rate, scaled by the batch if the recipe says so.

    Linear scaling: k times the batch takes k times the learning rate
    ([Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 2.1).

    Example:

    >>> from training.recipe.recipe import Optimizer
    >>> optimizer = Optimizer(learning_rate=0.1, reference_batch=256)
    >>> peak_learning_rate(Recipe(batch=512, optimizer=optimizer))
    0.2
    """
    optimizer = recipe.optimizer
    scale = recipe.batch / optimizer.reference_batch if optimizer.reference_batch else 1.0
    return optimizer.learning_rate * scale


def build_schedule(
    recipe: Recipe, examples: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate as a function of the number of steps already taken.

    So the first step has the rate at 0. With T steps in all, W of them warm-up, and the peak p,
    the rate rises in a line from `warmup_from` · p at 0 to p at W. Then it is, at t:

    - `"constant"`: p.
    - `"step"`: p · factorⁿ, with n the number of boundaries b ≤ t. Boundaries count from the
      start of the run, also with a warm-up.
    - `"plateau"`: p · factorⁿ after n falls; see `Plateau`.
    - `"cosine"`: half a cosine from p at W to `final` · p at T.
    - `"polynomial"`: p · ((1 − `final`) · ((T − t) / (T − W))^power + `final`).
    - `"onecycle"`: a line back to `warmup_from` · p at 2 W, and another to `final` · p at T, which
      is the one-cycle policy of [Smith, 2018](https://arxiv.org/abs/1803.09820) (section 4), but
      for its momentum, which stays as it is. PyTorch's `OneCycleLR` has its peak one step earlier,
      at W − 1, and its end at T − 1. The later variant that falls only once, from W to T,
      is `"polynomial"` or `"cosine"` with a warm-up.

    Build it under the strategy's scope: some schedules have variables.
    """
    schedule, peak = recipe.schedule, peak_learning_rate(recipe)
    total = to_steps(recipe.length, recipe.batch, examples)
    warmup = to_steps(schedule.warmup, recipe.batch, examples)
    start, end = peak * schedule.warmup_from, peak * schedule.final
    lines = 2 if schedule.name == "onecycle" else 1
    if lines * warmup >= total:
        what = "Twice `schedule.warmup`, the rise and the fall," if lines == 2 else "The warm-up"
        raise ValueError(
            f"{what} must be over before the run is. Received: schedule.warmup="
            f"{schedule.warmup!r} ({warmup} steps), length={recipe.length!r} ({total} steps)"
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

    main = _steps(recipe, peak, examples, total) if schedule.name == "step" else constant(peak)
    if warmup:
        main = LinearWarmup(main, warmup, start, peak)
    if schedule.name == "plateau":
        return Plateau(main, schedule.factor, schedule.patience)
    if schedule.warmup_until_accuracy:
        return WarmupUntilAccuracy(main, start, schedule.warmup_until_accuracy)
    return main


def constant(learning_rate: float) -> PiecewiseLinear:
    """Returns a schedule that never changes."""
    return PiecewiseLinear([0], [learning_rate])


def _steps(recipe, peak, examples, total):
    texts = recipe.schedule.boundaries
    boundaries = [to_steps(text, recipe.batch, examples) for text in texts]
    grow = all(one < other for one, other in zip([0, *boundaries], boundaries, strict=False))
    if not grow or boundaries[-1] >= total:
        raise ValueError(
            "`schedule.boundaries` must grow, and be over before the run is. Received: "
            f"schedule.boundaries={texts!r} ({boundaries} steps), length={recipe.length!r} "
            f"({total} steps)"
        )
    # Keras keeps a value up to and including the boundary, and counts steps from 0.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [boundary - 1 for boundary in boundaries],
        [peak * recipe.schedule.factor**count for count in range(len(boundaries) + 1)],
    )
