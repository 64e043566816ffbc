"""Which family a checkpoint is of, and which network."""

import dataclasses
import json
import mmap
import os
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_resnets.architecture.spec import ResNetSpec
from keras_resnets.files.archive import layer_entries, open_keras_file
from keras_resnets.files.elements import WeightsFileError, require, shown
from keras_resnets.files.read_arrays import flat_arrays, read_file
from keras_resnets.weights.families import (
    FAMILIES,
    HUGGING_FACE,
    KERAS_APPLICATIONS,
    Family,
    count_from_one,
)

FIRST_LAYER = KERAS_APPLICATIONS.layers["stem_conv/conv"]
# The group of a whole model's arrays in an old .h5 file, beside the optimizer's.
WHOLE_MODEL = "model_weights/"
# What Keras 3 only numbers in a file, in its order, by the class of the layer as its key has it.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "dense": ("kernel", "bias"),
}


def is_of_another_library(path):
    """Whether a readable file is of `keras.applications`, by the name of its first layer."""
    try:
        with open_keras_file(path) as file:
            configuration = file.configuration()
    except WeightsFileError:
        return False
    if configuration is not None:
        return any(
            layer["config"].get("name") == FIRST_LAYER for layer in layer_entries(configuration)
        )
    # HDF5 stores names as they are.
    with open(path, "rb") as file:
        if not os.path.getsize(path):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(FIRST_LAYER.encode()) >= 0


def source_arrays(source):
    """Returns the arrays of a source under its own names."""
    if isinstance(source, keras.Model):
        return _model_arrays(source)
    if isinstance(source, (str, os.PathLike)):
        return read_file(source, _named_arrays)
    if not isinstance(source, Mapping):
        raise TypeError(
            "`source` must be a path, a mapping from names to arrays, or a Keras model. "
            f"Received: source={type(source).__name__}"
        )
    return {name: _array(name, value) for name, value in source.items()}


def _named_arrays(root):
    """Returns the arrays in a file of Keras as the model itself names them.

    A convolution's kernel is `layers/conv2d/vars/0` in the file, numbered by class, with the
    layer's name as an attribute, and `conv1_conv/kernel` here. What lies deeper keeps its key.
    """
    if "layers" not in root.groups:
        arrays = flat_arrays(root)
        whole = {name: array for name, array in arrays.items() if name.startswith(WHOLE_MODEL)}
        return {name.removeprefix(WHOLE_MODEL): array for name, array in (whole or arrays).items()}
    named = {}
    for key, array in flat_arrays(root.groups["layers"]).items():
        name = key
        if found := re.fullmatch(r"(([^/]+?)(?:_\d+)?)/vars/(\d)", key):
            layer, of_class, number = found.groups()
            layer_name = root.groups["layers"].groups[layer].groups["vars"].name
            require(
                layer_name is not None,
                "The file must name its layers, which older versions of Keras did not: load it "
                "with the library that it comes from, and give the model.",
            )
            variables = VARIABLES.get(of_class, ())
            variable = variables[int(number)] if int(number) < len(variables) else number
            name = f"{layer_name}/{variable}"
        require(name not in named, f"The file must hold each array once, not {shown(name)} twice.")
        named[name] = array
    return named


def _model_arrays(model):
    arrays = {}
    for weight in model.weights:
        if weight.path in arrays:  # two networks in one model may have the same layers' names
            raise ValueError(
                "`source` must have a path of its own for each weight. "
                f"Received: {weight.path!r} twice in {model.name!r}"
            )
        arrays[weight.path] = keras.ops.convert_to_numpy(weight)
    return arrays


def _array(name, value):
    if not isinstance(name, str):
        raise TypeError(f"The names in `source` must be strings. Received: {name!r}")
    try:
        array = np.asarray(_without_torch(value))
    except (TypeError, ValueError, RuntimeError):  # torch's, of a tensor without plain numbers
        array = np.asarray(None)
    if array.dtype.kind in "OSU":
        raise TypeError(
            f"`source` must map names to arrays. Received: {name!r}: {type(value).__name__}"
        )
    return array


def _without_torch(value):
    """Returns what NumPy can take of a torch tensor: on the CPU, without gradient or bfloat16."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    # NumPy knows no bfloat16; torch's type is told by its name, for torch need not be here.
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor


# ResNet-1202, the deepest that was published, has 600. Keras builds a model by a call within a call
# for each, of which Python allows 1000.
MOST_BLOCKS = 700


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Arrays under their family's names, and the network that they were recognized as."""

    family: Family
    spec: ResNetSpec  # with the family's default for what no array tells
    arrays: Mapping[str, np.ndarray]
    given_names: Mapping[str, str]  # for these names, those in the source
    has_top: bool

    @property
    def names(self) -> dict[str, str]:
        """The family's names of all our variables, the classifier's included."""
        return self.family.names(self.spec, include_top=True)


def read_checkpoint(source) -> Checkpoint:
    """Returns the checkpoint of a source, with what a configuration beside its file says."""
    checkpoint = recognize(source_arrays(source))
    if checkpoint.family is HUGGING_FACE and isinstance(source, (str, os.PathLike)):
        return _follow_config(checkpoint, Path(source).parent)
    return checkpoint


def recognize(arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    """Returns the checkpoint that the most arrays' names, and shapes, speak for."""
    candidates = [checkpoint for family in FAMILIES if (checkpoint := _read(family, arrays))]
    if not candidates:
        some = ", ".join(shown(name) for name in list(arrays)[:5]) or "no arrays"
        raise ValueError(
            "`source` must hold a residual network of one of the families "
            f"{', '.join(family.name for family in FAMILIES)}; what a model of this package saved "
            f"belongs in its factory's `weights`. Received: {some}"
            f"{', …' if len(arrays) > 5 else ''}"
        )
    checkpoint = max(candidates, key=_agreement)
    _check_stem(checkpoint)
    return checkpoint


def _check_stem(checkpoint):
    """Hugging Face's `embedding_size` allows for what would be misshapen in layer after layer."""
    family, width = checkpoint.family, checkpoint.spec.widths[0]
    name = family.names(checkpoint.spec, include_top=False)["stem_conv/conv/kernel"]
    filters = checkpoint.arrays[name].shape[0 if family.torch_layout else 3]
    if filters != width:
        raise ValueError(
            "`source` must hold a network whose stem has as many filters as the blocks of its "
            "first stage are wide. "
            f"Received: a stem of {filters}, blocks of {width}"
        )


def _agreement(checkpoint):
    """Returns how many names are as the family has them, less those that differ."""
    expected = checkpoint.family.names(checkpoint.spec, checkpoint.has_top).values()
    return len(expected & checkpoint.arrays.keys()) - len(expected - checkpoint.arrays.keys())


def _read(family: Family, arrays) -> Checkpoint | None:
    """Returns what the arrays are if they are the family's, or `None` if not even the stem is."""
    given_names: dict[str, str] = {}
    doubled: tuple[str, ...] = ()
    for name in arrays:
        canonical = family.canonical(name)
        if canonical in given_names:
            doubled = doubled or (given_names[canonical], name)
        given_names[canonical] = name
    canonical_arrays = {name: arrays[given] for name, given in given_names.items()}
    spec = _read_spec(family, {name: array.shape for name, array in canonical_arrays.items()})
    if spec is None:
        return None
    if doubled:
        raise ValueError(
            "`source` must hold each array once. "
            f"Received: {shown(doubled[0])} and {shown(doubled[1])}"
        )
    head = family.layers["predictions"] + family.separator
    has_top = any(name.startswith(head) for name in canonical_arrays)
    return Checkpoint(family, spec, canonical_arrays, given_names, has_top)


def _read_spec(family, shapes) -> ResNetSpec | None:
    def find(template, **counts):
        """Returns the shape of a convolution's kernel as (height, width, in, out), or `None`."""
        name = family.layers[template].format(**count_from_one(**counts))
        shape = shapes.get(f"{name}{family.separator}{family.variables['conv']['kernel']}", ())
        if len(shape) != 4:
            return None
        return shape[2:] + shape[1::-1] if family.torch_layout else shape

    kernel = "stage{stage}_block{block}/conv{conv}/conv"
    projection = "stage{stage}_block{block}/projection/conv_norm/conv"
    stem = find("stem_conv/conv")
    if stem is None:
        return None
    repeats: list[int] = []
    widths: list[int] = []
    while first := find(kernel, stage=len(repeats) + 1, block=1, conv=1):
        stage, blocks = len(repeats) + 1, 1
        while find(kernel, stage=stage, block=blocks + 1, conv=1):
            blocks += 1
        repeats.append(blocks)
        widths.append(first[3])
    if not repeats:
        return None
    if sum(repeats) > MOST_BLOCKS:
        raise ValueError(
            f"`source` must hold a network of at most {MOST_BLOCKS:,} blocks. "
            f"Received: {sum(repeats):,}"
        )
    options: dict[str, Any] = {"shortcut": family.shortcuts[0]}
    if options["shortcut"] == "A":
        if any(find(projection, stage=stage + 1, block=1) for stage in range(len(repeats))):
            options["shortcut"] = "B"
        else:
            options["zero_pad"] = "both"
    is_bottleneck = find(kernel, stage=1, block=1, conv=3) is not None
    if is_bottleneck:
        options["stride_on"] = family.strides_on[0]
    return ResNetSpec(
        block="bottleneck" if is_bottleneck else "basic",
        repeats=tuple(repeats),
        widths=tuple(widths),
        stem="imagenet" if stem[0] == 7 else "cifar",
        **options,
    )


CONFIG = "config.json"
MOST_BYTES_OF_CONFIG = 2**20  # names for 1000 classes take 60 kB
# What every network here has. With another `hidden_act`, transformers gives it to the stem and the
# additions alone, and leaves ReLU within the blocks.
FIXED_CONFIG = {"downsample_in_first_stage": False, "hidden_act": "relu"}


def _follow_config(checkpoint, folder):
    """Returns a checkpoint with the stride in the `config.json` of its folder, if there is one."""
    config = _read_config(folder)
    if config.get("model_type") != "resnet":
        return checkpoint
    for option, value in FIXED_CONFIG.items():
        if config.get(option, value) != value:
            raise ValueError(
                f"`source` must have {option}={value!r} in its {CONFIG}; nothing else is "
                f"supported. Received: {option}={reprlib.repr(config[option])}"
            )
    if checkpoint.spec.block != "bottleneck":
        return checkpoint
    in_bottleneck = config.get("downsample_in_bottleneck", False)
    stride_on: Literal["3x3", "1x1"] = "1x1" if in_bottleneck else "3x3"
    # A model that is given must have it, too: the family narrows to what this network is.
    return dataclasses.replace(
        checkpoint,
        family=dataclasses.replace(checkpoint.family, strides_on=(stride_on,)),
        spec=dataclasses.replace(checkpoint.spec, stride_on=stride_on),
    )


def _read_config(folder):
    """Returns the object that the file holds, or an empty one where there is no file."""
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES_OF_CONFIG + 1)
        if len(text) > MOST_BYTES_OF_CONFIG:
            raise ValueError(f"it has more than {MOST_BYTES_OF_CONFIG:,} bytes")
        config = json.loads(text)
        if not isinstance(config, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"The {CONFIG} beside `source` tells what no array does, and must be JSON ({error}). "
            f"Received: {str(path)!r}"
        ) from error
    return config
