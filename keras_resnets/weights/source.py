"""What arrays can come from: a file, a dictionary, or a model of `keras.applications`."""

import os
from collections.abc import Mapping

import keras
import numpy as np

from keras_resnets.weights.keras_layers import LAYERS, named_by_layers

WHOLE_MODEL = "model_weights/"


def source_arrays(source):
    """Returns the arrays of a source under its own names.

    Args:
        source: The path of a file, a mapping from names to arrays or torch tensors (of any device
            and with a gradient, too), or a Keras model.

    Raises:
        WeightsFileError: If there is no such file, or it cannot be read. It is a `ValueError`.
        ValueError: If two arrays share a name.
        TypeError: If it is none of these, or a value is not an array of floats.
    """
    if isinstance(source, keras.Model):
        return _model_arrays(source)
    if isinstance(source, (str, os.PathLike)):
        return _file_arrays(source)
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
        array = np.asarray(_without_torch(value))
    except (TypeError, ValueError, RuntimeError):  # torch's, of a tensor without plain numbers
        array = np.asarray(None)
    if array.dtype.kind in "OSU":
        raise TypeError(
            f"`source` must map names to arrays. Received: {name!r}: {type(value).__name__}"
        )
    return array


def _without_torch(value):
    """Returns what NumPy can take of a torch tensor: on the CPU, without gradient or bfloat16."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    # NumPy knows no bfloat16; torch's type is told by its name, for torch need not be here.
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor


def _file_arrays(path):
    from keras_resnets.files.read_arrays import read_arrays

    arrays = read_arrays(path)
    if any(name.startswith(LAYERS) for name in arrays):
        return named_by_layers(arrays, path)
    # The .h5 file of a whole model has them in a group, beside the optimizer's.
    within = {
        name.removeprefix(WHOLE_MODEL): array
        for name, array in arrays.items()
        if name.startswith(WHOLE_MODEL)
    }
    return within or arrays
