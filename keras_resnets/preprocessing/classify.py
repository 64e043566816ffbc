"""From image files to names: the whole way."""

import os

import keras
import numpy as np

from keras_resnets.arguments import check_positive_int
from keras_resnets.layers.feature_map import channel_axis
from keras_resnets.preprocessing.decode_image import decode_image
from keras_resnets.preprocessing.grey_levels import check_grey_levels
from keras_resnets.preprocessing.model import required_preprocessing
from keras_resnets.preprocessing.predictions import check_class_names, decode_predictions
from keras_resnets.preprocessing.prepare_images import prepare_images
from keras_resnets.preprocessing.scores import (
    check_probabilities,
    number_of_classes,
    score_function,
)


def classify(model, images, top=5, class_names=None, batch_size=32, scores=None):
    """Says what is on images: decodes, preprocesses, predicts, and names the classes.

    Args:
        model: A model of the zoo with its top, that carries a preprocessing (see
            `set_preprocessing`) or scales its images itself (see `model_preprocessing`).
        images: A path, an RGB array `(height, width, 3)` of values 0 to 255, or a list of
            such, of any sizes up to 100 times as long as wide; or a batch of images in one array.
            A model of one channel takes grey arrays, and files as grey.
        top: How many classes to return of each image, at most.
        class_names: Name of each class; `None` for ImageNet's 1000. Of a model of one unit, which
            gives the probability of the second of two classes, either both names, the negative
            one first, or that of the second alone.
        batch_size: How many images to predict at once.
        scores: What makes probabilities of a model's logits: `"softmax"`, for classes of which one
            is right, or `"sigmoid"`, where several may be. By default softmax, and sigmoid for a
            single unit.

    Returns:
        For each image a list of `top` times `Prediction(class_id, name, score)`, or of as many as
        there are classes. The scores are probabilities. Whether the model gives them, or logits,
        is known by its last layer; a linear one is taken for logits.

    Raises:
        ValueError: If the model is no classifier or does not note how its images are prepared, its
            outputs are neither probabilities nor logits, its classes have no names, a file is not
            an image, or an array does not hold grey levels 0 to 255.
        FileNotFoundError: If there is no such file.
        TypeError: If an image is neither a path nor an array.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(32, 32))
    >>> image = np.zeros((48, 64, 3), "uint8")
    >>> [prediction] = keras_resnets.classify(model, image, class_names="abcdefghij", top=3)
    >>> len(prediction)
    3
    """
    top = check_positive_int("top", top)
    batch_size = check_positive_int("batch_size", batch_size)
    classes = number_of_classes(model)
    function = score_function(model, scores)
    preprocessing = required_preprocessing(model)
    channels = model.input_shape[channel_axis(keras.config.image_data_format())]
    if class_names is None and classes != 1000:
        raise ValueError(
            "`class_names` must name the classes of a model that has not ImageNet's 1000. "
            f"Received: class_names=None, a model with {classes} classes"
        )
    if class_names is not None:
        class_names = check_class_names(class_names, classes)
    images = _as_list(images)
    rows: list = []
    batch: list = []
    for index, image in enumerate(images):
        pixels = _pixels(image, index, channels)[None]
        try:
            prepared = _prepared(pixels, preprocessing)
        except ValueError as error:
            raise ValueError(f"{error} of image {index}") from error
        if batch and batch[0].shape != prepared.shape:
            rows, batch = rows + _predict(model, batch, function), []
        batch.append(prepared)
        if len(batch) == batch_size:
            rows, batch = rows + _predict(model, batch, function), []
    if batch:
        rows = rows + _predict(model, batch, function)
    preds = np.reshape(rows, (len(images), classes))
    return decode_predictions(preds, top=top, class_names=class_names)


def _prepared(pixels, preprocessing):
    """Returns what the model reads of a batch of pixels."""
    prepared = prepare_images(pixels, preprocessing, "channels_last")
    prepared = keras.ops.convert_to_numpy(prepared)
    return np.moveaxis(prepared, -1, channel_axis(keras.config.image_data_format()))


def _as_list(images):
    if isinstance(images, (str, os.PathLike)):
        return [images]
    if isinstance(images, (list, tuple)):
        return images
    array = _as_array(images)
    if array is None or array.ndim not in (3, 4):
        raise TypeError(
            "`images` must be a path, an array of an image or of a batch, or a list of such. "
            f"Received: {type(images).__name__}"
            f"{'' if array is None else f' of shape {array.shape}'}"
        )
    return [array] if array.ndim == 3 else list(array)


def _as_array(value):
    """Returns numbers as an array; `None` if they are none."""
    try:
        array = np.asarray(keras.ops.convert_to_numpy(value))
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "iuf" else None


def _pixels(image, index, channels):
    if isinstance(image, (str, os.PathLike)):
        return decode_image(image, channels)
    array = _as_array(image)
    if array is None:
        raise TypeError(f"An image must be a path or an array of numbers. Received: image {index}")
    if array.ndim != 3 or array.shape[2] != channels or not array.size:
        raise ValueError(
            f"An image must have the shape (height, width, {channels}). "
            f"Received: image {index} of shape {array.shape}"
        )
    check_grey_levels(f"images[{index}]", array)
    return array


def _predict(model, batch, function):
    scores = model.predict_on_batch(np.concatenate(batch))
    if function is None:
        check_probabilities(model, scores)
    else:
        scores = getattr(keras.ops, function)(scores.astype("float32"))
    return list(keras.ops.convert_to_numpy(scores))
