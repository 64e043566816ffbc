"""What of a picture is looked at without chance: its centre, or the ten crops."""

import tensorflow as tf

from training.data.decoding import decoded, to_uint8
from training.data.source import Source


def central_view(image: tf.Tensor, source: Source, image_size: int, crop_ratio: float) -> tf.Tensor:
    """Resizes the shorter side to image_size / crop_ratio and takes the central square.

    Args:
        image: What `source.load` gives.
        source: Where it came from.
        image_size: Height and width of the view, in pixels.
        crop_ratio: Size of the view over the shorter side, in (0, 1].

    Returns:
        uint8, shape `(image_size, image_size, channels)`.
    """
    resized = shorter_side_resized(image, source, round(image_size / crop_ratio))
    height, width = tf.unstack(tf.shape(resized)[:2])
    # Where the margin is odd, its halves are rounded as torchvision's CenterCrop rounds them.
    top, left = _rounded_half(height - image_size), _rounded_half(width - image_size)
    view = tf.slice(resized, [top, left, 0], [image_size, image_size, -1])
    return tf.ensure_shape(view, (image_size, image_size, source.channels))


def ten_views(image: tf.Tensor, source: Source, image_size: int, crop_ratio: float) -> tf.Tensor:
    """Takes four corners and the centre of the resized image, and the mirror images of all five.

    Args:
        image: As for `central_view`.
        source: As for `central_view`.
        image_size: As for `central_view`.
        crop_ratio: As for `central_view`.

    Returns:
        uint8, shape `(10, image_size, image_size, channels)`: top left, top right, bottom left,
        bottom right, centre; then their mirror images.
    """
    resized = shorter_side_resized(image, source, round(image_size / crop_ratio))
    height, width = tf.unstack(tf.shape(resized)[:2])
    low, right = height - image_size, width - image_size
    corners = [(0, 0), (0, right), (low, 0), (low, right)]
    corners.append((_rounded_half(low), _rounded_half(right)))
    views = tf.stack(
        [tf.slice(resized, [top, left, 0], [image_size, image_size, -1]) for top, left in corners]
    )
    views = tf.concat([views, tf.reverse(views, [2])], axis=0)
    return tf.ensure_shape(views, (10, image_size, image_size, source.channels))


def shorter_side_resized(image: tf.Tensor, source: Source, side: int) -> tf.Tensor:
    """Decodes an image and resizes it, with its aspect ratio kept, so that its shorter side fits.

    Bilinear with antialiasing, as Pillow and torchvision resize.

    Args:
        image: What `source.load` gives.
        source: Where it came from.
        side: The new length of the shorter side, in pixels.

    Returns:
        uint8, shape `(height, width, channels)`. An image that fits already is left as it is.
    """
    pixels = decoded(image, source)
    shape = tf.shape(pixels)[:2]
    shorter = tf.reduce_min(shape)
    # torchvision too cuts the fraction of the longer side off.
    resized_shape = shape * side // shorter
    return tf.cond(
        shorter == side,
        lambda: pixels,
        lambda: to_uint8(tf.image.resize(pixels, resized_shape, antialias=True)),
    )


def _rounded_half(margin):
    return tf.cast(tf.round(tf.cast(margin, tf.float32) / 2), tf.int32)  # a half goes to the even
