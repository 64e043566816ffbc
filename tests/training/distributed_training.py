"""A process of its own: trains by the loop on one device and on two, or as one of two workers.

For each strategy and case it puts all variables into FOLDER/STRATEGY-CASE.npz, and prints what else
came out as one line of JSON.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from tests.backends import can_compute_in_16_bits
from training.loop.loop import MovingAverage, make_train_function
from training.loop.network import synchronize_batch_norm
from training.loop.strategy import make_strategy
from training.optim.optimizers import build_optimizer
from training.optim.schedules import build_schedule
from training.recipe.recipe import Optimizer, Recipe, Schedule

BATCH, STEPS = 16, 5
SYNCHRONIZED = {
    "whole": {},
    "in parts": {"accumulate": 2, "clip_norm": 0.5},
    "float16": {"precision": "mixed_float16", "overflow": True},
}
LOCAL = {"local": {}, "compiled": {"jit_compile": True}}
DECOUPLED = {"decay": "decoupled", "decay_norm_and_bias": False, "weight_decay": 0.1}
OPTIMIZERS = {
    "sgd, plateau": {
        "optimizer": Optimizer(weight_decay=0.1, nesterov=True),
        "schedule": Schedule(name="plateau", patience=1),
    },
    "lamb, until, float16": {  # LAMB's moments are AdamW's
        "optimizer": Optimizer(name="lamb", learning_rate=0.01, **DECOUPLED),
        "schedule": Schedule(name="constant", warmup_from=0.1, warmup_until_accuracy=0.2),
        "precision": "mixed_float16",
    },
}


def main(folder, *names):
    cpu = tf.config.list_physical_devices("CPU")[0]
    if "mirrored" in names:
        logical = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, logical)
    facts = {}
    for name in names:
        strategy = make_strategy(name)
        for case, options in SYNCHRONIZED.items():
            if "precision" in options and not can_compute_in_16_bits():
                continue
            if name != "multi-worker" or case == "whole":
                archive = Path(folder) / f"{name}-{case}.npz"
                facts[f"{name}-{case}"] = train(strategy, archive, synchronized=True, **options)
    if "mirrored" in names:
        for case, options in LOCAL.items():
            archive = Path(folder) / f"mirrored-{case}.npz"
            facts[f"mirrored-{case}"] = train(strategy, archive, synchronized=False, **options)
        facts["kept"] = kept_features(strategy)
        facts["optimizers"] = compared_optimizers(strategy)
    return facts


def train(
    strategy,
    archive,
    synchronized,
    accumulate=1,
    clip_norm=0.0,
    precision="float32",
    overflow=False,
    jit_compile=False,
):
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(precision)
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Conv2D(4, 3, use_bias=False),
                keras_resnets.layers.BatchNormalization(),
                keras.layers.ReLU(),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(10, name="predictions", dtype="float32"),
            ]
        )
        if synchronized:
            synchronize_batch_norm(model)
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        if precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1024.0)
        optimizer.build(model.trainable_variables)
        average = MovingAverage(model, 0.9)
    variables = [*model.variables, *average.variables]
    before = [np.asarray(variable) for variable in variables]
    accuracies = []
    train_steps = make_train_function(
        strategy,
        model,
        optimizer,
        cross_entropy,
        BATCH,
        accumulate,
        clip_norm,
        average,
        lambda accuracy: accuracies.append(accuracy.shape),
        jit_compile,
    )
    iterator = iter(
        strategy.distribute_datasets_from_function(
            lambda context: share(context, strategy.num_replicas_in_sync, overflow)
        )
    )
    loss, correct, steps, finite, kernels = 0.0, 0, 0, True, []
    for count in (1, 1, STEPS - 2):
        progress = train_steps(iterator, tf.constant(count, tf.int64))
        loss += float(progress.loss)
        correct += int(progress.correct)
        steps += int(progress.steps)
        finite &= bool(progress.finite)
        kernels.append(np.asarray(model.get_layer("predictions").kernel))
    after = [np.asarray(variable) for variable in variables]
    np.savez(archive, *after)
    moved = sum(np.square(a - b).sum() for a, b in zip(after, before, strict=True))
    return {
        "moved": float(np.sqrt(moved)),
        "loss": loss,
        "correct": correct,
        "steps": steps,
        "finite": finite,
        "observed": len(accuracies) > 0,
        "second_step_changed": bool((kernels[0] != kernels[1]).any()),
        "third_step_changed": bool((kernels[1] != kernels[2]).any()),
        "scale": float(optimizer.dynamic_scale.numpy()) if overflow else None,
        "apart": largest_difference(strategy, variables),
    }


def kept_features(strategy):
    """Returns how many of the two replicas kept their only feature, in each of 24 steps."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("float32")
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.Input((1,)),
                keras.layers.Dropout(0.5),  # what is kept is doubled
                keras.layers.Dense(1, kernel_initializer="ones", use_bias=False),
            ]
        )
        optimizer = keras.optimizers.SGD(0.0)
        optimizer.build(model.trainable_variables)
    train_steps = make_train_function(
        strategy, model, optimizer, lambda target, logits: logits[:, 0] / 2, batch=2
    )
    ones = tf.data.Dataset.from_tensors({"image": tf.ones((1, 1)), "target": tf.ones((1, 1))})
    iterator = iter(strategy.distribute_datasets_from_function(lambda context: ones.repeat()))
    return [float(train_steps(iterator, tf.constant(1, tf.int64)).loss) for _ in range(24)]


def train_dense(strategy, recipe):
    """Returns the weights after some steps and evaluations, and the schedule's variables."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(3)]
        model = keras.Sequential([keras.Input((5,)), *layers])
        schedule = build_schedule(recipe, examples=100)
        optimizer = build_optimizer(recipe, schedule, model)
    generator = np.random.default_rng(0)
    images = generator.standard_normal((8, 5), "float32")
    targets = generator.standard_normal((8, 3), "float32")
    examples = tf.data.Dataset.from_tensor_slices((images, targets)).batch(8).repeat()
    batches = iter(strategy.experimental_distribute_dataset(examples))
    variables = model.trainable_variables

    def step(image, target):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(image) - target)) / 8
            loss = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    @tf.function
    def take_steps():
        for _ in tf.range(4):
            strategy.run(step, next(batches))
            schedule.observe_step(tf.constant(0.5))

    for accuracy in (0.5, 0.4):
        take_steps()
        schedule.observe_evaluation(accuracy)
    take_steps()
    return model.get_weights(), [float(variable.numpy()) for variable in schedule.variables]


def compared_optimizers(mirrored):
    """Returns each case's largest difference between the weights, and the schedules' variables."""
    keras.config.set_dtype_policy("float32")
    results = {}
    for name, fields in OPTIMIZERS.items():
        recipe = Recipe(batch=8, length="100 steps", **fields)
        one, one_remembered = train_dense(tf.distribute.OneDeviceStrategy("/CPU:0"), recipe)
        two, two_remembered = train_dense(mirrored, recipe)
        difference = max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))
        results[name] = [difference, one_remembered, two_remembered]
    return results


def cross_entropy(target, logits):
    return tf.nn.softmax_cross_entropy_with_logits(target, tf.cast(logits, tf.float32))


def share(context, replicas, overflow):
    """Returns a worker's contiguous part of each batch, in batches for each of its replicas."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(STEPS, BATCH, 8, 8, 3)).astype("float32")
    targets = np.eye(10, dtype="float32")[generator.integers(0, 10, (STEPS, BATCH))]
    if overflow:  # the gradient of the last replica's last example in step 2, and that alone
        targets[1, -1] *= 3e4
    part = BATCH // context.num_input_pipelines
    begin = context.input_pipeline_id * part
    dataset = tf.data.Dataset.from_tensor_slices(
        {"image": images[:, begin : begin + part], "target": targets[:, begin : begin + part]}
    )
    return dataset.unbatch().batch(BATCH // replicas)


def largest_difference(strategy, variables):
    """Returns how far apart two replicas' copies of a variable are, where it is most."""
    apart = 0.0
    for variable in variables:
        variable = variable.value if isinstance(variable, keras.Variable) else variable
        first, *others = map(np.asarray, strategy.experimental_local_results(variable))
        apart = max([apart, *[float(np.abs(first - other).max()) for other in others]])
    return apart


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
