"""The preprocessing that a model carries with it."""

import dataclasses

import keras

from keras_resnets.layers import ConvNorm
from keras_resnets.preprocessing.fit import fit_preprocessing, fits, fixed_size, image_size
from keras_resnets.preprocessing.layer import ImagePreprocessing
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.preprocessing.scaling import (
    GREY_LEVELS,
    inner_scaling,
    leaves_values,
    takes_grey_levels,
)


def model_preprocessing(model):
    """Returns what is to be done to an image before this model sees it.

    It stands in the configuration of the stem's convolution, so it survives `.keras` files,
    `keras.models.clone_model`, `feature_extractor`, `plain_twin` and whatever is built further
    upon the model. A `.weights.h5` file does not hold it.

    A model that scales its images itself, by layers before its first weights (`Rescaling`,
    `Normalization`, `as_layer`, arithmetic), takes grey levels 0 to 255. Of what it carries, the
    size alone counts then; if it carries nothing, images come to the size of its input.

    Args:
        model: A model of the zoo, or one built upon it.

    Returns:
        A `Preprocessing`; or `None` if it is not known: nobody has said it, or the model's layers
        are for images that were scaled before.

    Raises:
        ValueError: If the model has no stem of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing(mean=0.5, std=0.25))
    >>> keras_resnets.model_preprocessing(keras.models.clone_model(model)).std
    (0.25,)
    """
    stem = stem_convolution(model)
    values = stem.preprocessing
    noted = None if values is None else Preprocessing.from_dict(values)
    ends = inner_scaling(model, stem)
    if ends is None:
        return noted
    return _of_grey_levels(noted, model) if takes_grey_levels(ends) else None


def required_preprocessing(model):
    """Returns what `model_preprocessing` does, or raises if that is `None`."""
    preprocessing = model_preprocessing(model)
    if preprocessing is None:
        ends = inner_scaling(model, stem_convolution(model))
        if ends is not None:
            raise ValueError(_not_of_grey_levels(model, ends))
        raise ValueError(
            "The model must note how its images are prepared: give it a preprocessing with "
            f"`set_preprocessing`. Received: model={model.name!r}"
        )
    return preprocessing


def set_preprocessing(model, preprocessing):
    """Makes a model carry the preprocessing of the images that it is trained on.

    Args:
        model: A model of the zoo, or one built upon it.
        preprocessing: A `Preprocessing`; or `None` to take it away.

    Raises:
        ValueError: If the model has no stem of this package, takes images of another size than
            the preprocessing makes them, or scales them itself and would do so twice.
        TypeError: If either is of another type.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(32, 32))
    >>> keras_resnets.model_preprocessing(model).crop
    32
    """
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise TypeError(
            "`preprocessing` must be None or a Preprocessing. "
            f"Received: preprocessing={preprocessing!r}"
        )
    stem = stem_convolution(model)
    if preprocessing is not None and not fits(preprocessing, model):
        (height, width), wanted = fixed_size(preprocessing), image_size(model)
        raise ValueError(
            "`preprocessing` must end in the size of the model's images, "
            f"{wanted[0]}×{wanted[1]} for {model.name!r}: its `crop` is to be that. Received: "
            f"resize={preprocessing.resize}, crop={preprocessing.crop}, which makes them "
            f"{height}×{width}"
        )
    if preprocessing is not None and not leaves_values(preprocessing):
        _check_scales_nothing(model, stem, preprocessing)
    stem.preprocessing = preprocessing and preprocessing.to_dict()


def scales_itself(model):
    """Whether a model scales its images itself, before its first weights."""
    return inner_scaling(model, stem_convolution(model)) is not None


def without_scaling(preprocessing, model):
    """Returns a preprocessing that leaves the values to a model which scales them itself."""
    changes = GREY_LEVELS if scales_itself(model) else {}
    return dataclasses.replace(preprocessing, **changes)


def _of_grey_levels(noted, model):
    """Returns what is done to the images of a model that takes grey levels: their size alone."""
    size = image_size(model)
    if size is None:  # any size, or the model resizes
        noted = None if resizes_itself(model) else noted
        return dataclasses.replace(noted or Preprocessing(), **GREY_LEVELS)
    noted = noted or Preprocessing(resize=max(size), crop=size)
    return dataclasses.replace(fit_preprocessing(noted, model), **GREY_LEVELS)


def resizes_itself(model):
    """Whether a model brings images to a size itself, or may do so."""
    layers = (ImagePreprocessing, keras.layers.Resizing, keras.layers.CenterCrop)
    return any(isinstance(layer, layers) for layer in _all_layers(model))


def _check_scales_nothing(model, stem, preprocessing):
    ends = inner_scaling(model, stem)
    if ends is None:
        return
    if not takes_grey_levels(ends):
        raise ValueError(_not_of_grey_levels(model, ends))
    raise ValueError(
        "A model that scales its images itself must not have them scaled before as well: note "
        "their size alone, `Preprocessing(resize=…, crop=…, value_range=(0, 255))`, or build it "
        f"without its layers that scale. Received: model={model.name!r}, "
        f"preprocessing={preprocessing}"
    )


def _not_of_grey_levels(model, ends):
    return (
        "A model that scales its images itself must do so from grey levels 0 to 255: put "
        "`keras.layers.Rescaling(1 / 255)` in front if it takes 0 to 1, or build it without its "
        f"layers that scale. Received: model={model.name!r}, whose first weights see black as "
        f"{ends[0]:.4g} and white as {ends[1]:.4g}"
    )


def stem_convolution(model):
    """Returns the layer named `stem_conv`, however deep in the model it lies."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    for layer in _all_layers(model):
        if layer.name == "stem_conv" and isinstance(layer, ConvNorm):
            return layer
    raise ValueError(
        "`model` must have the stem of a model of this package, a layer named 'stem_conv'. "
        f"Received: model={model.name!r}"
    )


def _all_layers(model):
    return model._flatten_layers(include_self=False, recursive=True)
