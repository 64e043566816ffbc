"""The part of augmentation that whole batches go through: normalization, erasing, mixing."""

import numpy as np
import tensorflow as tf

from training.data.erasing import erased
from training.data.mixing import mixed, mixes, partners
from training.data.normalization import moved_mean, normalized
from training.recipe import Recipe


def finished(
    examples: dict[str, tf.Tensor],
    step: tf.Tensor,
    recipe: Recipe,
    classes: int,
    mean_and_std: tuple[np.ndarray, np.ndarray],
    distance: int,
    before: int = 0,
) -> dict[str, tf.Tensor]:
    """Makes what a network is trained on out of augmented pixels.

    Args:
        examples: `"image"`, uint8 `(before + n, height, width, channels)`; `"label"` and `"index"`,
            int64 `(before + n,)`; `"seed"`, int32 `(before + n, 2)`; perhaps `"skipped"`.
        step: int64 scalar: the batch's number.
        recipe: Says how images are normalized, erased and mixed.
        classes: Number of classes.
        mean_and_std: What `normalization` gave.
        distance: How far before an image that stands with which it is mixed.
        before: How many examples are given only to be mixed with those after them: `distance`,
            or 0 where the examples are a whole batch, whose end comes before its start.

    Returns:
        `"image"`, float32 `(n, height, width, channels)`; `"target"`, float32 `(n, classes)`; and
        the labels and indices, and `"skipped"` if given, of the same n examples.
    """
    augmentation, seeds = recipe.augmentation, examples["seed"]
    mean, std = (tf.constant(values) for values in mean_and_std)
    images = normalized(examples["image"], moved_mean(mean, seeds, augmentation), std)
    if augmentation.random_erasing:
        images = erased(images, seeds, augmentation.random_erasing)
    targets = tf.one_hot(examples["label"], classes)
    if mixes(augmentation):
        images, targets = mixed(
            images[before:],
            targets[before:],
            partners(images, distance, before),
            partners(targets, distance, before),
            step,
            recipe,
        )
    kept = [key for key in ("label", "index", "skipped") if key in examples]
    return {"image": images, "target": targets} | {key: examples[key][before:] for key in kept}
