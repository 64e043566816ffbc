"""What is done to a batch: erasing, mixing, normalizing."""

import math

import numpy as np
import tensorflow as tf

from training.data.normalization import moved_mean, normalized
from training.data.order import step_seed, uniform
from training.recipe.recipe import Augmentation, Recipe

ATTEMPTS = 10
AREA = (0.02, 0.33)  # of the image, as in torchvision
ASPECT = (0.3, 3.3)


def erased(images: tf.Tensor, seeds: tf.Tensor, probability: float) -> tf.Tensor:
    """Sets a rectangle of some images to zero, which after normalization is the mean colour.

    Area and aspect ratio are drawn as for `crops.area_window`; where none of ten drawn rectangles
    fits, the image stays whole.
    """
    height, width = images.shape[1:3]
    area = _between(uniform(seeds, "erasing area", ATTEMPTS), *AREA) * (height * width)
    logarithm = _between(uniform(seeds, "erasing aspect", ATTEMPTS), *map(math.log, ASPECT))
    # In float64, for the reason that `draws.normal` gives.
    ratio = tf.cast(tf.exp(tf.cast(logarithm, tf.float64)), tf.float32)
    heights, widths = tf.round(tf.sqrt(area / ratio)), tf.round(tf.sqrt(area * ratio))
    fits = (heights < height) & (widths < width)
    first = tf.argmax(fits, axis=1)
    place = uniform(seeds, "erasing place", 2)
    chosen = (uniform(seeds, "erasing", 1)[:, 0] < probability) & tf.reduce_any(fits, axis=1)

    def covered(lengths, total, part):
        length = tf.gather(lengths, first, batch_dims=1)
        start = tf.floor(part * (total - length + 1))
        numbers = tf.range(total, dtype=tf.float32)
        return (numbers >= start[:, None]) & (numbers < (start + length)[:, None])

    rows = covered(heights, height, place[:, 0]) & chosen[:, None]
    columns = covered(widths, width, place[:, 1])
    rectangle = (rows[:, :, None] & columns[:, None])[..., None]
    return tf.where(rectangle, 0.0, images)


def _between(parts, low, high):
    return low + parts * (high - low)


def mixes(augmentation: Augmentation) -> bool:
    """Returns whether images are mixed at all."""
    return bool(augmentation.mixup or augmentation.cutmix)


def with_partners(places: np.ndarray, batch: int, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds with what each example of a part of a batch is mixed."""
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
    """Mixes images and their targets with those of their partners."""
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
    """Draws from Beta(α, α): a float32 scalar in [0, 1]."""
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


def finished(
    examples: dict[str, tf.Tensor],
    step: tf.Tensor,
    recipe: Recipe,
    classes: int,
    mean_and_std: tuple[np.ndarray, np.ndarray],
    partners: np.ndarray,
) -> dict[str, tf.Tensor]:
    """Makes what a network is trained on out of augmented pixels."""
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
