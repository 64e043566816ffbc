"""From an encoded image to a view: decoding, crops, and the views of an evaluation."""

import dataclasses
import math

import tensorflow as tf

from keras_resnets.arguments import check_pair
from keras_resnets.preprocessing import Preprocessing
from keras_resnets.preprocessing.preprocessing import (
    MAX_ASPECT_RATIO,
    prepare_images,
    prepared_size,
)
from training.data.order import between, uniform
from training.data.source import Source
from training.recipe.recipe import Evaluation

READ_FORMATS = "JPEG, PNG, GIF, BMP or WebP"
ACCURATE = "INTEGER_ACCURATE"
JPEG_SCALES = (8, 4, 2)  # reductions that the decoder offers
STRIP = f"it is more than {MAX_ASPECT_RATIO} times as long as wide"


def image_shape(image: tf.Tensor, source: Source) -> tf.Tensor:
    """Returns the height and width of a loaded image, int32 `(2,)`; of a JPEG from its header."""
    if not source.encoded:
        return tf.shape(image)[:2]
    return tf.cond(
        tf.io.is_jpeg(image),
        lambda: tf.io.extract_jpeg_shape(image)[:2],
        lambda: tf.shape(decoded_file(image, source.channels))[:2],
    )


def decoded(image: tf.Tensor, source: Source) -> tf.Tensor:
    """Decodes a whole image."""
    return decoded_file(image, source.channels) if source.encoded else image


def decoded_file(contents: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a file of one of `READ_FORMATS` to uint8 `(height, width, channels)`."""
    pixels = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.decode_jpeg(contents, channels, dct_method=ACCURATE),
        lambda: tf.io.decode_image(contents, channels, expand_animations=False),
    )
    return tf.ensure_shape(pixels, (None, None, channels))


def is_strip(shape: tf.TensorShape) -> bool:
    """Returns whether an image is too long to be resized whole, as evaluation does."""
    shorter, longer = sorted(shape[:2])
    return longer > MAX_ASPECT_RATIO * shorter


def what_is_wrong(contents: bytes) -> str:
    """Says in a few words why a file could not be decoded."""
    if not contents:
        return "the file is empty"
    if contents.startswith(b"\xff\xd8\xff"):
        whole = contents.rstrip(b"\0").endswith(b"\xff\xd9")
        return "the JPEG data are damaged" if whole else "the JPEG file is cut off"
    if contents.startswith(b"\x89PNG"):
        whole = b"IEND" in contents[-64:]
        return "the PNG data are damaged" if whole else "the PNG file is cut off"
    if contents.startswith((b"GIF8", b"BM")) or contents[8:12] == b"WEBP":
        return "the image data are damaged"
    return f"it is not a {READ_FORMATS} file"


def crop_resized(image: tf.Tensor, window: tf.Tensor, source: Source, image_size: int) -> tf.Tensor:
    """Cuts a window out of an image and resizes it to a square, for training.

    Of a JPEG only the window is decoded, at half, a quarter or an eighth of its size if that is
    still no smaller than the square.
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
    """Averages pixels where a part shrinks, and interpolates where it grows."""
    # This takes half the time of `tf.image.resize(antialias=True)`.
    size = tf.constant([image_size, image_size])
    shrunk = tf.minimum(tf.shape(part)[:2], size)
    part = tf.cond(
        tf.reduce_all(shrunk == tf.shape(part)[:2]),
        lambda: tf.cast(part, tf.float32),
        lambda: tf.image.resize(part, shrunk, method="area"),
    )
    grown = tf.cond(
        tf.reduce_all(shrunk == size), lambda: part, lambda: tf.image.resize(part, size)
    )
    return to_uint8(grown)


def view_preprocessing(evaluation: Evaluation, image_size: int) -> Preprocessing:
    """Returns how test images are resized and cropped; their values stay in [0, 255]."""
    rule = math.floor if evaluation.size_rule == "floor" else round
    return Preprocessing(
        resize=rule(image_size / evaluation.crop_ratio),
        crop=image_size,
        interpolation=evaluation.interpolation,
        value_range=(0.0, 255.0),
    )


def whole_view(image_size: int) -> Preprocessing:
    """Returns the view whose shorter side is not cropped."""
    return view_preprocessing(Evaluation(), image_size)


def central_view(image: tf.Tensor, source: Source, preprocessing: Preprocessing) -> tf.Tensor:
    """Decodes an image, resizes it and cuts its centre out, as a `Preprocessing` says."""
    view = _prepared(decoded(image, source), preprocessing)
    return tf.ensure_shape(view, (*prepared_size(preprocessing, None, None), source.channels))


def ten_views(image: tf.Tensor, source: Source, preprocessing: Preprocessing) -> tf.Tensor:
    """Takes four corners and the centre of the resized image, and the mirror images of all five."""
    side, _ = check_pair("crop", preprocessing.crop)
    resized = _prepared(decoded(image, source), dataclasses.replace(preprocessing, crop=None))
    views = [
        resized[:side, :side],
        resized[:side, -side:],
        resized[-side:, :side],
        resized[-side:, -side:],
        _prepared(resized, dataclasses.replace(preprocessing, resize=None)),
    ]
    views = tf.concat([views, tf.reverse(views, [2])], axis=0)
    return tf.ensure_shape(views, (10, side, side, source.channels))


def _prepared(pixels, preprocessing):
    """Returns uint8: resizing rounds to whole grey levels."""
    return tf.cast(prepare_images(pixels[tf.newaxis], preprocessing, "channels_last")[0], tf.uint8)


ATTEMPTS = 10
ASPECT = (3 / 4, 4 / 3)


def area_window(shape: tf.Tensor, seed: tf.Tensor, area: tuple[float, float]) -> tf.Tensor:
    """Draws a window of random area and aspect ratio (Szegedy et al., 2015), as in torchvision.

    The first of ten shapes that fits into the image is taken, at a uniform place. If none fits, it
    is the largest central window whose aspect ratio is in range.
    """
    image_height, image_width = tf.unstack(tf.cast(shape, tf.float32))
    areas = between(uniform(seed, "crop area", ATTEMPTS), *area) * image_height * image_width
    logarithms = between(uniform(seed, "crop aspect", ATTEMPTS), *map(math.log, ASPECT))
    heights = tf.round(tf.sqrt(areas / tf.exp(logarithms)))
    widths = tf.round(tf.sqrt(areas * tf.exp(logarithms)))
    fits = (heights >= 1) & (heights <= image_height) & (widths >= 1) & (widths <= image_width)
    first = tf.argmax(fits)

    def drawn():
        size = tf.stack([heights[first], widths[first]])
        return _placed(shape, tf.cast(size, tf.int32), seed)

    def central():
        width = tf.minimum(image_width, tf.round(image_height * ASPECT[1]))
        height = tf.minimum(image_height, tf.round(image_width / ASPECT[0]))
        size = tf.cast(tf.stack([height, width]), tf.int32)
        return tf.concat([(shape - size) // 2, size], axis=0)

    return tf.cond(tf.reduce_any(fits), drawn, central)


def scale_window(
    shape: tf.Tensor, seed: tf.Tensor, sides: tuple[int, int], image_size: int
) -> tf.Tensor:
    """Draws the window of an image whose shorter side takes a random length (He et al., 2015)."""
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
