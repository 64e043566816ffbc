"""The weights in a file of Keras, loaded into a model that is there."""

import contextlib
import json
import math
import os
import re
import reprlib
from pathlib import Path

import keras
import numpy as np

from keras_resnets.architecture.spec import OPTIONS
from keras_resnets.arguments import printable
from keras_resnets.files.archive import layer_entries
from keras_resnets.files.elements import WeightsFileError, require, shown
from keras_resnets.files.read_arrays import file_in_folder
from keras_resnets.layers import Classifier
from keras_resnets.layers.composite import automatic_stem, is_automatic
from keras_resnets.layers.graph import sublayers

SUFFIXES = (".weights.h5", ".keras")
MODEL_FILE = "model.keras"
HEAD, STEM = "predictions", "stem_conv/conv"
OWN = "keras_resnets>"


class OptionError(WeightsFileError):
    """A file's network has another option than the model, even if every array would fit."""

    def __init__(self, model, path, option, in_file, in_model, opener, networks=()):
        self.option, self.in_file, self.networks = option, in_file, networks
        present, wanted = reprlib.repr(in_file), reprlib.repr(in_model)
        self.contradiction = f"the file's network has {option}={present}, not {option}={wanted}"
        is_plain = option == "shortcut" and in_model is None  # whose factories have no shortcuts
        is_argument = option in OPTIONS and not is_plain
        advice = f"pass {option}={present}, or " if is_argument else ""
        if networks:  # by name
            advice = f"build {' or '.join(networks)}, or "
        super().__init__(
            f"`weights` must be of a network with the options of {model!r}, and the file's network "
            f"has {option}={present}: {advice}open the file with `{opener}`. "
            f"Received: weights={str(path)!r}, {option}={wanted}"
        )


def check_weights_path(path):
    """Returns the path of the file that `weights` means, or raises if there is none."""
    if not isinstance(path, (str, os.PathLike)):
        received = " ".join(reprlib.repr(path).split())  # of arrays, it has many lines
        advice = "; `keras_resnets.convert_weights` takes arrays" if isinstance(path, dict) else ""
        raise TypeError(f"`weights` must be None or a path{advice}. Received: weights={received}")
    file = file_in_folder(model_file(path))
    if not file.is_file():
        raise ValueError(
            "`weights` must be None, the name of a preset, the path of a file, or that of a folder "
            f"of a training run or of Hugging Face. {what_is_there(file)}"
            f"Received: weights={os.fspath(path)!r}"
        )
    return file


def what_is_there(path):
    """Returns a sentence on why no weights are at a path, for the end of an error."""
    path = Path(path)
    if not path.exists():
        return "There is no such file or folder. "
    if (path / "recipe.toml").is_file():
        return "The run is not complete: the command that began it resumes it. "
    return f"The folder has no {MODEL_FILE} and no model.safetensors. " if path.is_dir() else ""


def model_file(path):
    """Returns the model in the folder of a training run or of a published model; else the path."""
    path = Path(path)
    return path / MODEL_FILE if (path / MODEL_FILE).is_file() else path


@contextlib.contextmanager
def written_whole(path, suffix=""):
    """Yields a path to write to, whose file takes its place at `path` only when it is whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        with contextlib.suppress(OSError):  # where none can be made, none can be taken away
            unfinished.unlink()


@contextlib.contextmanager
def errors_of_weights(name, path):
    """Adds to what is wrong with a file the model that it is for, and its path."""
    try:
        yield
    except OptionError:
        raise
    except ValueError as error:
        reason = error.reason if isinstance(error, WeightsFileError) else str(error)
        rule, _, received = reason.partition(" Received:")
        raise WeightsFileError(
            f"`weights` must hold the weights of {name!r}. {rule} "
            f"Received: weights={str(path)!r}{received and f',{received}'}"
        ) from error


def load_weights(model, file, adapts=False):
    """Loads the weights of a `KerasFile`, no optimizer's state: either every one, or none."""
    number_of_values = sum(math.prod(weight.shape) for weight in model.weights)
    with file.weights(8 * number_of_values) as root:  # room for double precision
        require("layers" in root.groups, "The file holds no layers.")
        pairs = list(_pairs(model, root.groups["layers"]))
        notes = _check_same(pairs, adapts)
        values = [
            (path, layer, {key: array.read() for key, array in arrays.items()})
            for path, layer, arrays in pairs
            if arrays and not (path == HEAD and (path in notes or layer is None))
        ]
    _check_numbers(values)
    _check_configuration(model, file)
    for path, layer, arrays in values:
        if path == STEM and path in notes:
            channels = layer.kernel.shape[2]
            arrays["0"] = adapt_channels(arrays["0"].astype("float64"), channels)
        layer.load_own_variables(arrays)
    return notes


def new_head_note(classes, in_source, source):
    """Returns the note that a classifier begins anew."""
    return f"the classifier of {classes} classes begins anew, for the {source} has {in_source}"


def adapt_channels(kernel, channels):
    """Returns a stem's kernel for other channels: the sum for one, the same in turn for several."""
    present = kernel.shape[2]
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    repeated = np.take(kernel, np.arange(channels) % present, axis=2)
    return repeated * (present / channels)


def _pairs(parent, group, prefix=""):
    """Yields the path of each layer with variables, the layer, and the arrays filed for it.

    Keras files a layer under `layers/<key>`, and its name as an attribute. Layers are matched by
    name; where Keras made it up, with a number that depends on what was built before, by order.
    """
    layers, filed = _sublayers(parent), _filed_layers(group)
    pairs = [(layer, _find(layer, parent, layers, filed)) for layer in layers]
    taken = {id(child) for _, child in pairs}
    pairs += [(None, child) for child in filed if id(child) not in taken]
    for layer, child in pairs:
        path = prefix + (child.groups["vars"].name if layer is None else layer.name)
        yield path, layer, None if child is None else child.groups["vars"].arrays
        yield from _pairs(layer, child, f"{path}/")


def _sublayers(parent):
    """Returns the layers with weights right below a layer, in the order in which they are filed."""
    if parent is None:
        return []
    return [layer for layer in sublayers(parent) if layer.weights]


def _filed_layers(group):
    """Returns the groups of layers with weights right below a group, in the order of their keys."""
    filed = []
    for key in sorted({} if group is None else group.groups, key=_numbers_last):
        child = group.groups[key]
        if key == "vars" or not _has_arrays(child):
            continue
        require(not child.arrays, f"The layer {shown(key)} has arrays where Keras files none.")
        if "vars" in child.groups:
            require(child.groups["vars"].name is not None, f"The layer {shown(key)} has no name.")
            filed.append(child)
        else:  # a list of layers that the parent keeps, such as `layers`
            filed += _filed_layers(child)
    return filed


def _numbers_last(key):
    """Sorts `dense`, `dense_1`, `dense_2`, `dense_10`."""
    stem, _, number = key.rpartition("_")
    return (stem, int(number)) if re.fullmatch(r"\d{1,9}", number) else (key, 0)


def _has_arrays(group):
    return bool(group.arrays) or any(map(_has_arrays, group.groups.values()))


def _find(layer, parent, layers, filed):
    """Returns the group of a layer, or `None`."""
    stem = automatic_stem(layer)
    if not is_automatic(layer.name, stem):
        found = [child for child in filed if child.groups["vars"].name == layer.name]
        require(len(found) < 2, f"The file holds {len(found)} layers named {layer.name!r}.")
        return found[0] if found else None

    alike = [
        other
        for other in layers
        if automatic_stem(other) == stem and is_automatic(other.name, stem)
    ]
    if len(alike) > 1 and not isinstance(parent, keras.Model):
        # Keras files them by the names of attributes, which say nothing of their order.
        raise WeightsFileError(
            f"The sublayers {', '.join(repr(other.name) for other in alike)} of {parent.name!r} "
            "cannot be told apart: give each a `name`."
        )
    found = [child for child in filed if is_automatic(child.groups["vars"].name, stem)]
    return dict(zip(map(id, alike), found, strict=False)).get(id(layer))


def _check_same(pairs, adapts):
    """Returns what may differ, in sentences by layers, and raises if anything else does."""
    differing, notes = [], {}
    for path, layer, arrays in pairs:
        stored = _stored(layer)
        expected = {key: (tuple(each.shape), _kind(each.dtype)) for key, each in stored.items()}
        present = {
            key: (each.shape, _kind(each.dtype.name)) for key, each in (arrays or {}).items()
        }
        if expected == present:
            continue
        note = _adaptation(path, expected, present) if adapts else None
        if note is None:
            differing.append((path, expected, present))
        elif note:
            notes[path] = note
    if differing:
        path, expected, present = differing[0]
        raise WeightsFileError(
            f"It does not fit: the first layer that differs is {shown(path)}: the model has "
            f"{_describe(expected)}, the file {printable(_describe(present))}; in all, "
            f"{len(differing)} differ."
        )
    return notes


def _stored(layer):
    """Returns the variables that a layer stores by their keys."""
    store: dict = {}
    if layer is not None:
        layer.save_own_variables(store)
    return store


def _kind(dtype):
    return "floats" if "float" in dtype else "integers"


def _adaptation(path, expected, present):
    """Returns what is said of another head or stem, or nothing; `None` if it cannot be adapted."""
    wanted, found = ([shape for shape, _ in each.values()] for each in (expected, present))
    if path == HEAD and not expected:
        return ""
    if path == HEAD and not present:
        return new_head_note(wanted[1][0], "none", "file")

    kinds, kinds_in_file = (
        {key: kind for key, (_, kind) in each.items()} for each in (expected, present)
    )
    if kinds != kinds_in_file:
        return None
    if path == HEAD:
        differs_in_classes = (
            len(found) == 2 and len(found[1]) == 1 and found[0] == (wanted[0][0], *found[1])
        )
        return new_head_note(wanted[1][0], found[1][0], "file") if differs_in_classes else None
    if path == STEM and len(found[0]) == 4:
        [(height, width, channels, filters)] = wanted
        in_file = found[0][2]
        if in_file and found == [(height, width, in_file, filters)]:
            return f"the stem's kernel was adapted from {in_file} to {channels} channels"
    return None


def _describe(variables):
    if not variables:
        return "no such layer"
    return "variables of shape " + ", ".join(
        str(shape) if kind == "floats" else f"{shape} of {kind}"
        for shape, kind in variables.values()
    )


def _check_numbers(values):
    """Raises unless all numbers are finite in float32, and no variance is negative."""
    unsound = []
    for path, layer, arrays in values:
        stored = _stored(layer)
        for key, array in arrays.items():
            if not is_finite(array):
                unsound.append(f"{shown(path)} holds NaN or infinity")
            is_variance = getattr(stored[key], "name", "") == "moving_variance"
            if is_variance and array.min(initial=0) < 0:
                unsound.append(f"{shown(path)} holds a negative variance")
    if unsound:
        raise WeightsFileError(
            f"All numbers must be sound, and the layer {unsound[0]}; in all, {len(unsound)} "
            f"array{'s are' if len(unsound) > 1 else ' is'} not."
        )


def is_finite(array):
    """Whether all numbers of an array are finite in float32."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype("float32", copy=False)).all())


# What only matters in training, or is not part of what a layer computes from its weights.
FREE = {
    *("name", "trainable", "dtype", "frozen", "data_format", "preprocessing"),
    *("gamma_initializer", "zero_init_residual", "gate_bias", "drop_path_rate"),
}
STRIDES = ("strides", "dilation", "first_dilation")


def _check_configuration(model, file):
    """Raises if a file's network, by its configuration, computes something else than a model."""
    in_file, in_model = own_layers(file.configuration() or {}), _model_layers(model)
    # Dilation computes the same in more positions: a model may have it where the file's has none.
    is_dilated = any(
        config.get("dilation") not in (1, [1, 1], None) for config in in_model.values()
    )
    opener = "keras.models.load_model"
    for name, wanted in in_model.items():
        present = in_file.get(name, {})
        for option, value in wanted.items():
            if option in FREE or present.get(option, value) == value:
                continue
            if option not in STRIDES:
                raise OptionError(model.name, file.path, option, present[option], value, opener)
            if not is_dilated:
                present, value = _output_stride(in_file), _output_stride(in_model)
                raise OptionError(model.name, file.path, "output_stride", present, value, opener)


def own_layers(configuration):
    """Returns the configurations of this package's layers, with their class, by `model/layer`."""
    layers = {}
    pending = [("", configuration)]
    while pending:
        prefix, parent = pending.pop()
        for layer in layer_entries(parent):
            name = f"{prefix}{layer['config'].get('name')}"
            registered = str(layer.get("registered_name"))
            if registered.startswith(OWN):
                layers[name] = {"class": registered.removeprefix(OWN), **layer["config"]}
            else:
                pending.append((f"{name}/", layer))
    return layers


def _model_layers(model, prefix=""):
    """Returns what `own_layers` returns for the file of a model."""
    layers = {}
    for layer in model.layers:
        registered = keras.saving.get_registered_name(type(layer))
        if isinstance(layer, Classifier):
            continue  # probabilities and logits have the same weights
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
