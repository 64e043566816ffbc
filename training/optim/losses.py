"""The recipes' losses."""

from collections.abc import Callable
from typing import Any

import keras

from training.recipe.recipe import Loss


def build_loss(loss: Loss) -> Callable[[Any, Any], Any]:
    """Returns the loss of each example as a function of its target and its logits, in float32.

    The training loop adds the losses up and divides by the number of examples in the whole batch.
    Label smoothing s replaces a target t over K classes by (1 − s) t + s / K
    ([Szegedy et al., 2016](https://arxiv.org/abs/1512.00567), section 7). It may come after mixing,
    because both are linear.

    - `"softmax"`: −Σ t · log softmax(logits).
    - `"bce"`: the mean over the classes of the binary cross-entropy between t and sigmoid(logit),
      as in "ResNet strikes back" ([Wightman et al., 2021](https://arxiv.org/abs/2110.00476)). A
      class counts as present if its share of a mixed image is above `target_threshold`.
    """

    def example_losses(targets, logits):
        targets = keras.ops.cast(targets, "float32")
        logits = keras.ops.cast(logits, "float32")
        if loss.target_threshold:
            targets = keras.ops.cast(targets > loss.target_threshold, "float32")
        if loss.label_smoothing:
            part = loss.label_smoothing
            targets = (1.0 - part) * targets + part / targets.shape[-1]
        if loss.name == "softmax":
            return keras.ops.categorical_crossentropy(targets, logits, from_logits=True)
        by_class = keras.ops.binary_crossentropy(targets, logits, from_logits=True)
        return keras.ops.mean(by_class, axis=-1)

    return example_losses
