"""A preprocessing and the size of the images that a model takes."""

import dataclasses

import keras

from keras_resnets.preprocessing.prepare_images import spatial_axes


def fit_preprocessing(preprocessing, model):
    """Returns a preprocessing that ends in the size of a model's images.

    One that ends in another size is scaled: `resize` stays in proportion to the crop.

    Args:
        preprocessing: A `Preprocessing`.
        model: A model, whose images may be of any size.

    Example:

    >>> model = keras_resnets.ResNet18(input_shape=(112, 112, 3))
    >>> fitted = fit_preprocessing(keras_resnets.Preprocessing.imagenet(256, 224), model)
    >>> fitted.resize, fitted.crop
    (128, (112, 112))
    """
    if fits(preprocessing, model):
        return preprocessing
    prepared, wanted = fixed_size(preprocessing), image_size(model)
    resize = preprocessing.resize
    if isinstance(resize, int):
        resize = round(resize * max(wanted) / max(prepared))
    elif resize is not None:
        resize = tuple(
            round(side * new / old) for side, new, old in zip(resize, wanted, prepared, strict=True)
        )
    crop = None if preprocessing.crop is None else wanted
    return dataclasses.replace(preprocessing, resize=resize, crop=crop)


def fits(preprocessing, model):
    """Whether a preprocessing ends in a size that a model takes, as far as both are known."""
    prepared, wanted = fixed_size(preprocessing), image_size(model)
    return None in (prepared, wanted) or prepared == wanted


def fixed_size(preprocessing):
    """Returns the (height, width) that all images come to; `None` if it depends on the image."""
    last = preprocessing.resize if preprocessing.crop is None else preprocessing.crop
    if isinstance(last, int):
        return None if preprocessing.crop is None else (last, last)
    return last


def image_size(model):
    """Returns the (height, width) of a model's images, or `None` where it takes any."""
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4:  # a model of several inputs, or of others
        return None
    size = tuple(shape[axis] for axis in spatial_axes(keras.config.image_data_format()))
    return None if None in size else size
