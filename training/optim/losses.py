"""The recipes' losses."""

from collections.abc import Callable
from typing import Any

import keras

from training.recipe.recipe import Loss


def build_loss(loss: Loss) -> Callable[[Any, Any], Any]:
    """Returns the loss of each example as a function of its target and its logits.

    It is not averaged: the training loop adds it up and divides by the number of examples in the
    whole batch, whatever part of it a replica has. It is computed in float32, whatever the
    precision of the logits.

    Label smoothing s replaces a target t over K classes by (1 − s) t + s / K
    ([Szegedy et al., 2016](https://arxiv.org/abs/1512.00567), section 7), for both losses. It may
    come after mixing, for both are linear.

    - `"softmax"`: −Σ t · log softmax(logits).
    - `"bce"`: the mean over the classes of the binary cross-entropy between t and
      sigmoid(logit), as in "ResNet strikes back"
      ([Wightman et al., 2021](https://arxiv.org/abs/2110.00476)). There, a class counts as present
      if its share of a mixed image is above a threshold; timm's `BinaryCrossEntropy` has the
      threshold as `target_threshold`, and averages over the classes, too.

    Example:

    >>> import numpy as np
    >>> loss = build_loss(Loss())
    >>> loss(np.eye(2), np.zeros((2, 2))).numpy().round(4)
    array([0.6931, 0.6931], dtype=float32)
    """
    compute = _softmax if loss.name == "softmax" else _binary

    def example_losses(targets, logits):
        targets = keras.ops.cast(targets, "float32")
        logits = keras.ops.cast(logits, "float32")
        if loss.target_threshold:
            targets = keras.ops.cast(targets > loss.target_threshold, "float32")
        if loss.label_smoothing:
            part = loss.label_smoothing
            targets = (1.0 - part) * targets + part / targets.shape[-1]
        return compute(targets, logits)

    return example_losses


def _softmax(targets, logits):
    return keras.ops.categorical_crossentropy(targets, logits, from_logits=True)


def _binary(targets, logits):
    by_class = keras.ops.binary_crossentropy(targets, logits, from_logits=True)
    return keras.ops.mean(by_class, axis=-1)
