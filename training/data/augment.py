"""Augmentation of one image: crop, flip, policies, colours."""

import tensorflow as tf

from training.data.colors import jittered, with_pca_noise
from training.data.decoding import (
    area_window,
    central_view,
    crop_resized,
    image_shape,
    scale_window,
    whole_view,
)
from training.data.order import integers, uniform
from training.data.policies import rand_augment, trivial_augment
from training.data.source import ArraySource, Source
from training.recipe.recipe import Augmentation, Recipe


def moved(images: tf.Tensor, seeds: tf.Tensor, padding: int, flip: bool) -> tf.Tensor:
    """Pads images with zeros, takes a random crop of the old size, and mirrors half of them.

    Each image moves as its own seed says, whatever the others do: a batch of one gives the same.
    """
    count = tf.shape(seeds)[0]
    height, width, channels = images.shape[1:]
    columns = tf.broadcast_to(tf.range(width), (count, width))
    if flip:
        columns = tf.where(mirrored(seeds)[:, None], columns[:, ::-1], columns)
    rows = tf.broadcast_to(tf.range(height), (count, height))
    if padding:
        offsets = integers(seeds, "pad crop", (2 * padding + 1, 2 * padding + 1))
        rows += offsets[:, :1]
        columns += offsets[:, 1:]
        images = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    padded_height, padded_width = height + 2 * padding, width + 2 * padding
    which = tf.range(count) if images.shape[0] != 1 else tf.zeros_like(seeds[:, 0])
    pixels = (which[:, None] * padded_height + rows)[:, :, None] * padded_width + columns[:, None]
    return tf.gather(tf.reshape(images, (-1, channels)), pixels)


def mirrored(seeds: tf.Tensor) -> tf.Tensor:
    """Returns which images are mirrored: bool, shape `seeds.shape[:-1]`."""
    return uniform(seeds, "flip", 1)[..., 0] < 0.5


def augmented(image: tf.Tensor, seed: tf.Tensor, source: Source, recipe: Recipe) -> tf.Tensor:
    """Augments one image, up to what is done to whole batches."""
    augmentation = recipe.augmentation
    pixels = _cropped(image, seed, source, recipe)
    if augmentation.policy == "randaugment":
        mean_colour = [255 * value for value in recipe.data.mean]
        pixels = rand_augment(pixels, seed, augmentation, fill=mean_colour)
    elif augmentation.policy == "trivialaugment":
        pixels = trivial_augment(pixels, seed, fill=[0.0])
    if augmentation.color_jitter:
        pixels = jittered(pixels, seed, augmentation.color_jitter)
    if augmentation.pca_noise:
        pixels = with_pca_noise(pixels, seed, augmentation.pca_noise)
    return pixels


def augmented_batch(images: tf.Tensor, seeds: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Does to a batch what `augmented` does to each image, where `is_batchwise` allows it."""
    padding = augmentation.padding if augmentation.crop == "pad" else 0
    return moved(images, seeds, padding, augmentation.flip)


def is_batchwise(source: Source, recipe: Recipe) -> bool:
    """Returns whether whole batches can be augmented at once: images in memory, only moved."""
    size, augmentation = recipe.data.image_size, recipe.augmentation
    return (
        isinstance(source, ArraySource)
        and source.image_shape == (size, size)
        and augmentation.crop in ("none", "pad")
        and augmentation.policy == "none"
        and not augmentation.color_jitter
        and not augmentation.pca_noise
    )


def _cropped(image, seed, source, recipe):
    """Crops, resizes and mirrors."""
    augmentation, image_size = recipe.augmentation, recipe.data.image_size
    if augmentation.crop in ("none", "pad"):
        view = central_view(image, source, whole_view(image_size))
        return augmented_batch(view[tf.newaxis], seed[tf.newaxis], augmentation)[0]
    shape = image_shape(image, source)
    if augmentation.crop == "resized":
        window = area_window(shape, seed, augmentation.area)
    else:
        window = scale_window(shape, seed, augmentation.scale_sides, image_size)
    pixels = crop_resized(image, window, source, image_size)
    if augmentation.flip:
        pixels = tf.cond(mirrored(seed), lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return pixels
