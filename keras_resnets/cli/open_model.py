"""The model and the class names that an argument of the command means."""

import warnings
from pathlib import Path

from keras_resnets.architecture.network import build_network
from keras_resnets.architecture.spec import OPTIONS, VARIANTS
from keras_resnets.files.read_arrays import file_in_folder
from keras_resnets.layers.classifier import check_class_names
from keras_resnets.models import create_model, list_models
from keras_resnets.preprocessing import model_class_names, set_class_names
from keras_resnets.preprocessing.predictions import imagenet_classes, number_of_classes
from keras_resnets.weights import PRESETS, convert_weights
from keras_resnets.weights.hub import is_of_hub
from keras_resnets.weights.keras_files import OptionError, model_file, what_is_there
from keras_resnets.weights.keras_model import load_keras_file
from keras_resnets.weights.load import open_weights
from keras_resnets.weights.sources import is_own_file

NAMES = {"report": "verbose", "stride_on": "stride-on"}  # of arguments as the command's options
# In the order of the data set's labels.
CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def read_class_names(source, model):
    """Returns what `--class-names` means for a model, as `classify` takes it."""
    if source is None:
        return None
    classes = number_of_classes(model)
    if source == "imagenet":
        names = [name for _, name in imagenet_classes()]
    elif source == "cifar10":
        names = list(CIFAR10)
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"`--class-names` must be a text file in UTF-8. Received: {source!r} ({error})"
            ) from error
        names = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        check_class_names(names, classes)
    except ValueError as error:
        raise ValueError(f"{error} of --class-names {source!r}") from error
    if source != "imagenet":
        return names
    if model_class_names(model) is not None:
        set_class_names(model, None)
    return None  # so that answers have ImageNet's class ids, too


def open_model(source, weights=None, **converting):
    """Returns the model of a network's name, a preset's name, or a file."""
    name, path = source.lower(), file_in_folder(model_file(source))
    is_network, is_preset = name in list_models(), name in PRESETS
    if weights is not None and not is_network:
        raise ValueError(
            "`--weights` belongs to a network's name, such as resnet50. "
            f"Received: {source!r} and --weights {weights}"
        )
    is_file = path.is_file() and not (is_network or is_preset)
    if is_of_hub(source) or (is_file and not is_own_file(path)):
        return convert_weights(source if is_of_hub(source) else path, **converting)

    for option, value in converting.items():
        if value is not None:
            raise ValueError(
                f"`--{NAMES.get(option, option)}` belongs to a checkpoint of another library. "
                f"Received: {value!r}"
            )
    if is_network:
        return create_model(name) if weights is None else _open_network(name, weights)
    if is_preset:
        return create_model(PRESETS[name].model, weights=name)
    if is_file and path.suffix != ".keras":
        raise ValueError(
            "A file of weights alone does not say of which network they are: name the network, and "
            f"give the file as --weights. Received: {source!r}"
        )
    if is_file:
        return load_keras_file(path)
    if (Path(source) / "recipe.toml").is_file():
        raise ValueError(
            f"The run must be complete; the command that began it resumes it. Received: {source!r}"
        )
    if (Path(source) / "saved_model.pb").is_file():
        raise ValueError(
            "An exported SavedModel cannot be opened as a network: give the run, file or preset "
            "that it was exported from, or run it with `tf.saved_model.load`. "
            f"Received: {source!r}"
        )
    raise ValueError(
        "The model must be the name of a network or preset, an existing file, or the folder of a "
        f"training run or of Hugging Face. {what_is_there(source)}Received: {source!r}"
    )


def _open_network(name, weights):
    received = f"Received: {name!r} and --weights {weights}"
    try:
        opened = open_weights(weights, VARIANTS[name], name, OPTIONS)
        model = build_network(opened.spec, classes=opened.classes or None, name=name)
        with warnings.catch_warnings():  # who names no number of classes wants no new classifier
            warnings.filterwarnings("error", ".* the classifier of .* begins anew")
            opened.load(model)
        return model
    except UserWarning as warning:
        raise ValueError(
            "`--weights` must have a classifier, and in a .weights.h5 file one of as many classes "
            f"as {name} has by default: {warning} Such a file opens by "
            f"`keras_resnets.create_model({name!r}, classes=…, weights=…)`. {received}"
        ) from warning
    except OptionError as error:
        raise ValueError(
            f"`--weights` must be of {name} as it is by default, and {error.contradiction}. The "
            f"file says itself which network it is: give it in place of the name. {received}"
        ) from error
