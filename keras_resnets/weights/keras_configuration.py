"""What a `.keras` file says of its network, compared with a model: nothing is built from it."""

import json
import math
import reprlib

import keras

from keras_resnets.architecture.spec import OPTIONS
from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.keras_archive import read_configuration


class OptionError(WeightsFileError):
    """A file's network has an option otherwise than the model, be it that every array would fit.

    Attributes:
        contradiction: What differs, in short, for whoever gives other advice.
    """

    def __init__(self, model, path, option, in_file, in_model, opener):
        present, wanted = reprlib.repr(in_file), reprlib.repr(in_model)
        self.contradiction = f"the file's network has {option}={present}, not {option}={wanted}"
        is_plain = option == "shortcut" and in_model is None  # whose factories have no shortcuts
        is_argument = option in OPTIONS and not is_plain
        advice = f"pass {option}={present}, or " if is_argument else ""
        super().__init__(
            f"`weights` must be of a network with the options of {model!r}, and the file's has "
            f"{option}={present}: {advice}open the file with `{opener}`. "
            f"Received: weights={str(path)!r}, {option}={wanted}"
        )


OWN = "keras_resnets>"
# What says how training begins or goes on, or is no part of what a layer computes of its weights.
FREE = {
    *("name", "trainable", "dtype", "frozen", "data_format", "preprocessing"),
    *("gamma_initializer", "zero_init_residual", "gate_bias", "drop_path_rate"),
}
STRIDES = ("strides", "dilation", "first_dilation")


def check_configuration(model, path):
    """Raises if a file's network, by its configuration, computes otherwise than a model.

    Shapes do not show where a shortcut's zeros or a bottleneck's stride are, nor which activation
    there is; the layers of this package, matched by their names, note it. Dilation is asked for
    to compute the same in more positions, so that a model may have it where the file's has none.
    """
    in_file, in_model = own_layers(path), _model_layers(model)
    is_dilated = any(
        config.get("dilation") not in (1, [1, 1], None) for config in in_model.values()
    )
    for name, wanted in in_model.items():
        present = in_file.get(name, {})
        for option, value in wanted.items():
            if option not in present or present[option] == value or option in FREE:
                continue
            if option not in STRIDES:
                _raise(model, path, option, present[option], value)
            elif not is_dilated:
                _raise(model, path, "output_stride", *map(_output_stride, (in_file, in_model)))


def own_layers(path):
    """Returns the layers of this package in a `.keras` file: names to configurations.

    A layer within a model has that model's name and a slash before its own. The class is an option
    among the others.
    """
    layers = {}
    pending = [("", _read(path))]
    while pending:
        prefix, parent = pending.pop()
        for layer in _list(_dictionary(parent.get("config")).get("layers")):
            layer = _dictionary(layer)
            config = _dictionary(layer.get("config"))
            name = f"{prefix}{config.get('name')}"
            if str(layer.get("registered_name")).startswith(OWN):
                layers[name] = {"class": layer["registered_name"].removeprefix(OWN), **config}
            elif "layers" in config:
                pending.append((f"{name}/", layer))
    return layers


def _read(path):
    try:
        return read_configuration(path) or {}
    except WeightsFileError as error:
        raise WeightsFileError(
            f"A .keras file must have a sound configuration: {error.reason}. "
            f"Received: {str(path)!r}"
        ) from error


def _model_layers(model, prefix=""):
    """Returns what `own_layers` would of the file of a model."""
    layers = {}
    for layer in model.layers:
        registered = keras.saving.get_registered_name(type(layer))
        if registered.startswith(OWN):
            options = {key: value for key, value in layer.get_config().items() if key not in FREE}
            # As JSON has them: lists for tuples.
            options = json.loads(json.dumps(options))
            layers[prefix + layer.name] = {"class": registered.removeprefix(OWN), **options}
        elif isinstance(layer, keras.Model):
            layers |= _model_layers(layer, f"{prefix}{layer.name}/")
    return layers


def _output_stride(layers):
    """Returns the product of the layers' strides, which is the spec's: they are in a row."""
    strides = [config.get("strides", 1) for config in layers.values()]
    firsts = [stride[0] if isinstance(stride, list) and stride else stride for stride in strides]
    return math.prod(stride for stride in firsts if isinstance(stride, int))


def _raise(model, path, option, in_file, in_model):
    raise OptionError(model.name, path, option, in_file, in_model, "keras.models.load_model")


def _dictionary(value):
    return value if isinstance(value, dict) else {}


def _list(value):
    return value if isinstance(value, list) else []
