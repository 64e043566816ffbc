"""Gradients on whichever backend Keras runs."""

import keras
import numpy as np


def value_and_gradients(loss_fn, variables):
    """Returns the scalar `loss_fn()` as a float, and its gradients as NumPy arrays.

    `variables` are Keras variables; an input becomes one with `keras.Variable(x)`, read inside
    `loss_fn` with `keras.ops.convert_to_tensor`. A variable that the loss does not depend on has
    a gradient of zeros. Layers must have been built before. On JAX, what `loss_fn` assigns
    (moving statistics, seeds) is dropped; elsewhere it stays.
    """
    variables = list(variables)
    compute = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
    loss, gradients = compute(loss_fn, variables)
    return float(keras.ops.convert_to_numpy(loss)), [
        np.zeros(tuple(variable.shape), "float32")
        if gradient is None
        else keras.ops.convert_to_numpy(gradient)
        for variable, gradient in zip(variables, gradients, strict=True)
    ]


def _tensorflow(loss_fn, variables):
    import tensorflow as tf

    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = loss_fn()
    return loss, tape.gradient(loss, values)


def _jax(loss_fn, variables):
    import jax

    def loss_of(values):
        with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
            return loss_fn()

    return jax.jit(jax.value_and_grad(loss_of))([variable.value for variable in variables])


def _torch(loss_fn, variables):
    import torch

    loss = loss_fn()
    values = [variable.value for variable in variables]
    return loss, torch.autograd.grad(loss, values, allow_unused=True)
