"""Brightness, contrast, saturation and sharpness, as `PIL.ImageEnhance` defines them."""

import tensorflow as tf


def brightness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with black.

    Args:
        image: uint8, shape `(height, width, channels)`, with 1 or 3 channels.
        factor: 0 gives black, 1 the image, more a brighter one.

    Returns:
        As `image`.
    """
    return _blended(0.0, image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with its mean grey: as `brightness`, 0 gives the grey."""
    mean = tf.reduce_mean(tf.cast(grey(image), tf.float64))  # whose sum float32 cannot hold
    return _blended(tf.cast(tf.floor(mean + 0.5), tf.float32), image, factor)


def saturation(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with its grey version: as `brightness`, 0 gives the grey version."""
    if image.shape[-1] == 1:
        return image
    return _blended(grey(image), image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with a smoothed one: 0 gives the smooth one, more than 1 sharpens."""
    pixels = tf.cast(image, tf.float32)
    rows = pixels[:-2] + pixels[1:-1] + pixels[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * pixels[1:-1, 1:-1]
    smooth = tf.floor(sums / 13 + 0.5)
    # The border, which lacks neighbours, stays.
    framed = tf.pad(smooth - pixels[1:-1, 1:-1], [[1, 1], [1, 1], [0, 0]]) + pixels
    return _blended(framed, image, factor)


def grey(image: tf.Tensor) -> tf.Tensor:
    """Returns the luma (ITU-R 601-2) of an image as Pillow rounds it: float32, one channel."""
    values = tf.cast(image, tf.float32)
    if image.shape[-1] == 1:
        return values
    # Whole numbers below 2²⁴, on which float32 makes no error.
    weights = tf.constant([[19595.0], [38470.0], [7471.0]])
    return tf.floor((tf.tensordot(values, weights, 1) + 0x8000) / 0x10000)


def _blended(degenerate, image, factor):
    mixed = degenerate + factor * (tf.cast(image, tf.float32) - degenerate)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)  # cut off, as Pillow does
