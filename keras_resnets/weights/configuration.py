"""The configuration beside a checkpoint: what its arrays do not tell.

transformers and timm write a `config.json` beside the weights, and transformers a
`preprocessor_config.json`.
"""

import contextlib
import dataclasses
import json
import math
import os
import re
import reprlib
from pathlib import Path
from typing import Any, Literal

from keras_resnets.architecture.spec import STEMS, VARIANTS
from keras_resnets.files.elements import cause, shown
from keras_resnets.files.read_arrays import file_in_folder
from keras_resnets.layers.classifier import check_class_names
from keras_resnets.preprocessing import Preprocessing
from keras_resnets.weights.families import HUGGING_FACE, TIMM_V2, TORCHVISION
from keras_resnets.weights.recognition import Checkpoint, recognize
from keras_resnets.weights.sources import NAME_ENTRY, source_arrays

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
MOST_BYTES = 2**20  # names for 1000 classes take 60 kB
# What every network here has. With another `hidden_act`, transformers gives it to the stem and the
# additions alone, and leaves ReLU within the blocks.
FIXED_OPTIONS = {"downsample_in_first_stage": False, "hidden_act": "relu"}
# The names of timm's networks that are this package's, and what they say of a network.
ARCHITECTURE = re.compile(
    r"(tv_)?(?P<wide>wide_)?(?P<se>se)?res(net|next)(?P<kind>rs|blur|aa|v2_)?"
    r"(?P<depth>\d+)(?P<stem>[cds])?(_(?P<groups>\d+)x(?P<width>\d+)d|_2)?(\.\w+)?"
)
ANTI_ALIAS: dict[str | None, Any] = {"blur": "blur", "aa": "average"}
# Arguments of its models that change nothing but the training, or show in the arrays.
HARMLESS = {
    *("num_classes", "in_chans", "pretrained", "drop_rate", "drop_path_rate", "drop_block_rate"),
    *("zero_init_last", "checkpoint_path", "features_only"),
}
DEFAULT_ARGUMENTS = (("global_pool", "avg"), ("output_stride", 32), ("act_layer", "relu"))
PIL_FILTERS: dict[int, Any] = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def read_checkpoint(source, entry=None) -> Checkpoint:
    """Returns the checkpoint of a source, with what the configurations beside its file say."""
    arrays = dict(source_arrays(source))
    named = str(arrays.pop(NAME_ENTRY, ""))
    checkpoint = recognize(arrays, entry)
    if not isinstance(source, (str, os.PathLike)):
        return _with_name(checkpoint, named)
    checkpoint = _with_name(checkpoint, named or Path(source).name)
    folder = file_in_folder(Path(source)).parent
    if checkpoint.family is HUGGING_FACE:
        config = _read(folder / CONFIG)
        if config.get("model_type") == "resnet":
            return _with_transformers(checkpoint, config, _read(folder / PREPROCESSOR))
    elif checkpoint.family in (TORCHVISION, TIMM_V2):
        try:
            config = _read(folder / CONFIG)
        except ValueError as error:  # it may be of another program
            remark = f"the {CONFIG} beside the file is not followed ({cause(error)})"
            return dataclasses.replace(checkpoint, remarks=(*checkpoint.remarks, remark))
        # Before timm 0.9.3 the fields of `pretrained_cfg` stood beside the architecture.
        is_timm = not {"pretrained_cfg", "num_classes", "input_size", "mean"}.isdisjoint(config)
        name = config.get("architecture")
        if is_timm and isinstance(name, str) and re.fullmatch(r"[a-z0-9_.]+", name):
            return _with_timm(checkpoint, config)
    return checkpoint


def _with_name(checkpoint, name):
    """Returns a checkpoint as a name says that no array tells: how it subsamples."""
    found = re.match(r"(?:[\w.:-]*/)?(?:se)?res(?:net|next)(blur|aa)\d", name)
    has_pool = STEMS[checkpoint.spec.stem].pool_stride > 1
    if not found or not has_pool or checkpoint.family is not TORCHVISION:
        return checkpoint
    how = ANTI_ALIAS[found[1]]
    assumed = (
        f"anti_alias={how!r} is assumed because of the name {shown(name)}: no array shows it. To "
        "load another network, pass a `model`"
    )
    spec = dataclasses.replace(checkpoint.spec, anti_alias=how)
    return dataclasses.replace(checkpoint, spec=spec, assumed=assumed)


def _with_transformers(checkpoint, config, processor):
    for option, value in FIXED_OPTIONS.items():
        if config.get(option, value) != value:
            raise ValueError(
                f"`source` must have {option}={value!r} in its {CONFIG}; nothing else is "
                f"supported. Received: {option}={reprlib.repr(config[option])}"
            )
    if checkpoint.spec.block == "bottleneck":
        in_bottleneck = config.get("downsample_in_bottleneck", False)
        stride_on: Literal["3x3", "1x1"] = "1x1" if in_bottleneck else "3x3"
        # A model that is given must have it, too: the family narrows to what this network is.
        checkpoint = dataclasses.replace(
            checkpoint,
            family=dataclasses.replace(checkpoint.family, strides_on=(stride_on,)),
            spec=dataclasses.replace(checkpoint.spec, stride_on=stride_on),
        )
    labels = config.get("id2label")
    if isinstance(labels, dict):
        labels = [labels.get(str(number)) for number in range(len(labels))]
    return _noting(checkpoint, labels, _transformers_preprocessing, processor)


def _transformers_preprocessing(processor):
    """Returns what the processor of transformers' ResNets does; raises if it is another."""
    kind = processor.get("image_processor_type", processor.get("feature_extractor_type"))
    if not str(kind).startswith("ConvNext"):
        raise ValueError(f"the processor is {shown(str(kind))}")
    size, share = processor["size"], processor.get("crop_pct", 224 / 256)
    size = size["shortest_edge"] if isinstance(size, dict) else size
    return Preprocessing(
        resize=size if size >= 384 else int(size / share),
        crop=size,
        interpolation=PIL_FILTERS[processor.get("resample", 3)],
        value_range=(0.0, 1.0),
        mean=tuple(processor["image_mean"]),
        std=tuple(processor["image_std"]),
    )


def _with_timm(checkpoint, config):
    name, arguments = config["architecture"], config.get("model_args") or {}
    found = checkpoint.spec
    match = ARCHITECTURE.fullmatch(name)
    if match is None or not _is_named(found, match.groupdict()):
        raise ValueError(
            f"`source` must be of a network of this package, and its {CONFIG} names another, which "
            "computes something else with arrays of these names. Received: "
            f"architecture={shown(name)}, and a network of {found.depth} layers"
        )
    for argument, value in arguments.items() if isinstance(arguments, dict) else ():
        if argument not in HARMLESS and (argument, value) not in DEFAULT_ARGUMENTS:
            raise ValueError(
                f"`source` must be of a network as timm makes it by default, for its {CONFIG} has "
                f"an argument that may change what it computes. If it does not, take it out there. "
                f"Received: model_args={{{argument!r}: {reprlib.repr(value)}}}"
            )
    how = ANTI_ALIAS.get(match["kind"])
    # A model that is given must have it, too: the family narrows to what this network is.
    checkpoint = dataclasses.replace(
        checkpoint,
        family=dataclasses.replace(checkpoint.family, anti_alias=(how,)),
        spec=dataclasses.replace(found, anti_alias=how),
        assumed="",
    )
    about = config.get("pretrained_cfg", config)
    about = about if isinstance(about, dict) else {}
    labels = about.get("label_names", config.get("label_names"))
    return _noting(checkpoint, labels, _timm_preprocessing, about)


def _is_named(spec, name):
    """Whether a network has what its name in timm says, as far as arrays show it."""
    row = VARIANTS.get(f"resnet{name['depth']}")
    is_rs = name["kind"] == "rs"
    stem = "deep" if name["stem"] else "imagenet"
    groups, width = int(name["groups"] or 1), int(name["width"] or (128 if name["wide"] else 64))
    expected = {
        "stem": "deep_strided" if is_rs else stem,
        "shortcut": "D" if is_rs or name["stem"] == "d" else "B",
        "pre_activation": name["kind"] == "v2_",
        "groups": groups,
        "width_per_group": width,
    }
    has_gates = bool(name["se"]) or is_rs
    is_as_deep = row is None or (row.block, row.repeats) == (spec.block, spec.repeats)
    return (
        is_as_deep
        and has_gates == (spec.se_ratio is not None)
        and all(getattr(spec, field) == value for field, value in expected.items())
    )


def _timm_preprocessing(about):
    """Returns what timm does to images at the size of the training; raises if it does not crop."""
    _, height, width = about["input_size"]
    if about.get("crop_mode", "center") != "center" or height != width:
        raise ValueError("the image is not cut to a square")
    return Preprocessing(
        resize=math.floor(height / about["crop_pct"]),
        crop=height,
        interpolation=about["interpolation"],
        value_range=(0.0, 1.0),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
    )


def _noting(checkpoint, labels, read_preprocessing, source):
    """Returns a checkpoint with class names and preprocessing, as far as they are sound."""
    noted: dict[str, Any] = {}
    try:
        if source:
            noted["preprocessing"] = read_preprocessing(source)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        noted["remarks"] = (
            *checkpoint.remarks,
            f"the preprocessing in the configuration cannot be followed ({cause(error)})",
        )
    bias = checkpoint.arrays.get(checkpoint.names["predictions/bias"])
    # ImageNet's are known with their ids; "LABEL_0" is what transformers writes without names.
    first = str(labels[0]) if isinstance(labels, list) and labels else "LABEL_0"
    is_imagenet = first.startswith("tench") and len(labels) == 1000
    if first != "LABEL_0" and not is_imagenet and bias is not None:
        with contextlib.suppress(TypeError, ValueError):  # then the classes have no names
            noted["class_names"] = check_class_names(labels, bias.size)
    return dataclasses.replace(checkpoint, **noted)


def _read(path):
    """Returns the object that a file holds, or an empty one where there is no file."""
    if not path.is_file():
        return {}
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        config = json.loads(text.decode())
        if not isinstance(config, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"The {path.name} beside `source` tells what no array does, and must be JSON ({error})."
            f" Received: {str(path)!r}"
        ) from error
    return config
