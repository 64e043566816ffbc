"""The part of augmentation that whole batches go through: normalization, erasing, mixing."""

import numpy as np
import tensorflow as tf

from training.data.erasing import erased
from training.data.mixing import mixed, mixes
from training.data.normalization import moved_mean, normalized
from training.recipe import Recipe


def finished(
    examples: dict[str, tf.Tensor],
    step: tf.Tensor,
    recipe: Recipe,
    classes: int,
    mean_and_std: tuple[np.ndarray, np.ndarray],
    partners: np.ndarray,
) -> dict[str, tf.Tensor]:
    """Makes what a network is trained on out of augmented pixels.

    Args:
        examples: `"image"`, uint8 `(m, height, width, channels)`; `"label"` and `"index"`, int64
            `(m,)`; `"seed"`, int32 `(m, 2)`; perhaps `"skipped"`. The first n are a part of a
            batch, the others are there to be mixed with them.
        step: int64 scalar: the batch's number.
        recipe: Says how images are normalized, erased and mixed.
        classes: Number of classes.
        mean_and_std: What `normalization` gave.
        partners: For each of the n examples the index of the one that it is mixed with, `(n,)`.

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
    count = len(partners)
    if mixes(augmentation):
        images, targets = mixed(
            images[:count],
            targets[:count],
            tf.gather(images, partners),
            tf.gather(targets, partners),
            step,
            recipe,
        )
    kept = [key for key in ("label", "index", "skipped") if key in examples]
    return {"image": images, "target": targets} | {key: examples[key][:count] for key in kept}
