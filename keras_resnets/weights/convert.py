"""A checkpoint of another library in, the same model in Keras out."""

import dataclasses
import inspect
import os
import sys
import types
import warnings
from pathlib import Path

import keras

from keras_resnets.architecture.network import build_network
from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.spec import STEMS
from keras_resnets.arguments import check_choice
from keras_resnets.preprocessing import Preprocessing, set_preprocessing
from keras_resnets.preprocessing.model import fit_preprocessing, without_scaling
from keras_resnets.weights.families import HUGGING_FACE
from keras_resnets.weights.matching import STEM, check_model, match
from keras_resnets.weights.recognition import Checkpoint, follow_config, recognize, source_arrays


def warn_user(message):
    """Warns at the user's line, however many functions of this package are between.

    A factory comes to its weights by more of them than `convert_weights`.
    """
    warnings.warn(message, stacklevel=_levels_in_package() + 1)


def _levels_in_package():
    """Returns how many callers, from this function's on, are this package's own."""
    levels = 0
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("keras_resnets"):
        levels, frame = levels + 1, frame.f_back
    return levels


def convert_weights(
    source,
    model=None,
    classes=None,
    *,
    input_shape=None,
    stride_on=None,
    classifier_activation="softmax",
    preprocessing=None,
    name=None,
):
    """Returns the Keras model of a checkpoint of torchvision, timm, Hugging Face and others.

    The family is recognized by the arrays' names, and the network by their shapes. Every array is
    used exactly once; only torch's `num_batches_tracked` is left out. What no array tells is the
    bottleneck's stride: 3×3 ("v1.5") for the families that come from torch, as torchvision, timm
    and Hugging Face have it by default; 1×1 for `keras.applications`. The `config.json` beside a
    file of Hugging Face tells it, and more; it is followed, or refused. Where there is none, and of
    a mapping, a Hugging Face network is taken to have transformers' defaults, without a warning: of
    one with `downsample_in_bottleneck=True`, pass `stride_on="1x1"`. Nor does an array tell of
    another activation than ReLU, of `downsample_in_first_stage=True`, or of blurred or averaged
    strides (timm's `resnetblur18`, `resnetaa50`): such a network is taken for its plain namesake,
    and answers wrongly.

    Args:
        source: Path of a file, a mapping from names to arrays, such as a `state_dict()`, or a
            model of `keras.applications`.
        model: A model of the zoo to load; by default, one is built. The other arguments but
            `preprocessing` are then the model's own, and must be left out.
        classes: Number of classes; by default, the source's. With another number the classifier
            begins anew, with a warning. If the source has no classifier, neither has the model,
            unless this is given.
        input_shape: The image's shape without the batch, as in `build_model`. With another number
            of channels the stem's kernel is summed or repeated, with a warning.
        stride_on: `"3x3"` or `"1x1"`: which of the bottleneck's convolutions has the stride.
        classifier_activation: Activation of the classifier; `None` for logits.
        preprocessing: The `Preprocessing` that the model is to carry; by default, that of the
            family's published networks: torchvision's, or ImageNet's mean and deviation at 32×32
            for akamaster's CIFAR networks, or BGR less the mean colour for `keras.applications`.
            Of another network under the same names it is not known: none is noted, with a
            warning. None is noted either where the number of channels was changed.
        name: Name of the model; by default, `resnet` and its depth.

    Returns:
        A `keras.Model` with the checkpoint's weights: the given one, or a new one.

    Raises:
        ValueError: If the family is not known; if arrays are missing, left over, of the wrong
            shape, not finite, or negative variances, all of them listed under both names; if the
            model computes what the family's networks do not. A given model is then left as it was.
        TypeError: If an argument is of another type.

    Example:

    >>> original = keras_resnets.ResNet18(input_shape=(64, 64, 3))
    >>> state_dict = keras_resnets.to_torch_state_dict(original)
    >>> model = keras_resnets.convert_weights(state_dict)
    >>> keras_resnets.model_spec(model) == keras_resnets.model_spec(original)
    True
    """
    checkpoint = read_checkpoint(source)
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise TypeError(
            f"`preprocessing` must be a Preprocessing. Received: preprocessing={preprocessing!r}"
        )
    own = {
        "classes": classes,
        "input_shape": input_shape,
        "stride_on": stride_on,
        "classifier_activation": classifier_activation,
        "name": name,
    }
    if model is None:
        model = _build(checkpoint, **own)
    else:
        parameters = inspect.signature(convert_weights).parameters
        for argument, value in own.items():
            if value != parameters[argument].default:
                raise ValueError(
                    f"`{argument}` belongs to model=None: a given model has its own. "
                    f"Received: {argument}={value!r}"
                )
    _load(model, checkpoint, preprocessing)
    return model


def load_foreign_weights(model, source, usual_preprocessing=None, new_head=True):
    """Loads a checkpoint of another library into a model: for a factory's `weights`.

    The model then carries the usual preprocessing, fitted to the size of its images.
    """
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    _load(model, checkpoint, None, usual_preprocessing, new_head)


def read_checkpoint(source):
    """Returns the `Checkpoint` of a source, with what a configuration beside its file says."""
    checkpoint = recognize(source_arrays(source))
    if checkpoint.family is HUGGING_FACE and isinstance(source, (str, os.PathLike)):
        return follow_config(checkpoint, Path(source).parent)
    return checkpoint


def _build(checkpoint, classes, input_shape, stride_on, classifier_activation, name):
    spec = checkpoint.spec
    if stride_on is not None:
        check_choice("stride_on", stride_on, ("3x3", "1x1"))
        spec = dataclasses.replace(spec, stride_on=stride_on)
    if classes is None and checkpoint.has_top:
        classes = _source_classes(checkpoint)
    channels = _source_channels(checkpoint)
    # Shapes can ask for any amount of memory in a few bytes: a network is built only of arrays
    # that are all there.
    match(checkpoint, spec, make_plan(spec).variable_shapes(channels, classes))
    include_top = classes is not None
    if input_shape is None:
        size = STEMS[spec.stem].image_size if include_top else None
        is_first = keras.config.image_data_format() == "channels_first"
        input_shape = (channels, size, size) if is_first else (size, size, channels)
    return build_network(
        spec,
        include_top,
        input_shape=input_shape,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or f"resnet{spec.depth}",
    )


def _source_classes(checkpoint):
    family = checkpoint.family
    name = family.names(checkpoint.spec, include_top=True)["predictions/bias"]
    bias = checkpoint.arrays.get(name)
    if bias is None or bias.ndim != 1:
        raise ValueError(
            "`source` must hold the classifier's bias with its kernel. "
            f"Received: no {name!r} of rank 1"
        )
    return len(bias)


def _source_channels(checkpoint):
    family = checkpoint.family
    name = family.names(checkpoint.spec, include_top=False)[STEM]
    return checkpoint.arrays[name].shape[1 if family.torch_layout else 2]


def _load(model, checkpoint, preprocessing, usual_preprocessing=None, new_head=True):
    """Loads all or nothing, and warns of what could not be taken over."""
    spec = check_model(model, checkpoint.family)
    variables = {weight.path: weight for weight in model.weights}
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    values, notes = match(checkpoint, spec, shapes, new_head)
    if preprocessing is None:
        preprocessing, more = usual_preprocessing_for(model, checkpoint, usual_preprocessing)
        notes += more
    set_preprocessing(model, preprocessing)  # raises before anything is loaded
    for path, value in values:
        variables[path].assign(value)
    for note in notes:
        warn_user(f"{model.name}: {note}.")


def usual_preprocessing_for(
    model, checkpoint: Checkpoint, usual: Preprocessing | None = None
) -> tuple[Preprocessing | None, list[str]]:
    """Returns what was done to the images of a checkpoint, fitted to the size of a model's."""
    if usual is None:
        notes = _differences(checkpoint)
        if notes:
            return None, notes
        usual = checkpoint.family.preprocessing
    [kernel] = [weight for weight in model.weights if weight.path == STEM]
    if kernel.shape[2] != len(usual.mean):  # of another number of channels it says nothing
        return None, []
    return without_scaling(fit_preprocessing(usual, model), model), []


def _differences(checkpoint):
    """Says by what a network is none of its family's published ones, if it is not."""
    family = checkpoint.family
    present = dict(vars(checkpoint.spec))
    top = family.names(checkpoint.spec, include_top=True)
    bias = checkpoint.arrays.get(top["predictions/bias"])
    if bias is not None:
        present["classes"] = bias.size
    return [
        f"no preprocessing is noted, for {family.name}'s networks have {field}={value!r}, this one "
        f"{present[field]!r}; `set_preprocessing` notes what it was trained on"
        for field, value in family.published.items()
        if present.get(field, value) != value
    ][:1]
