"""Loading a Keras weights file into the architecture it was saved from, and no other."""

import io
import math
import os
import zipfile
from pathlib import Path

import h5py

SUFFIXES = (".weights.h5", ".keras")


def load_weights_file(model, path):
    """Loads a `.weights.h5` or `.keras` file after checking that it fits the model.

    Of a `.keras` file only the arrays are read; its configuration, which could name code to run,
    is not.

    Args:
        model: A built model.
        path: Path of the file.

    Raises:
        ValueError: If there is no such file, or it is of another kind, or it holds another
            architecture's weights; the first layer that differs is named.
        TypeError: If `path` is not a path.
    """
    path = check_weights_path(path)
    expected = _model_shapes(model)
    arrays = sum(4 * math.prod(shape) for shapes in expected.values() for shape in shapes)
    try:
        present = _file_shapes(path, most_bytes=4 * arrays + 2**26)
    except Exception as error:  # what h5py and zipfile raise of a broken file has no common base
        raise ValueError(
            f"`weights` must be a file that Keras saved; this one cannot be read ({error}). "
            f"Received: weights={str(path)!r}"
        ) from error
    _check_same(expected, present, model.name, path)
    model.load_weights(path)


def check_weights_path(path):
    """Returns the path of a weights file, or raises if there is none of the right kind there."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`weights` must be None or a path. Received: weights={path!r}")
    if not Path(path).name.endswith(SUFFIXES):
        raise ValueError(
            f"`weights` must be None or the path of a {' or '.join(SUFFIXES)} file. "
            f"Received: weights={str(path)!r}"
        )
    if not Path(path).is_file():
        raise ValueError(f"`weights` must be an existing file. Received: weights={str(path)!r}")
    return Path(path)


def _model_shapes(model):
    """Returns {layer path: shapes of its own variables}, in the order of the layers."""
    shapes = {}
    for weight in model.weights:
        layer, _, _ = weight.path.rpartition("/")
        shapes.setdefault(layer, []).append(tuple(weight.shape))
    return shapes


def _file_shapes(path, most_bytes):
    """Returns {layer path: shapes of its own variables} of a file."""
    if path.name.endswith(".keras"):
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("model.weights.h5").file_size
            if size > most_bytes:
                raise ValueError(f"its weights unpack to {size:,} bytes")
            source = io.BytesIO(archive.read("model.weights.h5"))
    else:
        source = path
    shapes = {}
    with h5py.File(source, "r") as file:
        for key in sorted(file["layers"], key=_layer_number):
            _collect(file["layers"][key], "", shapes)
    return shapes


def _layer_number(key):
    """Returns the number that Keras gave a layer among those of its class."""
    number = key.rpartition("_")[2]
    return int(number) if number.isdigit() else 0


def _collect(group, prefix, shapes):
    """Adds the shapes of a layer's group and of the groups of its sublayers.

    Keras stores a layer's variables under `vars`, with the layer's name as an attribute.
    """
    if "vars" not in group:
        return
    name = prefix + group["vars"].attrs["name"]
    arrays = group["vars"]
    if len(arrays):
        shapes[name] = [arrays[str(index)].shape for index in range(len(arrays))]
    for key, child in group.items():
        if key != "vars":
            _collect(child, f"{name}/", shapes)


def _check_same(expected, present, model_name, path):
    for layer in [*expected, *present]:
        if expected.get(layer) != present.get(layer):
            raise ValueError(
                f"`weights` must hold the weights of {model_name!r}. The first layer that differs "
                f"is {layer!r}: the model has {_describe(expected.get(layer))}, the file "
                f"{_describe(present.get(layer))}. Received: weights={str(path)!r}"
            )


def _describe(shapes):
    if shapes is None:
        return "no such layer"
    return "variables of shape " + ", ".join(str(shape) for shape in shapes)
