"""From an example and its seed to the pixels that are trained on.

In this order: crop, mirror, policy, colour jitter, principal-component noise, for each image by
its own seed; then, for whole batches, normalization, random erasing, and mixup or CutMix. Each
draw is a function of the example's seed alone; those of mixup and CutMix, of the step.
"""

import tensorflow as tf

from training.data.colors import jittered, with_pca_noise
from training.data.crops import area_window, scale_window
from training.data.decoding import crop_resized, image_shape
from training.data.geometry import mirrored, moved
from training.data.policies import rand_augment, trivial_augment
from training.data.source import ArraySource, Source
from training.data.views import central_view, whole_view
from training.recipe import Augmentation, Recipe


def augmented(image: tf.Tensor, seed: tf.Tensor, source: Source, recipe: Recipe) -> tf.Tensor:
    """Augments one image, up to what is done to whole batches.

    Args:
        image: What `source.load` gives.
        seed: int32, shape `(2,)`.
        source: Where the image came from.
        recipe: Says what is done.

    Returns:
        uint8, shape `(image_size, image_size, channels)`.
    """
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
    """Does to a batch what `augmented` does to each image, where `is_batchwise` allows it.

    Args:
        images: uint8, shape `(n, image_size, image_size, channels)`.
        seeds: int32, shape `(n, 2)`.
        augmentation: Says what is done.

    Returns:
        As `images`.
    """
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
