"""The trainer's own step, with all that the trainer sets, on a batch in memory."""

import keras
import tensorflow as tf

from keras_resnets.analysis import count_macs, count_parameters
from training.benchmark.examples import random_examples
from training.benchmark.job import Job, Setting
from training.benchmark.keras_device import backend_versions, device_name, peak_bytes
from training.loop.loop import make_train_function
from training.loop.network import build_network
from training.loop.strategy import make_strategy
from training.optim.losses import build_loss
from training.optim.optimizers import build_optimizer
from training.optim.schedules import build_schedule
from training.process import keep_freed_memory
from training.recipe.recipe import Data, Model, Optimizer, Recipe, Schedule


def make_job(setting: Setting) -> Job:
    """Returns training steps as `python -m training train` takes them."""
    recipe = Recipe(
        model=Model(name=setting.model),
        data=Data(source="synthetic", image_size=setting.image_size),
        optimizer=Optimizer(learning_rate=0.01, weight_decay=0.0),
        schedule=Schedule(name="constant"),
        batch=setting.batch,
        precision=setting.policy,
    )
    keep_freed_memory()
    strategy = make_strategy("one-device")
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(recipe.precision)
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = build_network(recipe, setting.classes, channels=3)
        optimizer = build_optimizer(recipe, build_schedule(recipe, recipe.batch), model)
    train = make_train_function(strategy, model, optimizer, build_loss(recipe.loss), recipe.batch)

    images, labels = random_examples(setting)
    example = {"image": tf.constant(images), "target": tf.one_hot(labels, setting.classes)}
    batches = tf.data.Dataset.from_tensors(example).repeat()
    iterator = iter(strategy.distribute_datasets_from_function(lambda context: batches))

    def take(steps):
        # As `training.run.session` calls it on a CPU, and as on a GPU if there is one.
        steps_per_call = steps if tf.config.list_logical_devices("GPU") else 1
        for _ in range(steps // steps_per_call):
            progress = train(iterator, tf.constant(steps_per_call, tf.int64))
            loss = float(progress.loss) / (setting.batch * steps_per_call)
        return loss

    facts = {
        "parameters": count_parameters(model).trainable,
        "macs": count_macs(model),
        "images": setting.batch,
        "device": device_name(),
        "versions": backend_versions(),
    }
    return Job(take, facts, peak_bytes=peak_bytes)
