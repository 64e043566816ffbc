"""Schedules that Keras does not have: straight lines, and a warm-up before any other."""

import itertools

import keras


@keras.saving.register_keras_serializable(package="training")
class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Straight lines between points, and constant after the last one.

    Args:
        steps: Where the points are; growing, from 0.
        values: The learning rate at each of them.

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
    """A straight rise, and then another schedule.

    Args:
        after: The schedule that follows.
        steps: Number of steps of the rise; positive.
        start: Learning rate at step 0.
        peak: Learning rate at which the rise would be at `steps`.
        restart: Whether `after` counts its steps from the end of the rise, instead of from the
            start of the run.
    """

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
