"""Gradients and updates: what reaches each weight, and how far each step moves it."""

from collections import Counter

import keras
import numpy as np

from keras_resnets.analysis.cost import check_model
from keras_resnets.analysis.responses import batches


def _trainable_paths(model):
    """Returns the path of each trainable weight, such as `"stage1_block1/conv1/conv/kernel"`."""
    check_model("model", model)
    if not model.built:
        raise ValueError(
            "`model` must be built: call it on images first, or let it begin with a keras.Input. "
            f"Received: model={model.name!r}"
        )
    paths = [weight.path for weight in model.trainable_weights]
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise ValueError(
            "The weights of `model` must have paths of their own: of a model that holds several "
            "networks, pass one of them. "
            f"Received: {model.name!r} with {len(twice)} paths more than once, such as {twice[0]!r}"
        )
    return paths


def _gradient_function(model, loss):
    """Returns a function from a labelled batch to the gradients of the loss.

    The model runs as in training. Moving statistics and the states of random generators are
    restored, so that measuring does not change the model.
    """
    # A subclassed model does not declare its input's type.
    inputs = getattr(model, "inputs", None)
    dtype = inputs[0].dtype if inputs else keras.config.floatx()

    def loss_of(images, labels):
        return keras.ops.mean(loss(labels, model(images, training=True)))

    backends = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    compute = backends[keras.backend.backend()](loss_of, model)

    def gradients(images, labels):
        others = model.non_trainable_variables
        states = [keras.ops.copy(variable.value) for variable in others]
        try:
            return compute(
                [variable.value for variable in model.trainable_variables],
                keras.ops.convert_to_tensor(images, dtype=dtype),
                keras.ops.convert_to_tensor(labels),
            )
        finally:
            for variable, state in zip(others, states, strict=True):
                variable.assign(state)

    return gradients


def _tensorflow(loss_of, model):
    import tensorflow as tf

    def compute(values, *batch):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(*batch)
        return tape.gradient(loss, values)

    return compute


def _jax(loss_of, model):
    import jax

    @jax.jit
    def of_values(values, others, *batch):
        def loss_at(values):
            variables = [*model.trainable_variables, *model.non_trainable_variables]
            mapping = zip(variables, [*values, *others], strict=True)
            with keras.StatelessScope(state_mapping=mapping):
                return loss_of(*batch)

        return jax.grad(loss_at)(values)

    def compute(values, *batch):
        return of_values(values, [each.value for each in model.non_trainable_variables], *batch)

    return compute


def _torch(loss_of, model):
    import torch

    return lambda values, *batch: torch.autograd.grad(loss_of(*batch), values, allow_unused=True)


def gradient_norms(model, data, loss):
    """Measures the norm of the loss's gradient with respect to each trainable weight.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.1, argue that vanishing
    gradients are not what makes deep plain networks hard to train; this measures them.

    The model runs as in training, with the statistics of the batch and with drop path, and is not
    changed. The loss is the mean over a batch, or what the `reduction` of a `keras.losses.Loss`
    makes of it, without regularization.

    Args:
        model: A built `keras.Model`, with any of Keras's backends.
        data: Images and labels: a pair of arrays, which is cut into batches of 128, or an iterable
            of such pairs.
        loss: A loss as `compile` takes it: a name, a function, or a `keras.losses.Loss`.

    Returns:
        `{path: norm}` from the input on, where a path is the weight's, such as
        `"stage1_block1/conv1/conv/kernel"`, and the norm is the mean of the batches' norms.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If `loss` is unknown, the data do not fit, or the model has no weights to train.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> data = np.random.default_rng(0).normal(size=(4, 32, 32, 3)), np.arange(4)
    >>> loss = "sparse_categorical_crossentropy"
    >>> norms = keras_resnets.analysis.gradient_norms(model, data, loss)
    >>> len(norms) == len(model.trainable_weights)
    True
    """
    paths = _trainable_paths(model)
    gradients_of = _gradient_function(model, one_loss(loss))
    if not paths:
        raise ValueError(
            f"`model` must have weights to train. Received: {model.name!r} with none, or all frozen"
        )
    inputs = getattr(model, "inputs", None)  # a subclassed model does not say what it takes
    shape = inputs[0].shape if inputs else None
    norms = [
        [_norm(gradient) for gradient in gradients_of(images, labels)]
        for images, labels in batches(data, shape, needs_labels=True)
    ]
    return dict(zip(paths, np.mean(norms, axis=0).tolist(), strict=True))


def one_loss(loss):
    """Returns the function or the `keras.losses.Loss` that `loss` stands for, or raises."""
    try:
        found = None if isinstance(loss, type) else keras.losses.get(loss)
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise ValueError(
            "`loss` must be one loss: a name in `keras.losses`, a function, or a "
            f"`keras.losses.Loss`. Received: loss={loss!r}"
        )
    return found


def _norm(gradient):
    if gradient is None:
        return 0.0
    return float(np.linalg.norm(keras.ops.convert_to_numpy(gradient).astype("float64")))


def snapshot(model):
    """Returns a copy of a model's trainable weights, for `update_ratios`.

    Args:
        model: A built `keras.Model`.

    Returns:
        `{path: array}` from the input on, with paths such as `"stage1_block1/conv1/conv/kernel"`.

    Raises:
        ValueError, TypeError: If `model` is not a built Keras model.

    Example:

    >>> weights = keras_resnets.analysis.snapshot(keras_resnets.ResNet20())
    >>> weights["stem_conv/conv/kernel"].shape
    (3, 3, 3, 16)
    """
    return {
        path: np.array(keras.ops.convert_to_numpy(weight.value))
        for path, weight in zip(_trainable_paths(model), model.trainable_weights, strict=True)
    }


def update_ratios(before, after):
    """Compares two snapshots: ‖after − before‖ / ‖before‖ for each weight.

    It answers whether the layers that a shortcut skips are trained.

    Args:
        before: A result of `snapshot`.
        after: A later one of the same model.

    Returns:
        `{path: ratio}` from the input on; `None` for a weight that was all zeros, as β is at first.

    Raises:
        ValueError, TypeError: If they are not snapshots of the same weights.

    Example:

    >>> before = {"kernel": np.array([3.0, 4.0])}
    >>> keras_resnets.analysis.update_ratios(before, {"kernel": np.array([3.0, 5.0])})
    {'kernel': 0.2}
    """
    _check_snapshot("before", before)
    _check_snapshot("after", after)
    for path in before | after:
        old, new = (x[path].shape if path in x else "absent" for x in (before, after))
        if old != new:
            raise ValueError(
                "`before` and `after` must be snapshots of the same weights. "
                f"Received: {path!r} with the shapes {old} and {new}"
            )
    ratios = {}
    for path, old in before.items():
        size = np.linalg.norm(old.astype("float64"))
        change = np.linalg.norm(after[path].astype("float64") - old)
        ratios[path] = float(change / size) if size else None
    return ratios


def _check_snapshot(name, snapshot):
    form = f"`{name}` must be a result of `snapshot`: a dictionary of NumPy arrays of numbers."
    if not isinstance(snapshot, dict):
        raise TypeError(f"{form} Received: {name}={snapshot!r}")
    for path, value in snapshot.items():
        # Kinds of text, bytes, dates and objects; Keras's 16-bit types are of kind V.
        if not isinstance(value, np.ndarray) or value.dtype.kind in "USMmO":
            raise TypeError(f"{form} Received: {path!r} with {value!r}")
