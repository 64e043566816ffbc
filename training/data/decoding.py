"""Decoding and resizing: only the part of a file that is looked at, at the size it is looked at.

JPEG files are decoded with the accurate transform, which gives Pillow's pixels and those that an
exported SavedModel sees. TensorFlow's default is a fast one, 1.2 grey levels away on average.
"""

import tensorflow as tf

from training.data.source import Source

READ_FORMATS = "JPEG, PNG, GIF, BMP or WebP"
ACCURATE = "INTEGER_ACCURATE"
JPEG_SCALES = (8, 4, 2)  # of what the decoder offers, by the power of its cosine transform


def image_shape(image: tf.Tensor, source: Source) -> tf.Tensor:
    """Returns height and width of what `source.load` gave, int32 `(2,)`; a JPEG's header says."""
    if not source.encoded:
        return tf.shape(image)[:2]
    return tf.cond(
        tf.io.is_jpeg(image),
        lambda: tf.io.extract_jpeg_shape(image)[:2],
        lambda: tf.shape(decoded_file(image, source.channels))[:2],
    )


def decoded(image: tf.Tensor, source: Source) -> tf.Tensor:
    """Decodes a whole image.

    Args:
        image: What `source.load` gives.
        source: Where it came from.

    Returns:
        uint8, shape `(height, width, channels)`; of an animation, the first frame.
    """
    return decoded_file(image, source.channels) if source.encoded else image


def decoded_file(contents: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes the contents of an image file of `READ_FORMATS`: uint8 `(height, width, channels)`.

    Raises:
        tf.errors.InvalidArgumentError: If it is none, or damaged; in a graph, when that runs.
    """
    pixels = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.decode_jpeg(contents, channels, dct_method=ACCURATE),
        lambda: tf.io.decode_image(contents, channels, expand_animations=False),
    )
    return tf.ensure_shape(pixels, (None, None, channels))


def crop_resized(image: tf.Tensor, window: tf.Tensor, source: Source, image_size: int) -> tf.Tensor:
    """Cuts a window out of an image and resizes it to a square, for training.

    Of a JPEG only the window is decoded, and at half, a quarter or an eighth of its size where
    that is still no smaller than the square. Pixels are averaged where the window shrinks and
    interpolated where it grows: half as dear as `tf.image.resize(antialias=True)`, which took as
    long as the decoding.

    Args:
        image: What `source.load` gives.
        window: int32, shape `(4,)`: top, left, height and width, in pixels.
        source: Where the image came from.
        image_size: Height and width of the square, in pixels.

    Returns:
        uint8, shape `(image_size, image_size, channels)`.
    """
    if source.encoded:
        part = tf.cond(
            tf.io.is_jpeg(image),
            lambda: _decoded_jpeg_window(image, window, source.channels, image_size),
            lambda: _cut(decoded_file(image, source.channels), window),
        )
    else:
        part = _cut(image, window)
    part = tf.ensure_shape(part, (None, None, source.channels))
    return tf.ensure_shape(_resized(part, image_size), (image_size, image_size, source.channels))


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Rounds values to whole grey levels and clips them to 0 … 255."""
    return tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)


def _decoded_jpeg_window(image, window, channels, image_size):
    shorter = tf.reduce_min(window[2:])

    def at_scale(scale):
        # The decoder counts the window's pixels after scaling.
        corner, size = (window[:2] + scale // 2) // scale, tf.maximum(window[2:] // scale, 1)
        scaled = tf.concat([corner, size], axis=0)
        return tf.image.decode_and_crop_jpeg(
            image, scaled, channels=channels, ratio=scale, dct_method=ACCURATE
        )

    fits = [(shorter // scale >= image_size, lambda s=scale: at_scale(s)) for scale in JPEG_SCALES]
    return tf.case(fits, default=lambda: at_scale(1))


def _cut(image, window):
    return tf.slice(image, tf.pad(window[:2], [[0, 1]]), tf.concat([window[2:], [-1]], axis=0))


def _resized(part, image_size):
    size = tf.constant([image_size, image_size])
    shrunk = tf.minimum(tf.shape(part)[:2], size)

    def averaged():
        return tf.image.resize(part, shrunk, method="area")

    part = tf.cond(
        tf.reduce_all(shrunk == tf.shape(part)[:2]), lambda: tf.cast(part, tf.float32), averaged
    )
    grown = tf.cond(
        tf.reduce_all(shrunk == size), lambda: part, lambda: tf.image.resize(part, size)
    )
    return to_uint8(grown)
