"""The preprocessing that a model carries with it."""

import keras

from keras_resnets.layers import ConvNorm
from keras_resnets.preprocessing.fit import fits, fixed_size, image_size
from keras_resnets.preprocessing.layer import ImagePreprocessing
from keras_resnets.preprocessing.preprocessing import Preprocessing


def model_preprocessing(model):
    """Returns what is to be done to an image before this model sees it.

    It stands in the configuration of the stem's convolution, so it survives `.keras` files,
    `keras.models.clone_model`, `feature_extractor`, `plain_twin` and whatever is built further
    upon the model. A `.weights.h5` file does not hold it.

    Args:
        model: A model of the zoo, or one built upon it.

    Returns:
        A `Preprocessing`; or `None` if nobody has said yet what the model eats.

    Raises:
        ValueError: If the model has no stem of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing(mean=0.5, std=0.25))
    >>> keras_resnets.model_preprocessing(keras.models.clone_model(model)).std
    (0.25,)
    """
    values = stem_convolution(model).preprocessing
    return None if values is None else Preprocessing.from_dict(values)


def set_preprocessing(model, preprocessing):
    """Makes a model carry the preprocessing of the images that it is trained on.

    Args:
        model: A model of the zoo, or one built upon it.
        preprocessing: A `Preprocessing`; or `None` to take it away.

    Raises:
        ValueError: If the model has no stem of this package, or takes images of another size than
            the preprocessing makes them.
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
    stem.preprocessing = preprocessing and preprocessing.to_dict()


def preprocesses_itself(model):
    """Whether a model has its preprocessing in its graph, and so eats images 0 to 255."""
    return any(isinstance(layer, ImagePreprocessing) for layer in _all_layers(model))


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
