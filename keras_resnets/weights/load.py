"""A model's `weights`: the one place that decides whose file a path is."""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_resnets.architecture.plan import BLOCKS, make_plan
from keras_resnets.architecture.spec import OPTIONS, STEMS, VARIANTS, ResNetSpec, family_of
from keras_resnets.files.archive import layer_entries, open_keras_file
from keras_resnets.files.elements import WeightsFileError, cause, shown
from keras_resnets.preprocessing.model import (
    SCALING_LAYERS,
    fit_preprocessing,
    leaves_values,
    scales_itself,
    set_preprocessing,
    stem_convolution,
    without_scaling,
)
from keras_resnets.preprocessing.predictions import find_classifier
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.weights.configuration import read_checkpoint
from keras_resnets.weights.convert import checked_classes, load_checkpoint, warn_user
from keras_resnets.weights.hub import hub_file, is_of_hub
from keras_resnets.weights.keras_files import (
    HEAD,
    STEM,
    OptionError,
    check_weights_path,
    errors_of_weights,
    load_weights,
    own_layers,
)
from keras_resnets.weights.presets import cached_file, find_preset
from keras_resnets.weights.recognition import Checkpoint
from keras_resnets.weights.sources import is_own_file


@dataclasses.dataclass(frozen=True)
class OpenedWeights:
    """Weights whose file was read as far as it decides what network to build."""

    spec: ResNetSpec
    load: Callable[[keras.Model], None]
    classes: int | None = None  # of the file's classifier, where it is known; 0 without one


def open_weights(weights, spec, name, free):
    """Returns the `OpenedWeights` for a network of the spec.

    The options that are `free` give way to those of the weights, with a warning when they load.
    """
    if is_of_hub(weights):
        weights = hub_file(weights)
    if isinstance(weights, str) and not (Path(weights).exists() or Path(weights).suffix):
        preset = find_preset(weights, spec)
        return OpenedWeights(spec, functools.partial(_load_preset, preset=preset))
    path = check_weights_path(weights)
    with errors_of_weights(name, path):
        is_own = is_own_file(path)
    if is_own:
        followed, classes = _options_in_file(path, spec, name, free)
        load = functools.partial(_load_file_of_keras, path=path)
    else:
        with errors_of_weights(name, path):
            checkpoint = read_checkpoint(path)
            followed = _fixed_options(checkpoint, spec, name, path, free)
            classes = checked_classes(checkpoint)[1] or 0
        load = functools.partial(_load_foreign_file, checkpoint=checkpoint, path=path)
    notes = [
        f"{name}: {option} is the file's, {value!r}, not {getattr(spec, option)!r}."
        for option, value in followed.items()
    ]
    load = functools.partial(_load, load=load, notes=notes)
    return OpenedWeights(dataclasses.replace(spec, **followed), load, classes)


def _load(model, load, notes):
    load(model)
    for note in notes:
        warn_user(note)


def _load_preset(model, preset):
    path = cached_file(preset)
    if path.suffix == ".keras":
        _load_file_of_keras(model, path)
    else:
        load_checkpoint(model, read_checkpoint(path), usual=preset.preprocessing)


def _load_file_of_keras(model, path):
    with errors_of_weights(model.name, path), open_keras_file(path) as file:
        notes = load_weights(model, file, adapts=True)
        configuration = file.configuration() or {}
        if STEM not in notes:  # of images of another number of channels the file says nothing
            _take_over_preprocessing(model, configuration)
        if HEAD not in notes:
            _take_over_class_names(model, configuration)
    for note in notes.values():
        warn_user(f"{model.name}: {note}.")


SCALING = {layer.__name__ for layer in SCALING_LAYERS}


def _take_over_preprocessing(model, configuration):
    """Makes a model carry what the file's network carries, unless it carries one already."""
    noted = [
        config["preprocessing"]
        for name, config in own_layers(configuration).items()
        if name.rpartition("/")[2] == "stem_conv" and config.get("preprocessing") is not None
    ]
    layers = layer_entries(configuration)
    scaling = [each for each in layers if str(each.get("class_name")) in SCALING]
    if scaling and not scales_itself(model):
        warn_user(
            f"{model.name}: the file's model scales its images itself, by the layer "
            f"{shown(scaling[0]['config'].get('name'))}, which this model lacks: note what it did "
            "with `set_preprocessing`."
        )
    if not noted or stem_convolution(model).preprocessing is not None:
        return
    try:
        preprocessing = Preprocessing.from_dict(noted[0])
    except (TypeError, ValueError, AttributeError) as error:
        reason = cause(error).replace(". Received:", ", not")
        raise WeightsFileError(
            f"A .keras file must note a preprocessing as this package does: {reason}."
        ) from error
    # Grey levels were scaled by layers of the file's model, which are not in this one.
    if not leaves_values(preprocessing):
        set_preprocessing(model, without_scaling(fit_preprocessing(preprocessing, model), model))


def _take_over_class_names(model, configuration):
    """Makes a model carry the class names of the file's classifier, unless it carries some."""
    classifier = find_classifier(model)
    config = own_layers(configuration).get(HEAD, {})
    if classifier is None or classifier.class_names is not None or "class_names" not in config:
        return
    try:
        classifier.class_names = config["class_names"]
    except (TypeError, ValueError) as error:
        raise WeightsFileError(
            f"A .keras file must note its class names as this package does: {cause(error)}."
        ) from error


# What a network is, where the other fields of a spec say how it computes.
STRUCTURE = (
    *("block", "repeats", "widths", "stem", "stem_width"),
    *("groups", "width_per_group", "pre_activation", "se_ratio"),
)
# Options of the blocks that a file may fix.
FIXED = [
    name
    for name, option in OPTIONS.items()
    if option.blocks and option.changes != "training" and name not in STRUCTURE
]


def _options_in_file(path, spec, name, free):
    """Returns the free options that a `.keras` file's network has otherwise, and its classes."""
    with errors_of_weights(name, path), open_keras_file(path) as file:
        layers = own_layers(file.configuration() or {})
        most_classes = file.size // spec.widths[-1]  # so that a forged number builds nothing vast
    classes = layers.get(HEAD, {}).get("units")
    if type(classes) is not int or not 0 < classes <= most_classes:
        classes = None
    kind = BLOCKS[spec.block].__name__
    blocks = [
        config for key, config in layers.items() if config["class"] == kind and "/" not in key
    ]
    followed: dict[str, Any] = {}
    present = _structure(layers)
    for option in STRUCTURE if present else ():
        in_file, wanted = getattr(present, option), getattr(spec, option)
        if in_file != wanted:
            opener = "keras.models.load_model"
            raise OptionError(name, path, option, in_file, wanted, opener, _networks(present))
    if len(blocks) != sum(spec.repeats):
        return followed, classes  # the first layer that differs is named when the file is loaded
    for option in FIXED:
        in_file = [config[option] for config in blocks if option in config]
        wanted = getattr(spec, option)
        # What is not a plain value is no option's, and nothing is built of it.
        kinds = (str, float, type(None)) if option == "anti_alias" else (str, float)
        is_one = all(type(value) in kinds and value == in_file[0] for value in in_file)
        if not in_file or not is_one or in_file[0] == wanted:
            continue
        if option not in free or wanted is None:
            raise OptionError(name, path, option, in_file[0], wanted, "keras.models.load_model")
        with contextlib.suppress(TypeError, ValueError):  # said when the file is loaded
            dataclasses.replace(spec, **followed, **{option: in_file[0]})
            followed[option] = in_file[0]
    return followed, classes


def _structure(layers):
    """Returns a spec of the structure that a `.keras` file's blocks have, or `None`."""
    blocks: dict[int, list] = {}
    for key, config in layers.items():
        if found := re.fullmatch(r"stage(\d)_block\d+", key):
            blocks.setdefault(int(found[1]), []).append(config)
    stages = [blocks[stage] for stage in sorted(blocks)]
    kinds = {config["class"] for stage in stages for config in stage}
    names = [name for name, kind in BLOCKS.items() if kinds == {kind.__name__}]
    convolutions = [name for name in layers if re.fullmatch(r"stem_conv\d?", name)]
    try:
        first: dict[str, Any] = stages[0][0]
        of_block = {name: first[name] for name in (*STRUCTURE, "anti_alias") if name in first}
        if "pre_activation" in of_block:
            is_of_keras = layers["stem_conv"].get("use_bias") is True
            of_block["pre_activation"] = "keras" if is_of_keras else bool(first["pre_activation"])
        return ResNetSpec(
            block=names[0],  # type: ignore[arg-type]  # of `BLOCKS`, which the spec checks
            repeats=tuple(map(len, stages)),
            widths=tuple(stage[0]["filters"] for stage in stages),
            stem=next(
                stem  # type: ignore[misc]  # a name in the table
                for stem, row in STEMS.items()
                if len(row.kernel_sizes) == len(convolutions)
                and (row.pool_stride > 1) == ("stem_pool" in layers)
            ),
            stem_width=layers[max(convolutions)]["filters"],
            shortcut=first["shortcut"],
            **of_block,
        )
    except (IndexError, KeyError, StopIteration, TypeError, ValueError):
        return None


def _networks(spec):
    """Returns the names of the networks that have the structure of a spec."""
    return [
        name
        for name, row in VARIANTS.items()
        if all(getattr(row, field) == getattr(spec, field) for field in STRUCTURE)
        and family_of(row) == family_of(spec)
    ]


def _fixed_options(checkpoint: Checkpoint, spec, name, path, free):
    """Returns the free options that a checkpoint, or its family, fixes otherwise."""
    fixed = [*STRUCTURE, *FIXED]
    is_open = len(checkpoint.family.strides_on) > 1 and "stride_on" not in free
    if checkpoint.spec.block != "bottleneck" or is_open:
        fixed.remove("stride_on")
    if checkpoint.spec.anti_alias is None and len(checkpoint.family.anti_alias) > 1:
        fixed.remove("anti_alias")  # which no array tells
    file_spec = checkpoint.spec
    if file_spec.se_ratio and spec.se_ratio:  # of several, which the arrays do not tell apart
        alike = dataclasses.replace(file_spec, se_ratio=spec.se_ratio)
        shapes = [make_plan(each).variable_shapes(3, None) for each in (alike, file_spec)]
        file_spec = alike if shapes[0] == shapes[1] else file_spec
    followed = {}
    for option in fixed:
        in_file, asked_for = getattr(file_spec, option), getattr(spec, option)
        if asked_for == in_file:
            continue
        if option in STRUCTURE or option not in free or None in (asked_for, in_file):
            opener = "keras_resnets.convert_weights"
            networks = _networks(checkpoint.spec) if option in STRUCTURE else []
            raise OptionError(name, path, option, in_file, asked_for, opener, networks)
        followed[option] = in_file
    return followed


def _load_foreign_file(model, checkpoint, path):
    with errors_of_weights(model.name, path):
        load_checkpoint(model, checkpoint)
