"""What of a picture is looked at without chance: its centre, or the ten crops."""

import dataclasses
import math

import tensorflow as tf

from keras_resnets.arguments import check_pair
from keras_resnets.preprocessing import Preprocessing
from keras_resnets.preprocessing.preprocessing import prepare_images
from training.data.decoding import decoded
from training.data.source import Source
from training.recipe import Evaluation


def view_preprocessing(evaluation: Evaluation, image_size: int) -> Preprocessing:
    """Returns how test images are resized and cropped: no more, their values stay as they are.

    Args:
        evaluation: Its `crop_ratio`, `size_rule` and `interpolation` count.
        image_size: Height and width of the view, in pixels.

    Example:

    >>> timm = Evaluation(crop_ratio=0.95, size_rule="floor", interpolation="bicubic")
    >>> view_preprocessing(timm, 224).resize
    235
    """
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
    """Decodes an image, resizes it and cuts its centre out, as a `Preprocessing` says.

    Args:
        image: What `source.load` gives.
        source: Where it came from.
        preprocessing: What `view_preprocessing` gives.

    Returns:
        uint8, shape `(image_size, image_size, channels)`.
    """
    view = _prepared(decoded(image, source), preprocessing)
    return tf.ensure_shape(view, (preprocessing.crop, preprocessing.crop, source.channels))


def ten_views(image: tf.Tensor, source: Source, preprocessing: Preprocessing) -> tf.Tensor:
    """Takes four corners and the centre of the resized image, and the mirror images of all five.

    Args:
        image: As for `central_view`.
        source: As for `central_view`.
        preprocessing: As for `central_view`.

    Returns:
        uint8, shape `(10, image_size, image_size, channels)`: top left, top right, bottom left,
        bottom right, centre; then their mirror images.
    """
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
