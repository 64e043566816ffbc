"""A training step of the zoo's network on JAX: one compiled function of the whole state."""

import functools

import jax
import keras

import keras_resnets
from keras_resnets.analysis import count_macs, count_parameters
from training.benchmark.examples import random_examples
from training.benchmark.job import Job, Setting
from training.benchmark.keras_device import backend_versions, device_name, peak_bytes


def make_job(setting: Setting) -> Job:
    """Returns training steps of the zoo's network."""
    keras.config.set_dtype_policy(setting.policy)
    keras.utils.set_random_seed(0)
    shape = (setting.image_size, setting.image_size, 3)
    model = keras_resnets.create_model(setting.model, input_shape=shape, classes=setting.classes)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    compute_loss = keras.losses.SparseCategoricalCrossentropy()
    images, labels = (jax.numpy.asarray(values) for values in random_examples(setting))

    def forward(trainable, others, images, labels):
        probabilities, others = model.stateless_call(trainable, others, images, training=True)
        return compute_loss(labels, probabilities), others

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, images, labels):
        trainable, others, of_optimizer = state
        backward = jax.value_and_grad(forward, has_aux=True)
        (loss, others), gradients = backward(trainable, others, images, labels)
        trainable, of_optimizer = optimizer.stateless_apply(of_optimizer, gradients, trainable)
        return (trainable, others, of_optimizer), loss

    state = tuple(
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )
    )
    facts = {
        "parameters": count_parameters(model).trainable,
        "macs": count_macs(model),
        "images": setting.batch,
        "device": device_name(),
        "versions": backend_versions(),
    }

    def take(steps):
        nonlocal state
        for _ in range(steps):
            state, loss = step(state, images, labels)
        return float(loss)  # waits

    return Job(take, facts, peak_bytes=peak_bytes)
