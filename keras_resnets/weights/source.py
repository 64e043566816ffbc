"""What arrays can come from: a file, a dictionary, or a model of `keras.applications`."""

import os
from collections.abc import Mapping

import keras
import numpy as np


def source_arrays(source):
    """Returns the arrays of a source under its own names.

    Args:
        source: The path of a file, a mapping from names to arrays (or torch tensors), or a
            Keras model.

    Raises:
        ValueError: If there is no such file, it cannot be read, or two arrays share a name.
        TypeError: If it is none of these, or a value is not an array of floats.
    """
    if isinstance(source, keras.Model):
        return _model_arrays(source)
    if isinstance(source, (str, os.PathLike)):
        from keras_resnets.files import read_arrays

        return read_arrays(source)
    if not isinstance(source, Mapping):
        raise TypeError(
            "`source` must be a path, a mapping from names to arrays, or a Keras model. "
            f"Received: source={type(source).__name__}"
        )
    return {name: _array(name, value) for name, value in source.items()}


def _model_arrays(model):
    arrays = {}
    for weight in model.weights:
        if weight.path in arrays:
            raise ValueError(
                "`source` must have a path of its own for each weight. "
                f"Received: {weight.path!r} twice in {model.name!r}"
            )
        arrays[weight.path] = keras.ops.convert_to_numpy(weight)
    return arrays


def _array(name, value):
    if not isinstance(name, str):
        raise TypeError(f"The names in `source` must be strings. Received: {name!r}")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"`source` must map names to arrays. Received: {name!r}: {type(value).__name__}"
        ) from error
