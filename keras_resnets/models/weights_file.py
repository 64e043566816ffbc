"""Loading a Keras weights file into the architecture it was saved from, and no other."""

import math
import os
import reprlib
from pathlib import Path

from keras_resnets.files.errors import WeightsFileError, printable, shown
from keras_resnets.files.hdf5 import read_hdf5
from keras_resnets.files.keras_archive import WEIGHTS, unpack_member
from keras_resnets.models.file_configuration import check_configuration
from keras_resnets.models.layer_pairs import layer_pairs

SUFFIXES = (".weights.h5", ".keras")
# Of other libraries; see `keras_resnets.convert_weights`.
FOREIGN_SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".tar", ".h5")
# Every ImageNet network of the zoo fits in, so that its first layer that differs can be named.
SLACK = 2**28


def load_weights_file(model, path):
    """Loads a `.weights.h5` or `.keras` file after checking that it fits the model.

    Only the arrays are read, not an optimizer's state. The configuration in a `.keras` file could
    name code to run: nothing is built from it, it is only compared with the model, for not every
    option shows in the arrays. A `.weights.h5` file has none. Either every weight is assigned or
    none.

    Args:
        model: A built functional model.
        path: Path of the file.

    Raises:
        WeightsFileError: If the file cannot be read safely, or holds another architecture's
            weights; the first layer that differs is named.
        OptionError: If a `.keras` file is of a network with other options; the first is named.
        ValueError: If there is no such file, or it is of another kind.
        TypeError: If `path` is not a path.
    """
    path = check_weights_path(path)
    try:
        values = _read(model, path)
    except WeightsFileError as error:
        raise WeightsFileError(
            f"`weights` must hold the weights of {model.name!r}, as Keras saves them: {error}. "
            f"Received: weights={str(path)!r}"
        ) from error
    if path.name.endswith(".keras"):
        check_configuration(model, path)
    for layer, arrays in values:
        layer.load_own_variables(arrays)


def check_weights_path(path):
    """Returns the path of a weights file, or raises if there is none of the right kind there."""
    if not isinstance(path, (str, os.PathLike)):
        received = " ".join(reprlib.repr(path).split())  # of arrays, it has many lines
        advice = "; `keras_resnets.convert_weights` takes arrays" if isinstance(path, dict) else ""
        raise TypeError(f"`weights` must be None or a path{advice}. Received: weights={received}")
    if not Path(path).name.endswith(SUFFIXES + FOREIGN_SUFFIXES):
        raise ValueError(
            "`weights` must be None, or the path of a file that ends in "
            f"{', '.join(SUFFIXES + FOREIGN_SUFFIXES)}. Received: weights={str(path)!r}"
        )
    if not Path(path).is_file():
        raise ValueError(f"`weights` must be an existing file. Received: weights={str(path)!r}")
    return Path(path)


def _read(model, path):
    """Returns the pairs of a layer and its arrays, `{"0": kernel, …}`, of a file that fits."""
    number_of_values = sum(math.prod(weight.shape) for weight in model.weights)
    # Room for double precision; in an archive, also for an optimizer with three moments.
    most_bytes = 8 * number_of_values
    source = path
    if path.name.endswith(".keras"):
        source = unpack_member(path, WEIGHTS, most_bytes=4 * most_bytes + SLACK)
    with read_hdf5(source, most_bytes) as root:
        pairs = list(layer_pairs(model, root))
        _check_same(pairs)
        return [
            (layer, {key: array.read() for key, array in arrays.items()})
            for _, layer, arrays in pairs
            if arrays
        ]


def _check_same(pairs):
    differing = []
    for path, layer, arrays in pairs:
        expected, present = _expected(layer), _present(arrays)
        if expected != present:
            differing.append((path, expected, present))
    if differing:
        path, expected, present = differing[0]
        raise WeightsFileError(
            f"the first layer that differs is {shown(path)}: the model has {_describe(expected)}, "
            f"the file {printable(_describe(present))}; in all, {len(differing)} differ"
        )


def _expected(layer):
    """Returns what a layer would store: `{key: (shape, kind of number)}`."""
    store = {}
    if layer is not None:
        layer.save_own_variables(store)
    return {key: (tuple(v.shape), _kind(v.dtype)) for key, v in store.items()}


def _present(arrays):
    return {key: (array.shape, _kind(array.dtype.name)) for key, array in (arrays or {}).items()}


def _kind(dtype):
    return "floats" if "float" in dtype else "integers"


def _describe(variables):
    if not variables:
        return "no such layer"
    return "variables of shape " + ", ".join(
        str(shape) if kind == "floats" else f"{shape} of {kind}"
        for shape, kind in variables.values()
    )
