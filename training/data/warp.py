"""Rotating, shearing and shifting an image, as `PIL.Image.transform` does with bilinear sampling.

At the border Pillow cuts off sharply, and `ImageProjectiveTransformV3` blends into the fill over
one pixel; elsewhere they agree to a grey level.
"""

import math

import tensorflow as tf

from training.data.decoding import to_uint8


def rotate(image: tf.Tensor, degrees: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Rotates about the centre, counterclockwise.

    Args:
        image: uint8, shape `(height, width, channels)`.
        degrees: The angle.
        fill: float32, shape `(channels,)`: the colour of what comes in from outside, 0 to 255.

    Returns:
        As `image`.
    """
    radians = -degrees * (math.pi / 180)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    x, y = width / 2, height / 2
    return _warped(
        image,
        (cosine, sine, x - cosine * x - sine * y),
        (-sine, cosine, y + sine * x - cosine * y),
        fill,
    )


def shear_x(image: tf.Tensor, factor: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from factor · row further right; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, factor, 0.0), (0.0, 1.0, 0.0), fill)


def shear_y(image: tf.Tensor, factor: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from factor · column further down; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, 0.0, 0.0), (factor, 1.0, 0.0), fill)


def translate_x(image: tf.Tensor, pixels: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from `pixels` further right; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, 0.0, pixels), (0.0, 1.0, 0.0), fill)


def translate_y(image: tf.Tensor, pixels: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from `pixels` further down; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, 0.0, 0.0), (0.0, 1.0, pixels), fill)


def _warped(image, x_row, y_row, fill):
    """Takes the pixel at (x, y) from where the two rows of the affine matrix say."""

    def between_centres(a, b, c):
        # Pillow's coordinates begin at a pixel's corner, the operation's at its centre.
        return a, b, c + 0.5 * (a + b) - 0.5

    matrix = (*between_centres(*x_row), *between_centres(*y_row), 0.0, 0.0)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=(tf.cast(image, tf.float32) - fill)[tf.newaxis],
        transforms=tf.stack([tf.cast(entry, tf.float32) for entry in matrix])[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(to_uint8(warped[0] + fill), image.shape)
