"""The model that a `.keras` file describes, built and loaded without running anything in it."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras

from keras_resnets.files.errors import WeightsFileError, printable, shown
from keras_resnets.files.keras_archive import WEIGHTS, member_size, read_configuration
from keras_resnets.weights.keras_configuration import OWN
from keras_resnets.weights.keras_weights import load_weights_file

LEAST_BYTES_OF_A_WEIGHT = 2
# HDF5 keeps its kernel and four arrays of its normalization, with a header each, in four groups.
LEAST_BYTES_OF_A_CONVOLUTION = 1000
MOST_LETTERS_OF_A_NAME = 200
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
        # Augmentation and noise, which training alone has.
        *("AlphaDropout", "AugMix", "CutMix", "GaussianDropout", "GaussianNoise", "MixUp"),
        *("Pipeline", "RandAugment", "RandomBrightness", "RandomColorDegeneration"),
        *("RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform"),
        *("RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue"),
        *("RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation"),
        *("RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    },
    "keras.regularizers": {"L1", "L1L2", "L2"},
    None: {"__keras_tensor__"},
}


def load_keras_file(path):
    """Builds the model that a `.keras` file describes, and loads its weights.

    `keras.models.load_model` believes the file's configuration, which can name functions to call
    and files to read. Here every class that it names must be one of this package's layers or on a
    list of Keras's own harmless ones, before anything is built. What concerns training is left out.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.keras"
    >>> keras_resnets.ResNet20().save(path)
    >>> load_keras_file(path).output_shape
    (None, 10)
    """
    config = _read_config(path)
    config.pop("compile_config", None)
    _check_content(config, path)
    _check_size(config, path)
    model = _build(config, path)
    load_weights_file(model, path)
    return model


def _read_config(path):
    try:
        config = read_configuration(path)
    except WeightsFileError as error:
        raise _refusal(path, error.reason) from error
    if config is None:
        raise _refusal(path, "it has no configuration")
    return config


def _check_content(config, path):
    """Raises unless all classes that a configuration names are allowed, and all names are plain."""
    for value in _objects(config):
        if "class_name" in value and not _is_allowed(value):
            named = shown(f"{value.get('module')}.{value['class_name']}")
            raise _refusal(path, f"it names {named}, which is not on the list of what it may")
        name = value.get("name")
        if isinstance(name, str) and not (
            name.isprintable() and len(name) <= MOST_LETTERS_OF_A_NAME
        ):
            raise _refusal(path, f"it has a name that is long or not printable, {shown(name)}")


def _check_size(config, path):
    """Raises if a configuration asks for more than the file has bytes for; builds no array."""
    # The limit is that of what the loading of the weights unpacks.
    try:
        size = member_size(path, WEIGHTS)
    except WeightsFileError as error:
        raise _refusal(path, error.reason) from error
    # A number alone makes these; counting them one by one would take its time.
    depths = (value.get("depth") for value in _objects(config))
    convolutions = sum(depth for depth in depths if isinstance(depth, int) and depth > 0)
    _check_room(path, "convolutions", convolutions, size // LEAST_BYTES_OF_A_CONVOLUTION)
    weights = _count_weights(config, path)
    _check_room(path, "weights", weights, size // LEAST_BYTES_OF_A_WEIGHT)


def _check_room(path, things, count, most):
    if count > most:
        raise _refusal(
            path,
            f"its configuration asks for {count:,} {things}, of which its {WEIGHTS!r} has room "
            f"for {most:,} at most",
        )


def _count_weights(config, path):
    """Returns how many weights a model would have, without values for any."""
    config = copy.deepcopy(config)  # Keras takes it apart
    for value in _objects(config):
        if value.get("class_name") == "Normalization" and isinstance(value.get("config"), dict):
            # It makes two arrays while it is built, of the image's size along its axes. A layer
            # with two weights of these shapes stands for it.
            kept = {key: value["config"][key] for key in ("name", "axis") if key in value["config"]}
            value |= {"class_name": "LayerNormalization", "config": kept}

    def count():
        with keras.StatelessScope(initialize_variables=False):
            return sum(math.prod(weight.shape) for weight in _build(config, path).weights)

    # Keras lists, thread by thread, variables that are yet to get their values. These never shall:
    # their list ends with a thread of its own.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(count).result()


def _objects(config):
    """Yields all dictionaries of a configuration, at any depth."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield value
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _build(config, path):
    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # what Keras raises of a wrong configuration has no common base
        # Its errors repeat the configuration around each layer; the innermost says what is wrong.
        reason = printable(str(error).rpartition("Exception encountered: ")[2])
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
