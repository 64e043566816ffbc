"""A model's loss and its gradients, on whichever backend Keras runs."""

import keras


def gradient_function(model, loss):
    """Returns a function from a labelled batch to the gradients of the loss.

    The model runs as in training, and what that leaves behind (moving statistics, the states of
    random generators) is taken back, so that looking does not change the model.

    Args:
        model: A built `keras.Model`.
        loss: A function of `(labels, outputs)`, whose mean is differentiated.

    Returns:
        A function `(images, labels) -> gradients`, one for each of `model.trainable_variables`,
        of the backend's own arrays; `None` for one on which the loss does not depend.
    """

    def loss_of(images, labels):
        outputs = model(images, training=True)
        return keras.ops.mean(loss(labels, outputs))

    # A subclassed model does not say of what type its input is.
    inputs = getattr(model, "inputs", None)
    dtype = inputs[0].dtype if inputs else keras.config.floatx()
    create = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
    compute = create(loss_of, model)

    def gradients(images, labels):
        states = [(variable, _copy(variable)) for variable in model.non_trainable_variables]
        try:
            return compute(
                keras.ops.convert_to_tensor(images, dtype=dtype),
                keras.ops.convert_to_tensor(labels),
            )
        finally:
            for variable, value in states:
                variable.assign(value)

    return gradients


def _copy(variable):
    return keras.ops.copy(variable.value)


def _tensorflow(loss_of, model):
    import tensorflow as tf

    def compute(images, labels):
        values = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(images, labels)
        return tape.gradient(loss, values)

    return compute


def _jax(loss_of, model):
    import jax

    variables = model.trainable_variables

    @jax.jit
    def of_values(values, others, images, labels):
        def loss_at(values):
            mapping = [
                *zip(variables, values, strict=True),
                *zip(model.non_trainable_variables, others, strict=True),
            ]
            with keras.StatelessScope(state_mapping=mapping):
                return loss_of(images, labels)

        return jax.grad(loss_at)(values)

    def compute(images, labels):
        values = [variable.value for variable in variables]
        others = [variable.value for variable in model.non_trainable_variables]
        return of_values(values, others, images, labels)

    return compute


def _torch(loss_of, model):
    import torch

    def compute(images, labels):
        values = [variable.value for variable in model.trainable_variables]
        return torch.autograd.grad(loss_of(images, labels), values, allow_unused=True)

    return compute
