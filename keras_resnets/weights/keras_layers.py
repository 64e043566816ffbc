"""The arrays of a `.weights.h5` or `.keras` file under the names of their layers."""

import os
import re
from pathlib import Path

from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.hdf5 import read_hdf5
from keras_resnets.files.keras_archive import WEIGHTS, unpack_member
from keras_resnets.files.read_arrays import file_kind
from keras_resnets.weights.families.keras_applications import KERAS_APPLICATIONS

LAYERS = "layers/"
FIRST_LAYER = KERAS_APPLICATIONS.layers["stem_conv/conv"]
# What Keras only numbers in a file, in its order, by the class of the layer as its key has it.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "dense": ("kernel", "bias"),
}


def named_by_layers(arrays, path):
    """Returns the arrays of a model's layers as the model itself names them.

    Keras 3 files the kernel of a convolution `conv1_conv` as `layers/conv2d/vars/0`, numbered by
    class in the order in which layers were made, and keeps the layer's name as an attribute. Here
    it is `conv1_conv/kernel`. What lies beside the layers, such as an optimizer's state, is left
    out; what lies deeper, in layers made of layers, keeps its key.

    Args:
        arrays: What `read_arrays` gives of the file.
        path: Path of the file.

    Raises:
        ValueError: If the file has no names, or two layers with the same one.
    """
    names = _layer_names(Path(path))
    named = {}
    for key, array in arrays.items():
        if not key.startswith(LAYERS):
            continue
        name = _name(key, names)
        if name in named:
            raise WeightsFileError(
                f"The file must hold each array once, not {shown(name)} twice.", path
            )
        named[name] = array
    return named


def is_of_another_library(path):
    """Whether a file of Keras holds a network of `keras.applications`, by its layers' names.

    What cannot be read is not: whoever reads it as ours says what is wrong.

    Args:
        path: Path of an existing `.weights.h5` or `.keras` file.
    """
    try:
        return FIRST_LAYER in _layer_names(Path(path)).values()
    except WeightsFileError:
        return False


def _name(key, names):
    found = re.fullmatch(r"layers/(([^/]+?)(?:_\d+)?)/vars/(\d)", key)
    if not found:
        return key
    layer, of_class, number = found.groups()
    variables = VARIABLES.get(of_class, ())
    variable = variables[int(number)] if int(number) < len(variables) else number
    return f"{names[layer]}/{variable}"


def _layer_names(path):
    """Returns `{key: name}` of the layers with variables; no array is read for that."""
    source = path
    if file_kind(path) == "keras":
        # `read_arrays` has read it whole, so its size is no matter any more.
        source = unpack_member(path, WEIGHTS, most_bytes=2 * os.path.getsize(path) + 2**26)
    with read_hdf5(source, most_bytes=0) as root:
        layers = root.groups["layers"].groups if "layers" in root.groups else {}
        groups = {
            key: group.groups["vars"] for key, group in layers.items() if "vars" in group.groups
        }
        if not all("name" in group.attributes for group in groups.values() if group.arrays):
            raise WeightsFileError(
                "The file must name its layers, which older versions of Keras did not: load it "
                "with the library that it comes from, and give the model.",
                path,
            )
        return {key: group.attributes.get("name") for key, group in groups.items()}
