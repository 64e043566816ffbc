"""Moving whole batches of small images: padding, cropping and mirroring in one gather."""

import tensorflow as tf

from training.data.draws import integers, uniform


def moved(images: tf.Tensor, seeds: tf.Tensor, padding: int, flip: bool) -> tf.Tensor:
    """Pads images with zeros, takes a random crop of the old size, and mirrors half of them.

    Each image moves as its own seed says, whatever the others do: a batch of one gives the same.

    Args:
        images: Shape `(n, height, width, channels)`, or `(1, …)` to move one image in n ways.
        seeds: int32, shape `(n, 2)`.
        padding: Zeros on each side, in pixels; 0 leaves the images where they are.
        flip: Whether an image is mirrored with probability ½.

    Returns:
        As `images`, shape `(n, height, width, channels)`.
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
