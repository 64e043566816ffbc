"""From image files to names: the whole way."""

import os

import keras
import numpy as np

from keras_resnets.arguments import check_positive_int
from keras_resnets.preprocessing.decode_image import decode_image
from keras_resnets.preprocessing.model import model_preprocessing, preprocesses_itself
from keras_resnets.preprocessing.predictions import decode_predictions


def classify(model, images, top=5, class_names=None, batch_size=32):
    """Says what is on images: decodes, preprocesses, predicts, and names the classes.

    Args:
        model: A model of the zoo with its top, that carries a preprocessing (see
            `set_preprocessing`) or has one as a layer.
        images: A path, an RGB array `(height, width, 3)` of values 0 to 255, or a list of
            such, of any sizes; or a batch of images in one array. A model of one channel takes
            grey arrays, and files as grey.
        top: How many classes to return of each image.
        class_names: Name of each class; `None` for ImageNet's 1000.
        batch_size: How many images to predict at once.

    Returns:
        For each image a list of `top` times `Prediction(class_id, name, score)`. The scores are
        probabilities: if the model ends in logits, their softmax.

    Raises:
        ValueError: If the model does not say what it eats, its classes have no names, or a file
            is not an image; the file is named.
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
    batch_size = check_positive_int("batch_size", batch_size)
    prepare = _preparation(model)
    channels = model.input_shape[3 if _is_channels_last() else 1]
    classes = model.output_shape[-1]
    if class_names is None and classes != 1000:
        raise ValueError(
            "`class_names` must name the classes of a model that has not ImageNet's 1000. "
            f"Received: class_names=None, a model with {classes} classes"
        )
    images = _as_list(images)
    scores: list = []
    batch: list = []
    for index, image in enumerate(images):
        prepared = prepare(_pixels(image, index, channels)[None])
        if batch and batch[0].shape != prepared.shape:
            scores, batch = scores + _predict(model, batch), []
        batch.append(prepared)
        if len(batch) == batch_size:
            scores, batch = scores + _predict(model, batch), []
    if batch:
        scores = scores + _predict(model, batch)
    rows = np.reshape(scores, (len(images), classes))
    return decode_predictions(rows, top=top, class_names=class_names)


def _preparation(model):
    """Returns the function from a batch of pixels to what the model reads."""
    preprocessing = model_preprocessing(model)
    if preprocesses_itself(model):
        return np.asarray
    if preprocessing is None:
        raise ValueError(
            "The model does not say what it eats: give it a preprocessing with "
            f"`set_preprocessing`. Received: model={model.name!r}"
        )
    layer = preprocessing.as_layer(data_format="channels_last")
    if _is_channels_last():
        return lambda pixels: keras.ops.convert_to_numpy(layer(pixels))
    return lambda pixels: np.moveaxis(keras.ops.convert_to_numpy(layer(pixels)), -1, 1)


def _is_channels_last():
    return keras.config.image_data_format() == "channels_last"


def _as_list(images):
    if isinstance(images, (str, os.PathLike)):
        return [images]
    if isinstance(images, (list, tuple)):
        return images
    images = np.asarray(keras.ops.convert_to_numpy(images))
    return [images] if images.ndim == 3 else list(images)


def _pixels(image, index, channels):
    if isinstance(image, (str, os.PathLike)):
        return decode_image(image, channels)
    try:
        image = np.asarray(keras.ops.convert_to_numpy(image))
    except (TypeError, ValueError):
        image = np.asarray(None)
    if image.dtype.kind not in "iuf":
        raise TypeError(f"An image must be a path or an array of numbers. Received: image {index}")
    if image.ndim != 3 or image.shape[2] != channels or not image.size:
        raise ValueError(
            f"An image must have the shape (height, width, {channels}). "
            f"Received: image {index} of shape {image.shape}"
        )
    if not (image.min() >= 0 and image.max() <= 255):
        raise ValueError(
            "An image must have values 0 to 255. "
            f"Received: image {index} with values from {image.min()} to {image.max()}"
        )
    return image


def _predict(model, batch):
    scores = model.predict_on_batch(np.concatenate(batch))
    if getattr(model.layers[-1], "activation", None) is keras.activations.linear:
        scores = keras.ops.softmax(scores.astype("float32"))
    return list(keras.ops.convert_to_numpy(scores))
