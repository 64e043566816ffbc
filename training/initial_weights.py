"""Weights to begin with, from a file whose classes may be others."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras

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
        if Path(path).suffix != ".keras":
            with h5py.File(path, "r") as file:
                return _outputs(file)
        with (
            zipfile.ZipFile(path) as archive,
            archive.open("model.weights.h5") as member,
            h5py.File(member, "r") as file,
        ):
            return _outputs(file)
    except (OSError, KeyError, zipfile.BadZipFile):
        return None


def _outputs(file):
    """Returns the last axis of the classifier's kernel. Keras notes a layer's name beside it."""
    for layer in file["layers"].values():
        arrays = layer.get("vars")
        if arrays is not None and arrays.attrs.get("name") == CLASSIFIER and len(arrays):
            return int(arrays["0"].shape[-1])
    return None
