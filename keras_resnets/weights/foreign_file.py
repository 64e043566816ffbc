"""A file of another library as a factory's `weights`: read once, before the model is built."""

import contextlib
import dataclasses

from keras_resnets.architecture.spec import ResNetSpec
from keras_resnets.files.errors import WeightsFileError
from keras_resnets.models.option_error import OptionError
from keras_resnets.weights.convert import load_foreign_weights, read_checkpoint, warn_user
from keras_resnets.weights.recognition import Checkpoint

# What a network is, where the other fields of a spec say how it computes.
STRUCTURE = ("block", "repeats", "widths", "stem")
DEFAULTS = {field.name: field.default for field in dataclasses.fields(ResNetSpec)}


class ForeignFile:
    """A checkpoint of another library for a model that is yet to be built.

    Args:
        path: Path of the file.
        name: What the model will be called, for messages.

    Raises:
        WeightsFileError: If the file cannot be read, or is of no known family.
    """

    def __init__(self, path, name):
        self._path, self._name = path, name
        self._notes: list[str] = []
        with self._errors_name_the_model():
            self._checkpoint = read_checkpoint(path)

    def follow(self, spec):
        """Returns a spec with the file's options for those that nobody asked for otherwise.

        Those are the ones at their default; `load` warns of each that gave way.

        Args:
            spec: The `ResNetSpec` that was asked for.

        Raises:
            OptionError: If the network has another structure, or an option was set and contradicts
                the file; the first is named, and what to pass.
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

    def load(self, model):
        """Loads the arrays into the model of the spec that `follow` returned.

        Raises:
            WeightsFileError: If they do not fit; the model is then left as it was.
        """
        with self._errors_name_the_model():
            load_foreign_weights(model, self._checkpoint)
        for note in self._notes:
            warn_user(f"{model.name}: {note}.")

    @contextlib.contextmanager
    def _errors_name_the_model(self):
        try:
            yield
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
