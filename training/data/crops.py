"""Where random crops are cut: windows as functions of an image's size and a seed."""

import math

import tensorflow as tf

from training.data.draws import uniform

ATTEMPTS = 10
ASPECT = (3 / 4, 4 / 3)


def area_window(
    shape: tf.Tensor,
    seed: tf.Tensor,
    area: tuple[float, float],
    aspect: tuple[float, float] = ASPECT,
) -> tf.Tensor:
    """Draws a window of random area and aspect ratio (Szegedy et al., 2015, as torchvision does).

    The area is uniform, the aspect ratio uniform in its logarithm. Of ten drawn shapes the first
    that fits into the image is taken, at a uniform place; if none does, the largest central
    window whose aspect ratio is in range.

    Args:
        shape: int32, `(2,)`: the image's height and width.
        seed: int32, `(2,)`.
        area: Least and greatest area, as parts of the image.
        aspect: Least and greatest width over height.

    Returns:
        int32, `(4,)`: top, left, height and width, in pixels.
    """
    image_height, image_width = tf.unstack(tf.cast(shape, tf.float32))
    areas = _between(uniform(seed, "crop area", ATTEMPTS), *area) * image_height * image_width
    logarithms = _between(uniform(seed, "crop aspect", ATTEMPTS), *map(math.log, aspect))
    heights = tf.round(tf.sqrt(areas / tf.exp(logarithms)))
    widths = tf.round(tf.sqrt(areas * tf.exp(logarithms)))
    fits = (heights >= 1) & (heights <= image_height) & (widths >= 1) & (widths <= image_width)
    first = tf.argmax(fits)

    def drawn():
        size = tf.stack([heights[first], widths[first]])
        return _placed(shape, tf.cast(size, tf.int32), seed)

    def central():
        width = tf.minimum(image_width, tf.round(image_height * aspect[1]))
        height = tf.minimum(image_height, tf.round(image_width / aspect[0]))
        size = tf.cast(tf.stack([height, width]), tf.int32)
        return tf.concat([(shape - size) // 2, size], axis=0)

    return tf.cond(tf.reduce_any(fits), drawn, central)


def scale_window(
    shape: tf.Tensor, seed: tf.Tensor, sides: tuple[int, int], image_size: int
) -> tf.Tensor:
    """Draws the window of an image whose shorter side takes a random length (He et al., 2015).

    Cutting the window first and then resizing it to `image_size` is the same as resizing the
    image and cutting a square of `image_size` out, but for the rounding to whole pixels.

    Args:
        shape: int32, `(2,)`: the image's height and width.
        seed: int32, `(2,)`.
        sides: Least and greatest length of the shorter side after resizing, in pixels.
        image_size: Height and width of the crop, in pixels.

    Returns:
        int32, `(4,)`: top, left, height and width, in pixels of the image as it is.
    """
    choices = sides[1] - sides[0] + 1
    side = sides[0] + tf.floor(uniform(seed, "crop scale", 1)[0] * choices)
    shorter = tf.cast(tf.reduce_min(shape), tf.float32)
    size = tf.cast(tf.maximum(tf.round(shorter * image_size / side), 1), tf.int32)
    return _placed(shape, tf.stack([size, size]), seed)


def _placed(shape, size, seed):
    """Puts a window of the given size anywhere in the image, each place as likely as the others."""
    room = tf.cast(shape - size + 1, tf.float32)
    corner = tf.cast(tf.floor(uniform(seed, "crop corner", 2) * room), tf.int32)
    return tf.concat([corner, size], axis=0)


def _between(parts, low, high):
    return low + parts * (high - low)
