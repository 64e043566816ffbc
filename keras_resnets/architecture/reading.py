"""Reading an architecture off a model."""

import re
from typing import Any, Literal

import keras

from keras_resnets.architecture.copying import within_another_layer
from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.spec import BLOCKS, OPTIONS, STEMS, ResNetSpec
from keras_resnets.layers import ResidualBlock


def model_spec(model):
    """Returns the spec of a model of the zoo.

    It is read off the layers, so it also holds for a model that was saved and loaded, cloned, or
    built further upon, as long as the stem and the blocks keep their names.

    Args:
        model: A functional model made by this package.

    Returns:
        The `ResNetSpec` with which `build_model` gives the same network.

    Raises:
        ValueError: If the model's blocks are not those of one spec.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> keras_resnets.model_spec(keras_resnets.ResNet20()).repeats
    (3, 3, 3)
    """
    stages = stage_blocks(model)
    last = stages[-1][-1]
    names: list[Any] = [name for name, kind in BLOCKS.items() if type(last) is kind]
    if not names:
        raise ValueError(
            f"A spec describes blocks of {', '.join(kind.__name__ for kind in BLOCKS.values())}. "
            f"Received: a model with {type(last).__name__}"
        )
    stem = stem_name(model)
    stride = STEMS[stem].stride
    for blocks in stages:
        stride *= blocks[0].strides
    natural = STEMS[stem].stride * 2 ** (len(stages) - 1)
    if stride > natural:
        raise ValueError(
            "The blocks of `model` must be those of one spec, with a stride of 2 at the start of "
            f"each stage but the first. Received: {model.name!r} with an output stride of {stride}"
        )
    options = {
        name: getattr(last, name) for name, option in OPTIONS.items() if names[0] in option.blocks
    }
    spec = ResNetSpec(
        block=names[0],
        repeats=tuple(len(blocks) for blocks in stages),
        widths=tuple(blocks[0].filters for blocks in stages),
        stem=stem,
        output_stride=stride,
        **options,
    )
    _check_blocks(spec, stages)
    return spec


def stage_blocks(model):
    """Returns the blocks of each stage, from the input on, as a list of lists."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    stages = {}
    for layer in model.layers:
        match = re.fullmatch(r"stage(\d+)_block(\d+)", layer.name)
        if match and isinstance(layer, ResidualBlock):
            stages.setdefault(int(match[1]), {})[int(match[2])] = layer
    if not stages:
        raise ValueError(
            "`model` must have residual blocks named stage1_block1 and so on, as the models of "
            f"this package do. Received: model={model.name!r}"
            f"{within_another_layer(model, ResidualBlock)}"
        )
    return [[blocks[block] for block in sorted(blocks)] for _, blocks in sorted(stages.items())]


def stem_name(model) -> Literal["imagenet", "cifar"]:
    """Returns the name of a model's stem in `STEMS`."""
    return "imagenet" if any(layer.name == "stem_pool" for layer in model.layers) else "cifar"


def _check_blocks(spec, stages):
    """Raises unless every block is what the spec, read off the last one, makes of it."""
    for blocks, expected in zip(stages, make_plan(spec).stages, strict=True):
        for block, planned in zip(blocks, expected, strict=True):
            for name, value in planned.arguments.items():
                if name == "activation":
                    value = keras.activations.get(value)
                present = getattr(block, name, None)
                if type(block) is not BLOCKS[spec.block] or present != value:
                    raise ValueError(
                        "The blocks of `model` must be those of one spec. Received: "
                        f"{block.name!r}, a {type(block).__name__} with {name}={present!r}, where "
                        f"the last block asks for {value!r}"
                    )
