"""Weights to begin with, from a file whose classes may be others."""

import warnings
from pathlib import Path
from typing import Any

import keras

from keras_resnets.files import WeightsFileError
from keras_resnets.files.hdf5 import read_hdf5
from keras_resnets.files.keras_archive import WEIGHTS, member_size, unpack_member
from keras_resnets.weights.keras_weights import HEAD, STEM, load_weights_file


def load_initial_weights(model: keras.Model, path: str) -> None:
    """Loads a file's weights into all layers; where its classes are others, not the classifier's.

    With a warning, the stem is fitted to another number of channels.

    Args:
        model: The network to train.
        path: A `.weights.h5` or `.keras` file of the same architecture.

    Raises:
        ValueError: If the file cannot be read, or holds another architecture's weights; the
            first layer that differs is named. If its numbers are not finite.
    """
    notes = load_weights_file(model, path, adapts=True)
    if STEM in notes:  # of the classifier, `describe_initial_weights` tells
        warnings.warn(f"{model.name}: {notes[STEM]}.", stacklevel=2)


def describe_initial_weights(path: str, classes: int) -> str:
    """Says in a line what a run with this number of classes begins with.

    Args:
        path: Of a file that was loaded, as for `load_initial_weights`.
        classes: Number of the data's classes.
    """
    classes_before = classes_in(path)
    if classes_before == classes:
        return f"Beginning with all weights of {path}"
    of_file = "none" if classes_before is None else f"{classes_before:,} classes"
    return (
        f"Beginning with the weights of {path}, but for the classifier: the file has "
        f"{of_file}, the data have {classes:,}. It begins anew"
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
        is_classifier = variables is not None and variables.attributes.get("name") == HEAD
        if is_classifier and variables.arrays:
            return int(variables.arrays["0"].shape[-1])
    return None
