"""A model that was handed on, from pixels to probabilities, whatever file it stands in."""

import functools
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from training.checkpoint import weights_sha256


class ServedModel(NamedTuple):
    """A model from pixels of 0 to 255 to probabilities.

    Attributes:
        predict: From float32 `(batch, size, size, channels)` to `(batch, classes)`.
        image_size: Height and width of its images, in pixels.
        channels: Their channels.
        classes: Number of classes.
        weights_sha256: Over the bytes of all its variables, as in a run's `result.json`.
    """

    predict: Callable[..., tf.Tensor]
    image_size: int
    channels: int
    classes: int
    weights_sha256: str


def open_served_model(path: Path) -> ServedModel:
    """Opens the model of a run, or one in a file.

    Args:
        path: The folder of a complete run or of a published model, which holds a `model.keras`; a
            `.keras` file; or the folder of a SavedModel whose signature `serving_default` takes
            images.

    Raises:
        ValueError: If there is no such model, or its file is damaged.
    """
    if (path / "model.keras").is_file():
        return _keras_model(path / "model.keras")
    if path.is_file() and path.suffix == ".keras":
        return _keras_model(path)
    if (path / "saved_model.pb").is_file():
        return _saved_model(path)
    raise ValueError(
        "`path` must be the folder of a complete run, a .keras file or the folder of a SavedModel. "
        f"Received: path={str(path)!r}"
    )


def _keras_model(path):
    import keras_resnets  # noqa: F401 (registers the layers)

    _check_whole(path)
    model = keras.models.load_model(path, compile=False)
    _, image_size, _, channels = model.input_shape
    sha256 = weights_sha256(model.variables)
    return ServedModel(model, image_size, channels, model.output_shape[-1], sha256)


def _check_whole(path):
    """Raises for a damaged archive, of which Keras says that it is not there, or nothing at all."""
    fault = ""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            missing = {"config.json", "model.weights.h5"}.difference(archive.namelist())
            if damaged or missing:
                fault = (
                    f"damaged: {damaged}" if damaged else f"without {', '.join(sorted(missing))}"
                )
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        fault = f"damaged: {error}"
    if fault:
        raise ValueError(
            "A .keras file must be whole, as Keras or a run has written it. "
            f"Received: {str(path)!r}, {fault}"
        )


def _saved_model(path):
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    inputs = function.structured_input_signature[1]
    (name, images), *others = inputs.items()
    ((_, outputs),) = function.structured_outputs.items()
    if others or images.shape.rank != 4 or not images.dtype.is_floating:
        raise ValueError(
            "The SavedModel's `serving_default` must take float images alone. "
            f"Received: {str(path)!r}, which takes {inputs}"
        )

    predict = functools.partial(_call_signature, loaded, name)
    variables = getattr(loaded, "variables", function.variables)
    sha256 = weights_sha256(variables)
    return ServedModel(predict, images.shape[1], images.shape[-1], outputs.shape[-1], sha256)


def _call_signature(loaded, name, pixels, training=False):
    """Calls `serving_default`. Without a reference to what was loaded its variables would go."""
    (probabilities,) = loaded.signatures["serving_default"](**{name: pixels}).values()
    return probabilities
