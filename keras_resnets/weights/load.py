"""A model's `weights`: the one place that decides whose file a path is."""

import contextlib
import dataclasses
import functools

from keras_resnets.architecture.spec import ResNetSpec
from keras_resnets.files.errors import WeightsFileError, printable
from keras_resnets.preprocessing.model import (
    fit_preprocessing,
    leaves_values,
    set_preprocessing,
    stem_convolution,
    without_scaling,
)
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.weights.convert import load_foreign_weights, read_checkpoint, warn_user
from keras_resnets.weights.keras_configuration import OptionError, own_layers
from keras_resnets.weights.keras_weights import (
    FOREIGN_SUFFIXES,
    STEM,
    SUFFIXES,
    OtherClassesError,
    check_weights_path,
    load_weights_file,
)
from keras_resnets.weights.presets import find_preset, load_preset
from keras_resnets.weights.recognition import Checkpoint, is_of_another_library


def take_over_preprocessing(model, path):
    """Makes a model carry what a file's network carries, at the size of its own images.

    A model that carries one already keeps it. One of grey levels as they are is left out, for the
    file's model may have scaled them by layers that are not in this one.
    """
    noted = [
        config["preprocessing"]
        for name, config in own_layers(path).items()
        if name.rpartition("/")[2] == "stem_conv" and config.get("preprocessing") is not None
    ]
    if not noted or stem_convolution(model).preprocessing is not None:
        return
    try:
        preprocessing = Preprocessing.from_dict(noted[0])
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsFileError(
            "A .keras file must note a preprocessing as this package does: "
            f"{printable(str(error))}. Received: weights={str(path)!r}"
        ) from error
    if leaves_values(preprocessing):  # of a model that may have scaled its images itself
        return
    set_preprocessing(model, without_scaling(fit_preprocessing(preprocessing, model), model))


# What a network is, where the other fields of a spec say how it computes.
STRUCTURE = ("block", "repeats", "widths", "stem")
DEFAULTS = {field.name: field.default for field in dataclasses.fields(ResNetSpec)}


class ForeignFile:
    """A checkpoint of another library for a model that is yet to be built."""

    def __init__(self, path, name):
        self._path, self._name = path, name
        self._notes: list[str] = []
        with self._errors_name_the_model():
            self._checkpoint = read_checkpoint(path)

    def follow(self, spec):
        """Returns a spec with the file's options for those that nobody asked for otherwise.

        Those are the ones at their default; `load` warns of each that gave way.
        """
        followed = {}
        for option, in_file in _options(self._checkpoint).items():
            asked_for = getattr(spec, option)
            if asked_for == in_file:
                continue
            if option in STRUCTURE or asked_for != DEFAULTS[option]:
                opener = "keras_resnets.convert_weights"
                raise OptionError(self._name, self._path, option, in_file, asked_for, opener)
            followed[option] = in_file
            self._notes.append(f"{option} is the file's, {in_file!r}, not {asked_for!r}")
        return dataclasses.replace(spec, **followed)

    def load(self, model, new_head=True):
        """Loads the arrays into the model of the spec that `follow` returned."""
        with self._errors_name_the_model():
            load_foreign_weights(model, self._checkpoint, new_head=new_head)
        for note in self._notes:
            warn_user(f"{model.name}: {note}.")

    @contextlib.contextmanager
    def _errors_name_the_model(self):
        try:
            yield
        except OtherClassesError:
            raise
        except ValueError as error:
            reason = error.reason if isinstance(error, WeightsFileError) else str(error)
            rule, _, received = reason.partition(" Received:")
            raise WeightsFileError(
                f"`weights` must hold the weights of {self._name!r}: {rule} "
                f"Received: weights={str(self._path)!r}{received and f',{received}'}"
            ) from error


def _options(checkpoint: Checkpoint):
    """Returns the options that a checkpoint's arrays, or its family, leave no choice of."""
    spec, family = checkpoint.spec, checkpoint.family
    names = [*STRUCTURE, "shortcut", "zero_pad", "activation"]
    if spec.block == "bottleneck" and len(family.strides_on) == 1:
        names.append("stride_on")
    return {name: getattr(spec, name) for name in names}


def open_weights(weights, spec, name):
    """Returns the spec of the network to build for some weights, and what loads them into it.

    Another library's file is read at once: what its network leaves no choice of is built into the
    spec. The loader's `new_head` says whether a classifier of other classes may begin anew.
    """
    if isinstance(weights, str) and not weights.endswith(SUFFIXES + FOREIGN_SUFFIXES):
        return spec, functools.partial(load_preset, preset=find_preset(weights, spec))
    path = check_weights_path(weights)
    if path.name.endswith(SUFFIXES) and not is_of_another_library(path):
        return spec, functools.partial(_load_file_of_keras, path=path)
    file = ForeignFile(path, name)
    return file.follow(spec), file.load


def _load_file_of_keras(model, path, new_head=True):
    notes = load_weights_file(model, path, adapts=True, new_head=new_head)
    for note in notes.values():
        warn_user(f"{model.name}: {note}.")
    # Of images of another number of channels it says nothing.
    if path.name.endswith(".keras") and STEM not in notes:
        take_over_preprocessing(model, path)
