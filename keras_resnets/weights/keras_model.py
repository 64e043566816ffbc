"""The model that a `.keras` file describes, built and loaded without running anything in it."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import keras

from keras_resnets.arguments import printable
from keras_resnets.files.archive import WEIGHTS, open_keras_file
from keras_resnets.files.elements import WeightsFileError, require, shown
from keras_resnets.weights.keras_files import OWN, load_weights

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
    """Builds the model that a `.keras` file describes, without what concerns training.

    Every class in the file must be this package's or a harmless one of Keras's, before anything is
    built: `keras.models.load_model` trusts the functions and files that it names.
    """
    try:
        with open_keras_file(path) as file:
            config = file.configuration()
            if config is None:
                raise WeightsFileError("It has no configuration.")
            config.pop("compile_config", None)
            _check_content(config)
            _check_size(config, file.size)
            model = _build(config)
            load_weights(model, file)
            return model
    except WeightsFileError as error:
        raise WeightsFileError(
            "A model must be a .keras file of a network of this package, or of one built upon it. "
            f"{error.reason} Received: {str(path)!r}"
        ) from error


def _check_content(config):
    """Raises unless all classes that a configuration names are allowed, and all names are plain."""
    for value in _objects(config):
        if "class_name" in value and not _is_allowed(value):
            named = shown(f"{value.get('module')}.{value['class_name']}")
            raise WeightsFileError(
                f"It names {named}, which is not on the list of allowed classes."
            )
        name = value.get("name")
        if isinstance(name, str):
            is_plain = name.isprintable() and len(name) <= MOST_LETTERS_OF_A_NAME
            require(is_plain, f"It has a name that is long or not printable, {shown(name)}.")


def _is_allowed(config):
    module, name = config.get("module"), config["class_name"]
    registered = config.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None):
        return False
    if registered == f"{OWN}{name}":
        # Registered by this package itself, so that the module is not looked into.
        return keras.saving.get_registered_object(registered) is not None
    return registered in (None, name) and name in KERAS_CLASSES.get(module, ())


def _check_size(config, size):
    """Raises if a configuration asks for more than the file has bytes for; builds no array."""
    # A number alone makes these; counting them one by one would take its time.
    depths = (value.get("depth") for value in _objects(config))
    convolutions = sum(depth for depth in depths if isinstance(depth, int) and depth > 0)
    _check_room("convolutions", convolutions, size // LEAST_BYTES_OF_A_CONVOLUTION)
    _check_room("weights", _count_weights(config), size // LEAST_BYTES_OF_A_WEIGHT)


def _check_room(things, count, most):
    require(
        count <= most,
        f"Its configuration asks for {count:,} {things}, of which its {WEIGHTS!r} has room for "
        f"{most:,} at most.",
    )


def _count_weights(config):
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
            return sum(math.prod(weight.shape) for weight in _build(config).weights)

    # Keras keeps a list of variables without values in each thread. These never get any, so their
    # list ends with a thread of its own.
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


def _build(config):
    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # what Keras raises of a wrong configuration has no common base
        # Its errors repeat the configuration around each layer; the innermost says what is wrong.
        reason = printable(str(error).rpartition("Exception encountered: ")[2])
        raise WeightsFileError(f"Keras cannot build its model ({reason}).") from error
    require(isinstance(model, keras.Model), "It describes no model.")
    return model
