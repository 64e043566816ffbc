"""Weights to begin with, from a file whose classes may be others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_resnets.files import WeightsFileError
from keras_resnets.files.hdf5 import read_hdf5
from keras_resnets.files.keras_archive import WEIGHTS, member_size, unpack_member
from keras_resnets.models.weights_file import load_weights_file

CLASSIFIER = "predictions"


def load_initial_weights(
    model: keras.Model, path: str, with_classes: Callable[[int], keras.Model]
) -> None:
    """Loads a file's weights into all layers; where its classes are others, not the classifier's.

    Args:
        model: The network to train.
        path: A `.weights.h5` or `.keras` file of the same architecture.
        with_classes: Makes the same network with a given number of classes.

    Raises:
        ValueError: If the file cannot be read, or holds another architecture's weights; the
            first layer that differs is named.
    """
    classes = classes_in(path)
    if classes in (None, model.output_shape[-1]):  # what is wrong with the file, the loader says
        load_weights_file(model, path)
        return
    loaded = with_classes(classes)
    load_weights_file(loaded, path)
    for layer in model.layers:
        if layer.name != CLASSIFIER:
            layer.set_weights(loaded.get_layer(layer.name).get_weights())


def describe_initial_weights(path: str, classes: int) -> str:
    """Says in a line what a run with this number of classes begins with.

    Args:
        path: As for `load_initial_weights`.
        classes: Number of the data's classes.
    """
    classes_before = classes_in(path)
    if classes_before in (None, classes):
        return f"Beginning with all weights of {path}"
    return (
        f"Beginning with the weights of {path}, but for the classifier: the file has "
        f"{classes_before:,} classes, the data have {classes:,}. It begins anew"
    )


def classes_in(path: str) -> int | None:
    """Returns the number of classes of a file's classifier; `None` if it has none.

    Args:
        path: As for `load_initial_weights`.
    """
    try:
        source: Any = path
        if Path(path).suffix == ".keras":
            source = unpack_member(path, WEIGHTS, most_bytes=member_size(path, WEIGHTS))
        with read_hdf5(source, most_bytes=0) as root:
            return _outputs(root)
    except (OSError, KeyError, WeightsFileError):
        return None


def _outputs(root):
    """Returns the last axis of the classifier's kernel. Keras notes a layer's name beside it."""
    for layer in root.groups["layers"].groups.values():
        variables = layer.groups.get("vars")
        is_classifier = variables is not None and variables.attributes.get("name") == CLASSIFIER
        if is_classifier and variables.arrays:
            return int(variables.arrays["0"].shape[-1])
    return None
