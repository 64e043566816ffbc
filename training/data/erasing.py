"""Random erasing (Zhong et al., 2020), on whole batches."""

import math

import tensorflow as tf

from training.data.draws import uniform

ATTEMPTS = 10
AREA = (0.02, 0.33)  # of the image, as in torchvision
ASPECT = (0.3, 3.3)


def erased(images: tf.Tensor, seeds: tf.Tensor, probability: float) -> tf.Tensor:
    """Sets a rectangle of some images to zero, which after normalization is the mean colour.

    Area and aspect ratio are drawn as for `crops.area_window`; where none of ten drawn rectangles
    fits, the image stays whole.

    Args:
        images: float32, shape `(n, height, width, channels)`, normalized.
        seeds: int32, shape `(n, 2)`.
        probability: That of a rectangle, for each image.

    Returns:
        As `images`.
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
