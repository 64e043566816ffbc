"""How large the gradient of each weight is."""

import keras
import numpy as np

from keras_resnets.analysis.batches import labelled_batches
from keras_resnets.analysis.gradients import gradient_function
from keras_resnets.analysis.trainable_paths import trainable_paths


def gradient_norms(model, data, loss):
    """Measures the norm of the loss's gradient with respect to each trainable weight.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.1, argue that vanishing
    gradients are not what makes deep plain networks hard to train; this is the measurement.

    The model runs as in training, with the statistics of the batch and with drop path, and is left
    as it was. The loss is the mean over a batch, without regularization; only a `keras.losses.Loss`
    that reduces in another way, such as `reduction="sum"`, is taken as it is.

    Args:
        model: A built `keras.Model`, with any of Keras's backends.
        data: Images and labels: a pair of arrays, which is cut into batches of 128, or an iterable
            of pairs.
        loss: A loss as `compile` takes it: a name, a function, or a `keras.losses.Loss`.

    Returns:
        `{path: norm}` from the input on, where a path is the weight's, such as
        `"stage1_block1/conv1/conv/kernel"`, and the norm is the mean of the batches' norms.

    Raises:
        TypeError: If `model` is not a Keras model, or `data` no images.
        ValueError: If `loss` is not known, the model is not built, has nothing to train or several
            weights of one path, or labels or images are missing or of another shape.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> data = np.random.default_rng(0).normal(size=(4, 32, 32, 3)), np.arange(4)
    >>> loss = "sparse_categorical_crossentropy"
    >>> norms = keras_resnets.analysis.gradient_norms(model, data, loss)
    >>> len(norms) == len(model.trainable_weights)
    True
    """
    paths = trainable_paths(model)
    gradients_of = gradient_function(model, one_loss(loss))
    if not paths:
        raise ValueError(
            f"`model` must have weights to train. Received: {model.name!r} with none, or all frozen"
        )
    inputs = getattr(model, "inputs", None)  # a subclassed model does not say what it takes
    shape = inputs[0].shape if inputs else None
    norms = np.array(
        [
            [_norm(gradient) for gradient in gradients_of(images, labels)]
            for images, labels in labelled_batches(data, shape)
        ]
    )
    return dict(zip(paths, norms.mean(axis=0).tolist(), strict=True))


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
