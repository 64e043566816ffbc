"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019): each image with its batch's previous.

What is drawn is drawn once for a batch, from the seed of its step. The partner of an image is the
one that stands `repeats` places before it in the batch, so that none is mixed with itself; those
of the first come from the batch's end.
"""

import numpy as np
import tensorflow as tf

from training.data.draws import uniform
from training.data.order import step_seed
from training.recipe import Augmentation, Recipe


def mixes(augmentation: Augmentation) -> bool:
    """Returns whether images are mixed at all."""
    return bool(augmentation.mixup or augmentation.cutmix)


def with_partners(places: np.ndarray, batch: int, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds with what each example of a part of a batch is mixed.

    Args:
        places: Places of the part's examples in the batch, int64 `(n,)`.
        batch: Number of examples of the whole batch, whose end comes before its start.
        distance: How many places before an example its partner stands.

    Returns:
        The places of all that must be read: the part's, and then those partners that are not among
        them; and for each of the part where its partner stands in these, int64 `(n,)`.
    """
    wanted = (places - distance) % batch
    read = np.concatenate([places, wanted[~np.isin(wanted, places)]])
    index = np.empty(batch, np.int64)
    index[read] = np.arange(len(read))
    return read, index[wanted]


def mixed(
    images: tf.Tensor,
    targets: tf.Tensor,
    partners: tf.Tensor,
    partner_targets: tf.Tensor,
    step: tf.Tensor,
    recipe: Recipe,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes images and their targets with those of their partners.

    Args:
        images: float32, shape `(n, height, width, channels)`.
        targets: float32, shape `(n, classes)`.
        partners: As `images`.
        partner_targets: As `targets`.
        step: int64 scalar: the batch's number.
        recipe: Gives `augmentation.mixup`, `augmentation.cutmix` and `seed`.

    Returns:
        The mixed images and targets.
    """
    mixup, cutmix = recipe.augmentation.mixup, recipe.augmentation.cutmix
    seed = step_seed(recipe.seed, step)
    height, width = images.shape[1:3]

    def by_mixup():
        share = beta(seed, mixup)
        return share * images + (1 - share) * partners, share

    def by_cutmix():
        rectangle, share = _rectangle(seed, cutmix, height, width)
        return tf.where(rectangle[..., None], partners, images), share

    if mixup and cutmix:
        is_mixup = uniform(seed, "mixup or cutmix", 1)[0] < 0.5
        images, share = tf.cond(is_mixup, by_mixup, by_cutmix)
    else:
        images, share = by_mixup() if mixup else by_cutmix()
    return images, share * targets + (1 - share) * partner_targets


def beta(seed: tf.Tensor, concentration: float) -> tf.Tensor:
    """Draws from Beta(α, α): a float32 scalar in [0, 1].

    Args:
        seed: int32, shape `(2,)`.
        concentration: α, positive.
    """
    # In float64: gamma variates of a small α are often below the least float32.
    pair = tf.random.stateless_gamma([2], seed, alpha=concentration, dtype=tf.float64)
    return tf.cast(pair[0] / tf.reduce_sum(pair), tf.float32)


def _rectangle(seed, concentration, height, width):
    """Returns where the partner shows through, and the part of the image that stays."""
    side = tf.sqrt(1 - beta(seed, concentration))
    centre = uniform(seed, "cutmix centre", 2)

    def covered(length, part):
        middle = tf.floor(part * length)
        half = tf.floor(side * length / 2)
        numbers = tf.range(length, dtype=tf.float32)
        return (numbers >= middle - half) & (numbers < middle + half)

    rectangle = covered(height, centre[0])[:, None] & covered(width, centre[1])
    return rectangle, 1 - tf.reduce_mean(tf.cast(rectangle, tf.float32))
