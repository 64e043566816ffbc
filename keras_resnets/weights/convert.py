"""A checkpoint of another library in, the same model in Keras out."""

import dataclasses
import sys
import types
import warnings
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_resnets.architecture.network import build_network
from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.reading import model_spec
from keras_resnets.architecture.spec import STEMS, VARIANTS, ResNetSpec, describe_spec
from keras_resnets.arguments import check_choice
from keras_resnets.files.elements import shown
from keras_resnets.layers import BatchNormalization
from keras_resnets.preprocessing.model import (
    fit_preprocessing,
    model_preprocessing,
    set_preprocessing,
    without_scaling,
)
from keras_resnets.preprocessing.predictions import find_classifier
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.weights.configuration import read_checkpoint
from keras_resnets.weights.families import Family
from keras_resnets.weights.hub import hub_file, is_of_hub
from keras_resnets.weights.keras_files import adapt_channels, is_finite, new_head_note
from keras_resnets.weights.recognition import Checkpoint, label_of

STEM_KERNEL = "stem_conv/conv/kernel"
# The blocks of timm's ResNet-10, 14 and 26, which are published, too.
OTHERS = {("basic", (1,) * 4), ("bottleneck", (1,) * 4), ("bottleneck", (2,) * 4)}
MOST_SURPLUS = 8  # that are named; the others are of the same layers in other blocks
HEAD_VARIABLES = ("predictions/kernel", "predictions/bias")


def warn_user(message):
    """Warns at the user's line, however many functions of this package are between."""
    levels = 2
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("keras_resnets"):
        levels, frame = levels + 1, frame.f_back
    warnings.warn(message, stacklevel=levels)


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What `convert_weights` took, left out and made anew.

    Attributes:
        family: Name of the family whose names the arrays have.
        spec: The network, a `ResNetSpec`.
        entry: Under which name the weights are in the source; empty if under none.
        other_entries: Names under which there are other networks.
        left_out: Names of arrays in the same place that are not of the network.
        changed: What was made anew, or adapted, each in a sentence.
        preprocessing: The `Preprocessing` that the model carries, if any.
        preprocessing_source: Where that is from.

    Example:

    >>> arrays = keras_resnets.to_torch_state_dict(keras_resnets.ResNet18())
    >>> saved = {f"model.{name}": array for name, array in arrays.items()}
    >>> saved["loss.weight"] = arrays["fc.bias"]
    >>> reports = []
    >>> model = keras_resnets.convert_weights(saved, report=reports.append)
    >>> reports[0].entry, reports[0].left_out
    ('model', ('loss.weight',))
    """

    family: str
    spec: ResNetSpec
    entry: str
    other_entries: tuple[str, ...]
    left_out: tuple[str, ...]
    changed: tuple[str, ...]
    preprocessing: Preprocessing | None
    preprocessing_source: str

    def __str__(self):
        lines = {
            "family": self.family,
            "network": describe_spec(self.spec),
            "entry": self.entry,
            "other entries": ", ".join(each or "no entry" for each in self.other_entries),
            "left out": ", ".join(self.left_out),
            "changed": "; ".join(self.changed),
            "preprocessing": f"{self.preprocessing}, {self.preprocessing_source}",
        }
        return "\n".join(f"{name}: {text or 'none'}" for name, text in lines.items())


def convert_weights(
    source,
    model=None,
    classes=None,
    *,
    entry=None,
    input_shape=None,
    stride_on=None,
    classifier_activation="softmax",
    preprocessing=None,
    name=None,
    report=None,
):
    """Returns the Keras model of a checkpoint of torchvision, timm, Hugging Face and others.

    The family is recognized by the arrays' names, wherever in the source they are, and the network
    by their shapes. Every array of the network is used exactly once. What is beside the network,
    such as a loss's weights, another head or a queue, is left out with a warning. The `config.json`
    beside a file of timm or Hugging Face is followed. Blurred and averaged strides (timm's
    `resnetblur18`, `resnetaa50`) have no arrays: that file tells of them, or an entry `"arch"`, or
    the file's name, with a warning. A network with another activation than ReLU cannot be told from
    its namesake, and gives wrong answers.

    Args:
        source: Path of a file, or of a folder of Hugging Face; `"hf://owner/name"` on its hub; a
            mapping from names to arrays, such as a `state_dict()`; or a model of
            `keras.applications`.
        model: A model of the zoo to load; by default, one is built. All other arguments except
            `preprocessing` must then be left out.
        classes: Number of classes; by default, the source's. With another number the classifier
            begins anew, with a warning. If the source has no classifier, the model has none
            unless this is given.
        entry: Which weights to take where a source has several: the name, or a part of it, under
            which they are, such as `"model_ema"` or `"encoder_k"`. By default the first that are
            no average of others, with a warning that names the others.
        input_shape: The image's shape without the batch, as in `build_model`. With another number
            of channels the stem's kernel is summed or repeated, with a warning.
        stride_on: `"3x3"` or `"1x1"`: which of the bottleneck's convolutions has the stride, which
            no array shows. By default the 3×3, and the first 1×1 for `keras.applications`.
        classifier_activation: Activation of the classifier; `None` for logits.
        preprocessing: The `Preprocessing` that the model carries; by default, that of the
            family's published networks, and none, with a warning, for other networks. None if the
            number of channels was changed.
        name: Name of the model; by default that of its row in `VARIANTS`, or `resnet`, its depth,
            and `v2` with pre-activation.
        report: A function that is called with a `ConversionReport` of what was taken, left out and
            made anew, such as `print`.

    Returns:
        A `keras.Model` with the checkpoint's weights: the given one, or a new one.

    Raises:
        ValueError: If the family is not known; if arrays are missing, left over, of the wrong
            shape, not finite, or negative variances, all of them listed; if the model computes
            what the family's networks do not. A given model is then left as it was. If a model is
            to be built of a part of a network.
        TypeError: If an argument is of another type.

    Example:

    >>> original = keras_resnets.ResNet18(input_shape=(64, 64, 3))
    >>> state_dict = keras_resnets.to_torch_state_dict(original)
    >>> model = keras_resnets.convert_weights(state_dict)
    >>> keras_resnets.model_spec(model) == keras_resnets.model_spec(original)
    True
    """
    if is_of_hub(source):
        source = hub_file(source)
    checkpoint = read_checkpoint(source, entry)
    own = {
        "classes": classes,
        "input_shape": input_shape,
        "stride_on": stride_on,
        "classifier_activation": classifier_activation,
        "name": name,
    }
    if model is None:
        model = _build(checkpoint, **own)
        if checkpoint.assumed:
            remarks = (*checkpoint.remarks, checkpoint.assumed)
            checkpoint = dataclasses.replace(checkpoint, remarks=remarks)
    else:
        for argument, value in own.items():
            if value != ("softmax" if argument == "classifier_activation" else None):
                raise ValueError(
                    f"`{argument}` belongs to model=None: a given model has its own. "
                    f"Received: {argument}={value!r}"
                )
    result = load_checkpoint(model, checkpoint, preprocessing)
    if report is not None:
        report(result)
    return model


def _build(checkpoint, classes, input_shape, stride_on, classifier_activation, name):
    spec = checkpoint.spec
    if stride_on is not None:
        check_choice("stride_on", stride_on, ("3x3", "1x1"))
        spec = dataclasses.replace(spec, stride_on=stride_on)
    channels, classes = checked_classes(checkpoint, classes)
    structures = {(row.block, row.repeats) for row in VARIANTS.values()} | OTHERS
    if not checkpoint.has_top and (spec.block, spec.repeats) not in structures:
        warn_user(
            f"{name or 'The network'} has {', '.join(map(str, spec.repeats))} {spec.block} blocks, "
            "as no published one: the last ones may be missing, which nothing shows."
        )
    least = 3 if spec.stem == "cifar" else 4
    if not checkpoint.has_top and len(spec.repeats) < least:
        raise ValueError(
            f"`source` must hold a whole network, of {least} stages or with a classifier: this may "
            "be a part of one. If it is as it should be, give a `model` of as many stages. "
            f"Received: {len(spec.repeats)} stages and no classifier"
        )
    include_top = classes is not None
    if not include_top and classifier_activation != "softmax":
        raise ValueError(
            "`classifier_activation` needs a classifier, and `source` has none. Received: "
            f"classifier_activation={classifier_activation!r}"
        )
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
        name=name or _name_of(spec),
    )


def _name_of(spec):
    """Returns the name of the row that a spec is, but for what its arrays do not show."""
    fields = vars(spec).keys() - {"stride_on", "zero_pad"}
    rows = (
        name
        for name, row in VARIANTS.items()
        if all(getattr(row, field) == getattr(spec, field) for field in fields)
    )
    return next(rows, f"resnet{spec.depth}{'v2' * bool(spec.pre_activation)}")


def checked_classes(checkpoint, classes=None):
    """Returns the channels and classes of a checkpoint whose arrays are all there, or raises.

    Shapes can ask for any amount of memory in a few bytes: nothing is built of them before this.
    """
    if classes is None and checkpoint.has_top:
        classes = _source_classes(checkpoint)
    kernel = checkpoint.arrays[checkpoint.names[STEM_KERNEL]]
    channels = _our_layout(kernel, STEM_KERNEL, checkpoint.family).shape[2]
    spec = checkpoint.spec
    match(checkpoint, spec, make_plan(spec).variable_shapes(channels, classes))
    return channels, classes


def _source_classes(checkpoint):
    name = checkpoint.names["predictions/bias"]
    bias = checkpoint.arrays.get(name)
    if bias is None or bias.ndim != 1:
        raise ValueError(
            "`source` must hold the classifier's bias with its kernel. "
            f"Received: no {name!r} of rank 1"
        )
    return len(bias)


def load_checkpoint(model, checkpoint, preprocessing=None, usual=None):
    """Loads all of a checkpoint or nothing, and warns of what could not be taken over.

    Returns the `ConversionReport`.
    """
    spec = check_model(model, checkpoint.family)
    variables = {weight.path: weight for weight in model.weights}
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    values, notes = match(checkpoint, spec, shapes)
    family = checkpoint.family
    is_assumed = spec.shortcut == "A" or (
        spec.block == "bottleneck" and spec.stride_on == family.strides_on[0]
    )
    if family.assumption and is_assumed and preprocessing is None:
        notes.append(family.assumption)
    changed, origin = (*notes, *checkpoint.remarks), "as given"
    if preprocessing is None:
        usual, origin = _first_preprocessing(checkpoint, spec, usual, notes)
        # Of images of another number of channels it says nothing.
        if usual is not None and len(usual.mean) == shapes[STEM_KERNEL][2]:
            preprocessing = without_scaling(fit_preprocessing(usual, model), model)
    set_preprocessing(model, preprocessing)  # raises before anything is loaded
    for path, value in values:
        variables[path].assign(value)
    classifier = find_classifier(model)
    is_whole = classifier is not None and not any("begins anew" in note for note in changed)
    if is_whole and classifier.class_names is None:
        classifier.class_names = checkpoint.class_names
    for note in [*checkpoint.notes, *notes]:
        warn_user(f"{model.name}: {note}.")
    noted = model_preprocessing(model)
    return ConversionReport(
        family=checkpoint.family.name,
        spec=spec,
        entry=label_of(checkpoint.entry),
        other_entries=tuple(map(label_of, checkpoint.other_entries)),
        left_out=checkpoint.left_out,
        changed=changed,
        preprocessing=noted,
        preprocessing_source="of which nothing is known" if noted is None else origin,
    )


def _first_preprocessing(checkpoint, spec, usual, notes):
    """Returns the preprocessing that is known, and where it is from; `None` if none is."""
    family = checkpoint.family
    if usual is not None:
        return usual, "that of the preset"
    if checkpoint.preprocessing is not None:
        return checkpoint.preprocessing, "that of the configuration beside the file"
    if family.preprocessing is None:
        notes.append(
            "no preprocessing is noted, for the networks with these names had different ones; "
            "`set_preprocessing` notes what it was trained on"
        )
        return None, ""
    present = dict(vars(spec))
    bias = checkpoint.arrays.get(checkpoint.names["predictions/bias"])
    if bias is not None:
        present["classes"] = bias.size
    for field, values in family.published.items():
        if field in present and present[field] not in values:
            allowed = " or ".join(map(repr, values))
            notes.append(
                f"no preprocessing is noted, for {family.name}'s networks have {field}={allowed}, "
                f"this one {present[field]!r}; `set_preprocessing` notes what it was trained on"
            )
            return None, ""
    return family.preprocessing, f"that of the published networks of {family.name}"


def check_model(model, family: Family) -> ResNetSpec:
    """Returns the spec of a model of the zoo whose weights the family has names for."""
    spec = model_spec(model)
    family.check_spec(spec)
    present = {weight.path for weight in model.weights}
    known = family.names(spec, include_top="predictions/kernel" in present)
    differing = sorted(present ^ known.keys())
    if differing:
        raise ValueError(
            "`model` must have the layers of a model of this package and no others with "
            f"weights. Received: {model.name!r}, which differs in {differing[0]!r}"
        )
    return spec


def match(
    checkpoint: Checkpoint, spec: ResNetSpec, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Iterator[tuple[str, np.ndarray]], list[str]]:
    """Checks everything; returns a model's values, and notes of what is not taken over.

    The values are made one at a time, as they are asked for: all of them at once would take as much
    memory as the checkpoint and the model again.
    """
    names = checkpoint.family.names(spec, include_top="predictions/kernel" in shapes)
    notes: list[str] = []
    if _head_begins_anew(checkpoint, names, shapes):
        names = {path: name for path, name in names.items() if path not in HEAD_VARIABLES}
        classes = shapes["predictions/bias"][0]
        theirs = f"{_source_classes(checkpoint)}" if checkpoint.has_top else "none"
        notes.append(new_head_note(classes, theirs, "source"))
    biases = checkpoint.family.bias_names(spec)
    wanted = [
        (name, _wanted(checkpoint, name, path, shapes, notes), path, f"our {path!r}")
        for path, name in names.items()
    ]
    folded = {name: path for path, of_mean in biases.items() for name in of_mean}
    wanted += [(name, shapes[path], "", f"folded into {path!r}") for name, path in folded.items()]
    _check_arrays(checkpoint, wanted, _left_over(checkpoint, spec))
    # What the family's ε has more than ours goes to the variance: their sum is what counts.
    more = checkpoint.family.epsilon - BatchNormalization().epsilon
    values = (
        (path, _value(checkpoint, name, biases.get(path, ()), more, path, shapes[path]))
        for path, name in names.items()
    )
    return values, notes


def _wanted(checkpoint, name, path, shapes, notes):
    """Returns the shape that the array for a variable must have, in the file's order of axes."""
    wanted = shapes[path]
    array = checkpoint.arrays.get(name)
    if path == STEM_KERNEL and array is not None and array.ndim == 4:
        channels = _our_layout(array, path, checkpoint.family).shape[2]
        if channels not in (0, wanted[2]):
            notes.append(f"the stem's kernel was adapted from {channels} to {wanted[2]} channels")
            wanted = (*wanted[:2], channels, wanted[3])
    return _their_shape(wanted, path, checkpoint.family)


def _value(checkpoint, name, bias_names, more_epsilon, path, shape):
    """Returns the value for a variable, computed in double precision where it is not copied."""
    array = _our_layout(checkpoint.arrays[name], path, checkpoint.family)
    if path == STEM_KERNEL and array.shape != shape:
        array = adapt_channels(array.astype("float64"), shape[2])
    for bias_name in bias_names:  # BN(x + b) with the mean m is BN(x) with m - b
        array = array.astype("float64") - checkpoint.arrays[bias_name].astype("float64")
    if more_epsilon and path.endswith("/moving_variance"):
        array = array.astype("float64") + more_epsilon
    return array.astype("float32")


def _left_over(checkpoint, spec):
    """Returns the names that stand for nothing; a classifier may be left off with the top."""
    known = checkpoint.family.known(spec, include_top=True)
    return [shown(given) for name, given in checkpoint.given_names.items() if name not in known]


def _our_layout(array, path, family):
    """Returns an array of the family in our order of axes."""
    if not family.torch_layout or not path.endswith("/kernel"):
        return array
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _their_shape(shape, path, family):
    """Returns the shape of a variable of ours in the family's order of axes."""
    if not family.torch_layout or not path.endswith("/kernel"):
        return shape
    return (*shape[:1:-1], *shape[:2]) if len(shape) == 4 else shape[::-1]


def _head_begins_anew(checkpoint, names, shapes):
    """Whether the source has no classifier, or a whole one for another number of classes."""
    if "predictions/kernel" not in names:
        return False
    if not checkpoint.has_top:
        return True
    kernel, bias = (checkpoint.arrays.get(names[path]) for path in HEAD_VARIABLES)
    if kernel is None or bias is None or kernel.ndim != 2 or bias.ndim != 1:
        return False
    features, classes = shapes["predictions/kernel"]
    kernel = _our_layout(kernel, "predictions/kernel", checkpoint.family)
    return kernel.shape == (features, len(bias)) and len(bias) != classes


def _check_arrays(checkpoint, wanted, surplus):
    """Raises one error that lists all that is missing, left over, misshapen or unsound."""
    problems = []
    for name, shape, path, use in wanted:
        array = checkpoint.arrays.get(name)
        if array is None:
            problems.append(f"missing: {name!r}, {use}")
        elif found := _problem(array, shape, path):
            kind, text = found
            problems.append(f"{kind}: {shown(checkpoint.given_names[name])} {text}, {use}")
    problems += [f"surplus: {name}" for name in surplus[:MOST_SURPLUS]]
    if len(surplus) > MOST_SURPLUS:
        problems.append(f"surplus: {len(surplus) - MOST_SURPLUS} more, of layers that are not ours")
    if problems:
        raise ValueError(
            "`source` must hold exactly the arrays of the model, under the names of "
            + "\n  ".join([f"{checkpoint.family.name}, as finite numbers. Received:", *problems])
        )


def _problem(array, wanted, path):
    """Returns what is wrong with an array, its kind and in words; `None` if nothing is."""
    is_float = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    if array.shape != wanted or not is_float:
        return "misshapen", f"is {array.dtype} {array.shape}, must be float {wanted}"
    if not is_finite(array):
        return "unsound", "holds NaN or infinity"
    if path.endswith("/moving_variance") and array.min(initial=0) < 0:
        return "unsound", "holds a negative variance"
    return None
