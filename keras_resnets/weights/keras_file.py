"""A whole model out of a `.keras` file that a stranger may have made."""

import copy
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.keras_archive import CONFIGURATION, WEIGHTS, member_size, unpack_member
from keras_resnets.models.weights_file import load_weights_file

MOST_BYTES = 2**21  # ResNet-1202's takes 1 MB
LEAST_BYTES_OF_A_WEIGHT = 2
MOST_LETTERS = 300
# What a network of this package, or one built further upon it, is made of. None of these runs code
# that its configuration names or brings along, nor reads files.
KERAS_CLASSES = {
    "keras": {"DTypePolicy", "Sequential"},
    "keras.src.models.functional": {"Functional"},
    "keras.initializers": {
        *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal"),
        *("Ones", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros"),
    },
    "keras.layers": {
        *("Activation", "Add", "BatchNormalization", "Concatenate", "Conv2D", "Dense", "Dropout"),
        *("Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "InputLayer"),
        *("LayerNormalization", "Normalization", "ReLU", "Rescaling", "Softmax", "ZeroPadding2D"),
    },
    "keras.regularizers": {"L1", "L1L2", "L2"},
    None: {"__keras_tensor__"},
}
OWN = "keras_resnets>"


def load_keras_file(path):
    """Builds the model that a `.keras` file describes, and loads its weights.

    `keras.models.load_model` believes the file's configuration, which can name functions to call
    and files to read. Here every class that it names must be one of this package's layers or on a
    list of Keras's own harmless ones, before anything is built. What concerns training is left out.

    Args:
        path: Path of a `.keras` file.

    Returns:
        A `keras.Model` that is not compiled.

    Raises:
        WeightsFileError: If the file is not sound, or names another class.
        OSError: If there is no such file.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.keras"
    >>> keras_resnets.ResNet20().save(path)
    >>> load_keras_file(path).output_shape
    (None, 10)
    """
    config = _read_config(path)
    config.pop("compile_config", None)
    _check_classes(config, path)
    _check_size(config, path)
    model = _build(config, path)
    load_weights_file(model, path)
    return model


def _read_config(path):
    with open(path, "rb"):  # that there is none is no error of the file
        pass
    try:
        config = json.loads(unpack_member(path, CONFIGURATION, MOST_BYTES).getvalue())
    except WeightsFileError as error:
        raise _refusal(path, error.reason) from error
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"its configuration is no JSON ({error})") from error
    if not isinstance(config, dict):
        raise _refusal(path, "its configuration is no object")
    return config


def _check_classes(config, path):
    """Raises unless every class that a configuration names, at any depth, is allowed."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "class_name" in value and not _is_allowed(value):
                named = f"{value.get('module')}.{value['class_name']}"
                raise _refusal(path, f"it names {named}, which is not on the list of what it may")
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _check_size(config, path):
    """Raises if a configuration asks for more weights than the file has bytes for."""
    # The limit is that of what the loading of the weights unpacks.
    most_weights = _weights_bytes(path) // LEAST_BYTES_OF_A_WEIGHT
    with ThreadPoolExecutor(1) as thread:
        weights = thread.submit(_count_weights, config, path).result()
    if weights > most_weights:
        raise _refusal(
            path,
            f"its configuration asks for {weights:,} weights, of which its {WEIGHTS!r} has room "
            f"for {most_weights:,} at most",
        )


def _weights_bytes(path):
    try:
        return member_size(path, WEIGHTS)
    except WeightsFileError as error:
        raise _refusal(path, error.reason) from error


def _count_weights(config, path):
    """Returns how many weights a model would have. Must be run in a thread that ends with it.

    In Keras's stateless scope, variables have shapes and no values until the scope is left. It is
    not left here, so that they never get any; scopes and what waits for them belong to a thread.
    """
    keras.StatelessScope().__enter__()
    model = _build(copy.deepcopy(config), path)  # Keras takes it apart
    return sum(math.prod(weight.shape) for weight in model.weights)


def _build(config, path):
    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # what Keras raises of a wrong configuration has no common base
        # Its errors repeat the configuration around each layer; the innermost says what is wrong.
        reason = str(error).rpartition("Exception encountered: ")[2][:MOST_LETTERS]
        raise _refusal(path, f"Keras cannot build its model ({reason})") from error
    if not isinstance(model, keras.Model):
        raise _refusal(path, "it describes no model")
    return model


def _is_allowed(config):
    module, name = config.get("module"), config["class_name"]
    registered = config.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None):
        return False
    if registered == f"{OWN}{name}":
        # Registered by this package itself, so that the module is not looked into.
        return keras.saving.get_registered_object(registered) is not None
    return registered in (None, name) and name in KERAS_CLASSES.get(module, ())


def _refusal(path, reason):
    return WeightsFileError(
        "A model must be a .keras file of a network of this package, or of one built upon it: "
        f"{reason}. Received: {str(Path(path))!r}"
    )
