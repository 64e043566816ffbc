"""How large the gradient of each weight is."""

import keras
import numpy as np

from keras_resnets.analysis.batches import labelled_batches
from keras_resnets.analysis.gradients import gradient_function


def gradient_norms(model, data, loss):
    """Measures the norm of the loss's gradient with respect to each trainable weight.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.1, argue that vanishing
    gradients are not what makes deep plain networks hard to train; this is the measurement.

    The model runs as in training, with the statistics of the batch and with drop path, and is left
    as it was. The loss is the mean over a batch, without regularization.

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
        ValueError: If `loss` is not known, nothing is to be trained, or labels or images are
            missing.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> data = np.random.default_rng(0).normal(size=(4, 32, 32, 3)), np.arange(4)
    >>> loss = "sparse_categorical_crossentropy"
    >>> norms = keras_resnets.analysis.gradient_norms(model, data, loss)
    >>> len(norms) == len(model.trainable_weights)
    True
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    loss = keras.losses.get(loss)
    if loss is None:
        raise ValueError("`loss` must be a loss or its name. Received: loss=None")
    if not model.trainable_weights:
        raise ValueError(
            f"`model` must have weights to train. Received: {model.name!r} with none, or all frozen"
        )
    gradients_of = gradient_function(model, loss)
    paths = [weight.path for weight in model.trainable_weights]
    norms = np.array(
        [
            [_norm(gradient) for gradient in gradients_of(images, labels)]
            for images, labels in labelled_batches(data)
        ]
    )
    return dict(zip(paths, norms.mean(axis=0).tolist(), strict=True))


def _norm(gradient):
    if gradient is None:
        return 0.0
    return float(np.linalg.norm(keras.ops.convert_to_numpy(gradient).astype("float64")))
