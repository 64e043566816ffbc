"""Optimizers and schedules with variables, on one device and on two, in a process that has two."""

import keras
import numpy as np
import tensorflow as tf

from training.optim.optimizers import build_optimizer
from training.optim.schedules import build_schedule
from training.recipe.recipe import Optimizer, Recipe, Schedule

DECOUPLED = {"decay": "decoupled", "decay_norm_and_bias": False, "weight_decay": 0.1}
CASES = {
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


def train(strategy, recipe):
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
    for name, fields in CASES.items():
        recipe = Recipe(batch=8, length="100 steps", **fields)
        one, one_remembered = train(tf.distribute.OneDeviceStrategy("/CPU:0"), recipe)
        two, two_remembered = train(mirrored, recipe)
        difference = max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))
        results[name] = [difference, one_remembered, two_remembered]
    return results
