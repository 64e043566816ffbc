"""Reading an architecture, and its feature maps, off a model."""

import itertools
import math
import re
from typing import Any

import keras

from keras_resnets.architecture.copying import within_another_layer
from keras_resnets.architecture.plan import BLOCKS, make_plan, stem_layer
from keras_resnets.architecture.spec import OPTIONS, STEMS, ResNetSpec
from keras_resnets.layers import ResidualBlock


def model_spec(model):
    """Returns the spec of a model of the zoo.

    It is read off the layers, so that it works for a saved, cloned or extended model, too.

    Args:
        model: A functional model whose stem and blocks have the names of this package.

    Returns:
        The `ResNetSpec` with which `build_model` gives the same network.

    Raises:
        ValueError, TypeError: If the blocks of `model` are not those of one spec.

    Example:

    >>> keras_resnets.model_spec(keras_resnets.ResNet20()).repeats
    (3, 3, 3)
    """
    stages = stage_blocks(model)
    last = stages[-1][-1]
    block: Any = next((name for name, kind in BLOCKS.items() if type(last) is kind), None)
    if block is None:
        raise ValueError(
            f"A spec describes blocks of {', '.join(kind.__name__ for kind in BLOCKS.values())}. "
            f"Received: a model with {type(last).__name__}"
        )
    stem, stem_width = read_stem(model, last.pre_activation)
    is_of_keras = last.pre_activation and model.get_layer("stem_conv").use_bias
    pre_activation: Any = "keras" if is_of_keras else bool(last.pre_activation)
    stride = STEMS[stem].stride * math.prod(block.strides for stage in stages for block in stage)
    if stride > STEMS[stem].stride * 2 ** (len(stages) - 1):
        raise ValueError(
            "The blocks of `model` must be those of one spec, with a stride of 2 at the start of "
            f"each stage but the first, or before it. Received: {model.name!r} with an output "
            f"stride of {stride}"
        )
    spec = ResNetSpec(
        block=block,
        repeats=tuple(len(blocks) for blocks in stages),
        widths=tuple(blocks[0].filters for blocks in stages),
        stem=stem,
        output_stride=stride,
        stem_width=stem_width,
        **{name: getattr(last, name) for name, each in OPTIONS.items() if block in each.blocks}
        | {"pre_activation": pre_activation},
    )
    _check_blocks(spec, stages)
    return spec


def feature_extractor(model):
    """Returns a model with the same layers and weights that outputs every stage's feature map.

    `feature_strides` gives the strides of the maps under the same names. With `pre_activation`, the
    last one is normalized and activated, as before the head; the others are sums as they pass on.

    Args:
        model: A functional model of the zoo, with or without its top.

    Returns:
        A `keras.Model` whose output is `{"stage1": feature map, …}`.

    Raises:
        ValueError, TypeError: If `model` is not of this package.

    Example:

    >>> extractor = keras_resnets.feature_extractor(keras_resnets.ResNet20())
    >>> {stage: tuple(x.shape[1:]) for stage, x in extractor.output.items()}
    {'stage1': (32, 32, 16), 'stage2': (16, 16, 32), 'stage3': (8, 8, 64)}
    """
    model_spec(model)  # raises unless the blocks are those of one network
    return keras.Model(model.input, stage_outputs(model), name=f"{model.name}_features")


def stage_outputs(model):
    """Returns the last feature map of each stage, by the stage's name."""
    stages = stage_blocks(model)
    outputs = {f"stage{number}": blocks[-1].output for number, blocks in enumerate(stages, 1)}
    return outputs | {f"stage{len(stages)}": backbone_output(model)}


def backbone_output(model):
    """Returns the last feature map below the head, activated if the blocks are pre-activated."""
    last = stage_blocks(model)[-1][-1]
    ends = [layer for layer in model.layers if layer.name == "post_activation"]
    return ends[0].output if last.pre_activation and ends else last.output


def feature_strides(model):
    """Returns the stride of each stage's feature map in input pixels.

    Args:
        model: A functional model of the zoo, or its feature extractor.

    Returns:
        `{"stage1": stride, …}`, with the names of the feature extractor's outputs.

    Raises:
        ValueError, TypeError: If `model` is not of this package.

    Example:

    >>> keras_resnets.feature_strides(keras_resnets.ResNet20())
    {'stage1': 1, 'stage2': 2, 'stage3': 4}
    >>> keras_resnets.feature_strides(keras_resnets.ResNet18(output_stride=16))
    {'stage1': 4, 'stage2': 8, 'stage3': 16, 'stage4': 16}
    """
    strides = [STEMS[model_spec(model).stem].stride]
    for blocks in stage_blocks(model):
        strides.append(strides[-1] * math.prod(block.strides for block in blocks))
    return {f"stage{number}": stride for number, stride in enumerate(strides) if number}


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


def stem_name(model) -> Any:
    """Returns the name of a model's stem in `STEMS`."""
    return read_stem(model)[0]


def read_stem(model, pre_activation=None):
    """Returns the name of a model's stem, and its filters; raises if it does not fit the blocks."""
    layers = {layer.name: layer for layer in model.layers if isinstance(layer, keras.Layer)}
    names = itertools.takewhile(
        layers.__contains__, (stem_layer("conv", n) for n in itertools.count(1))
    )
    convolutions = [layers[name] for name in names]
    kernel_sizes = tuple(layer.kernel_size[0] for layer in convolutions)
    has_pool = "stem_pool" in layers
    if pre_activation is not None and convolutions:
        is_activated = convolutions[-1].normalize
        if is_activated == bool(pre_activation):
            raise ValueError(
                "The stem of `model` must be activated, or its blocks pre-activated, and not both. "
                f"Received: {model.name!r} with pre_activation={pre_activation!r} in its blocks "
                f"and normalize={is_activated} in {convolutions[-1].name!r}"
            )
    for name, stem in STEMS.items():
        if stem.kernel_sizes == kernel_sizes and has_pool == (stem.pool_stride > 1):
            return name, convolutions[-1].filters
    raise ValueError(
        f"`model` must have one of the stems {', '.join(STEMS)}. Received: {model.name!r} with "
        f"{', '.join(layer.name for layer in convolutions) or 'no layer named stem_conv'}"
    )


def _check_blocks(spec, stages):
    """Raises unless every block is as the spec, read off the last one, plans it."""
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
