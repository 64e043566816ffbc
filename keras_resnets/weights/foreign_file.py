"""A file of another library as the weights of a model that is there already."""

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.models import model_spec
from keras_resnets.models.option_error import OptionError
from keras_resnets.weights.convert import load_foreign_weights, read_checkpoint
from keras_resnets.weights.recognition import Checkpoint


def load_foreign_file(model, path):
    """Loads a file of another library into a model of the same network: for a factory's `weights`.

    Args:
        model: A model of the zoo.
        path: Path of the file.

    Raises:
        OptionError: If the file's network has other options than the model; the first is named,
            and what to pass.
        WeightsFileError: If the file cannot be read, or does not fit; the model is then left as
            it was.
    """
    try:
        checkpoint = read_checkpoint(path)
        _check_options(model, checkpoint, path)
        load_foreign_weights(model, checkpoint)
    except OptionError:
        raise
    except ValueError as error:
        reason = error.reason if isinstance(error, WeightsFileError) else str(error)
        rule, _, received = reason.partition(" Received:")
        raise WeightsFileError(
            f"`weights` must hold the weights of {model.name!r}: {rule} "
            f"Received: weights={str(path)!r}{received and f',{received}'}"
        ) from error


def _check_options(model, checkpoint, path):
    spec = model_spec(model)
    for option, value in _options(checkpoint).items():
        if getattr(spec, option) != value:
            opener = "keras_resnets.convert_weights"
            raise OptionError(model.name, path, option, value, getattr(spec, option), opener)


def _options(checkpoint: Checkpoint):
    """Returns the options that a checkpoint's arrays, or its family, leave no choice of."""
    spec, family = checkpoint.spec, checkpoint.family
    names = ["block", "repeats", "widths", "stem", "shortcut", "zero_pad", "activation"]
    if spec.block == "bottleneck" and len(family.strides_on) == 1:
        names.append("stride_on")
    return {name: getattr(spec, name) for name in names}
