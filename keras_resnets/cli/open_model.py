"""From what a user names, a network or a file, to a model."""

import warnings
from pathlib import Path

from keras_resnets.models import create_model, list_models
from keras_resnets.weights import PRESETS, convert_weights
from keras_resnets.weights.keras_configuration import OptionError
from keras_resnets.weights.keras_model import load_keras_file
from keras_resnets.weights.keras_weights import FOREIGN_SUFFIXES
from keras_resnets.weights.recognition import is_of_another_library

HELP = "a network's name, a preset's name, or a file (.keras, .safetensors, .pth, .th, .h5 …)"


def open_model(source, weights=None, **converting):
    """Returns the model of a network's name, a preset's name, or a file.

    Args:
        source: A name as `list_models` gives them, a key of `PRESETS`, or the path of a `.keras`
            file or of another library's checkpoint.
        weights: With a network's name: the path of a file, or a preset's name.
        **converting: Arguments of `convert_weights`, for a checkpoint of another library.

    Raises:
        ValueError: If there is no such name or file, or an argument has no effect.
        OSError: If a file cannot be read, or a preset not be downloaded.

    Example:

    >>> open_model("resnet20").name
    'resnet20'
    """
    if source.lower() in list_models():
        _check_unused(converting)
        return _open_network(source, weights)
    if weights is not None:
        raise ValueError(
            "`--weights` belongs to a network's name, such as resnet50. "
            f"Received: {source!r} and --weights {weights}"
        )
    if source in PRESETS:
        _check_unused(converting)
        return create_model(PRESETS[source].model, weights=source)
    path = Path(source)
    of_keras = path.name.endswith((".weights.h5", ".keras"))
    if of_keras and path.is_file() and is_of_another_library(path):
        return convert_weights(path, **converting)
    if path.name.endswith(".weights.h5"):
        raise ValueError(
            "A .weights.h5 file of this package does not say of which network it is: name the "
            f"network, and give the file as --weights. Received: {source!r}"
        )
    if path.name.endswith(".keras") and path.is_file():
        _check_unused(converting)
        return load_keras_file(path)
    if path.name.endswith(FOREIGN_SUFFIXES) and path.is_file():
        return convert_weights(path, **converting)
    raise ValueError(
        "The model must be the name of a network or preset, as `keras-resnets list` gives them, or "
        f"an existing file that ends in .keras, {', '.join(FOREIGN_SUFFIXES)}. "
        f"Received: {source!r}"
    )


def _open_network(name, weights):
    try:
        with warnings.catch_warnings():
            # Whoever can name no number of classes wants no classifier that knows nothing.
            warnings.filterwarnings("error", ".*the classifier of .* begins anew")
            return create_model(name, weights=weights)
    except UserWarning as note:
        raise ValueError(
            f"`--weights` must be of as many classes as {name} has by default; a .keras file, or "
            "another library's checkpoint, opens with its own in place of the name. "
            f"Received: --weights {weights}: {note}"
        ) from note
    except OptionError as error:
        raise ValueError(
            f"`--weights` must be of {name} as it is by default, and {error.contradiction}. The "
            f"file says itself which network it is: give it in place of the name. "
            f"Received: {name!r} and --weights {weights}"
        ) from error


def _check_unused(converting):
    for name, value in converting.items():
        if value is not None:
            raise ValueError(
                f"`--{name.replace('_', '-')}` belongs to a checkpoint of another library. "
                f"Received: {value!r}"
            )
