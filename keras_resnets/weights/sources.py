"""The arrays of a source, be it a file, a mapping or a model, under the source's own names."""

import mmap
import os
import re
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_resnets.files.archive import layer_entries, open_keras_file
from keras_resnets.files.elements import WeightsFileError, require, shown
from keras_resnets.files.read_arrays import INDEX, file_kind, flat_arrays, read_file
from keras_resnets.files.torch_files import all_tensors
from keras_resnets.weights.families import KERAS_APPLICATIONS

FIRST_LAYER = KERAS_APPLICATIONS.layers["stem_conv/conv"]
# The group of a whole model's arrays in an old .h5 file, beside the optimizer's.
WHOLE_MODEL = "model_weights/"
# What Keras 3 only numbers in a file, in its order, by the class of the layer as its key has it.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "dense": ("kernel", "bias"),
}


def is_own_file(path):
    """Whether a file is one of Keras, by its content, and not of `keras.applications`."""
    if path.name.endswith(INDEX):
        return False
    try:
        is_of_keras = file_kind(path) == "keras"
    except WeightsFileError:  # then its name says what it was to be
        if not path.name.endswith((".keras", ".weights.h5")):
            raise
        is_of_keras = True
    return is_of_keras and not _is_of_keras_applications(path)


def _is_of_keras_applications(path):
    """Whether the first layer has the name that it has there."""
    try:
        with open_keras_file(path) as file:
            configuration = file.configuration()
    except WeightsFileError:
        return False
    if configuration is not None:
        return any(
            layer["config"].get("name") == FIRST_LAYER for layer in layer_entries(configuration)
        )
    # HDF5 stores names as they are.
    with open(path, "rb") as file:
        if not os.path.getsize(path):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(FIRST_LAYER.encode()) >= 0


def source_arrays(source):
    """Returns the arrays of a source under its own names."""
    if isinstance(source, keras.Model):
        return _model_arrays(source)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if re.search(r"-\d{5}-of-\d{5}\.", path.name):
            raise WeightsFileError(
                "The file is one part of a checkpoint in several: give the folder with all of them "
                f"and their {INDEX[1:]}.",
                path,
            )
        return read_file(path, _named_arrays, _tensors_and_name)
    if not isinstance(source, Mapping):
        raise TypeError(
            "`source` must be a path, a mapping from names to arrays, or a Keras model. "
            f"Received: source={type(source).__name__}"
        )
    return {name: _array(name, value) for name, value in source.items()}


# Where a checkpoint of a training says the network's name, which can tell what no array does.
NAME_ENTRY = "arch"


def _tensors_and_name(saved):
    """Returns all tensors of a saved object, and the name of the network if there is one."""
    tensors = all_tensors(saved)
    name = saved.get(NAME_ENTRY)
    return tensors | ({NAME_ENTRY: name} if isinstance(name, str) else {})


def _named_arrays(root):
    """Returns the arrays in a file of Keras as the model itself names them.

    A convolution's kernel is `layers/conv2d/vars/0` in the file, numbered by class, with the
    layer's name as an attribute, and `conv1_conv/kernel` here. What lies deeper keeps its key.
    """
    if "layers" not in root.groups:
        arrays = flat_arrays(root)
        whole = {name: array for name, array in arrays.items() if name.startswith(WHOLE_MODEL)}
        return {name.removeprefix(WHOLE_MODEL): array for name, array in (whole or arrays).items()}
    named = {}
    for key, array in flat_arrays(root.groups["layers"]).items():
        name = key
        if found := re.fullmatch(r"(([^/]+?)(?:_\d+)?)/vars/(\d)", key):
            layer, of_class, number = found.groups()
            layer_name = root.groups["layers"].groups[layer].groups["vars"].name
            require(
                layer_name is not None,
                "The file must name its layers, which older versions of Keras did not: load it "
                "with the library that it comes from, and give the model.",
            )
            variables = VARIABLES.get(of_class, ())
            variable = variables[int(number)] if int(number) < len(variables) else number
            name = f"{layer_name}/{variable}"
        require(name not in named, f"The file must hold each array once, not {shown(name)} twice.")
        named[name] = array
    return named


def _model_arrays(model):
    arrays = {}
    for weight in model.weights:
        if weight.path in arrays:  # two networks in one model may have the same layers' names
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
