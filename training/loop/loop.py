"""The training loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from training.loop.network import is_synchronized

SEEDS_APART = 1_000_003  # of two replicas; a prime


class Progress(NamedTuple):
    """What a call of the train function saw."""

    loss: tf.Tensor  # sum over the examples
    correct: tf.Tensor  # examples whose likeliest class was right
    steps: tf.Tensor  # that were taken
    finite: tf.Tensor  # whether all losses and gradients were; if not, the call ended there
    skipped: tf.Tensor  # examples that replaced one that could not be read


class MovingAverage:
    """An exponential moving average of a model's floating-point variables."""

    def __init__(self, model: keras.Model, decay: float):
        self.decay = decay
        self._sources = [variable.value for variable in model.variables if _is_float(variable)]
        self.variables = [
            tf.Variable(source, trainable=False, name=f"average_{index}")
            for index, source in enumerate(self._sources)
        ]

    def update(self, strategy: tf.distribute.Strategy) -> None:
        """Moves the average one step towards the model; in cross-replica context."""
        for average, source in zip(self.variables, self._sources, strict=True):
            strategy.extended.update(
                average,
                lambda a, s: a.assign(self.decay * a + (1.0 - self.decay) * s),
                args=(source,),
                group=False,
            )

    def copy_to(self, model: keras.Model) -> None:
        """Assigns the average to another model of the same architecture."""
        targets = [variable for variable in model.variables if _is_float(variable)]
        for average, target in zip(self.variables, targets, strict=True):
            target.assign(average)


def make_train_function(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    batch: int,
    accumulate: int = 1,
    clip_norm: float = 0.0,
    average: MovingAverage | None = None,
    observe_accuracy: Callable[[tf.Tensor], None] | None = None,
    jit_compile: bool | None = None,
) -> Callable[[Any, tf.Tensor], Progress]:
    """Returns a function that trains for some steps.

    Each replica computes the gradient of its examples' losses, divided by the number of examples
    of the whole batch; the optimizer adds the gradients up over the replicas.
    """
    replicas = strategy.num_replicas_in_sync
    variables = model.trainable_variables
    statistics = model.non_trainable_variables  # and the seeds of what the model draws
    # Gradients of mixed_float16 are scaled, and a step where one is not finite is left out.
    is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)

    def forward_backward(images, targets, scale, state):
        """A pure function: replicas cannot meet within a compiled one."""
        total, right = 0.0, 0
        gradients = None
        for part in range(accumulate):
            part_targets = targets[part::accumulate]
            with tf.GradientTape() as tape:
                weights = [variable.value for variable in variables]
                logits, state = model.stateless_call(
                    weights, state, images[part::accumulate], training=True
                )
                part_loss = tf.reduce_sum(loss(part_targets, logits))
                objective = part_loss / batch * scale
            further = tape.gradient(objective, weights)
            gradients = further if gradients is None else [*map(tf.add, gradients, further)]
            total += part_loss
            right += tf.math.count_nonzero(
                tf.argmax(logits, axis=-1) == tf.argmax(part_targets, axis=-1)
            )
        return gradients, total, right, state

    if jit_compile is None:
        jit_compile = bool(tf.config.list_logical_devices("GPU")) and not _meets(model, replicas)
    if jit_compile:
        if _meets(model, replicas):
            raise ValueError(
                "A model with synchronized batch normalization cannot be compiled for several "
                f"replicas. Received: jit_compile=True, replicas={replicas}"
            )
        forward_backward = tf.function(forward_backward, jit_compile=True)

    def replica_step(example):
        scale = tf.convert_to_tensor(optimizer.dynamic_scale.value) if is_scaled else 1.0
        seeded = _seeded(statistics)
        gradients, loss_sum, correct, state = forward_backward(
            example["image"], example["target"], scale, seeded
        )
        for variable, before, after in zip(statistics, seeded, state, strict=True):
            if after is not before:
                variable.assign(after if _is_float(variable) else variable.value + after - before)
        is_finite = tf.math.is_finite(loss_sum)
        if not is_scaled:
            is_finite &= tf.math.is_finite(tf.linalg.global_norm(gradients))
        if clip_norm or is_scaled:
            gradients = _shared(gradients, clip_norm * scale if clip_norm else None)
        optimizer.apply(gradients, variables)  # adds up over the replicas
        skipped = tf.math.count_nonzero(example.get("skipped", False))
        return tf.stack(
            [loss_sum, *(tf.cast(each, tf.float32) for each in (correct, is_finite, skipped))]
        )

    def train_step(example):
        seen = strategy.reduce("SUM", strategy.run(replica_step, (example,)), axis=None)
        loss_sum, correct, finite, skipped = tf.unstack(seen)
        with strategy.scope():
            if average is not None:
                average.update(strategy)
            if observe_accuracy is not None:
                observe_accuracy(correct / batch)
        counts = (tf.cast(each, tf.int64) for each in (correct, skipped))
        return loss_sum, *counts, finite == replicas

    @tf.function
    def train(iterator, steps):
        loss_sum, is_finite = 0.0, True
        correct = done = skipped = tf.constant(0, tf.int64)
        while done < steps and is_finite:
            step_loss, step_correct, step_skipped, is_finite = train_step(next(iterator))
            loss_sum += step_loss
            correct += step_correct
            skipped += step_skipped
            done += 1
        return Progress(loss_sum, correct, done, is_finite, skipped)

    return train


def _meets(model, replicas):
    return replicas > 1 and is_synchronized(model)


def _seeded(statistics):
    """Returns the values of the model's state, with seeds that differ from replica to replica."""
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    values = []
    for variable in statistics:
        value = tf.convert_to_tensor(variable.value)
        if not _is_float(variable):
            value += tf.cast(replica, value.dtype) * SEEDS_APART
        values.append(value)
    return values


def _shared(gradients, limit):
    """Adds the replicas' gradients up, clips the sum, and returns an equal share of it for each."""
    context = tf.distribute.get_replica_context()
    gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    if limit is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, limit)
    return [gradient / context.num_replicas_in_sync for gradient in gradients]


def _is_float(variable):
    return keras.backend.is_float_dtype(variable.dtype)
