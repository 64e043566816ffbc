"""What a spec means: every block and every layer with weights of its network, as data.

The builder, the cost, other libraries' files and the benchmark's networks follow this plan.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_resnets.architecture.spec import OPTIONS, STEMS, ResNetSpec
from keras_resnets.arguments import bottleneck_width
from keras_resnets.layers import BasicBlock, BottleneckBlock
from keras_resnets.layers.residual_block import needs_projection
from keras_resnets.layers.squeeze_excitation import inner_channels

NORM = ("gamma", "beta", "moving_mean", "moving_variance")

BLOCKS = {"basic": BasicBlock, "bottleneck": BottleneckBlock}


class Weighted(NamedTuple):
    """A layer of a network that has weights.

    `layer` is its path in the network, in which `{stage}`, `{block}` and `{conv}` stand for the
    `counts`, from 1. `kind` says which variables it has: `"conv"` a kernel, `"biased"` a bias, too,
    and so `"gate"`, a convolution of the means of a map; `"norm"` has those of `NORM`. `inputs` are
    0 where the image decides.
    """

    layer: str
    counts: dict[str, int]
    kind: str
    outputs: int
    kernel_size: int = 1
    inputs: int = 0
    strides: int = 1
    groups: int = 1

    @property
    def path(self) -> str:
        """The layer's path in the network, such as `"stage1_block1/conv1/conv"`."""
        return self.layer.format(**self.counts)

    def shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape of each variable, for images of so many channels."""
        if self.kind == "norm":
            return dict.fromkeys(NORM, (self.outputs,))
        inputs = (self.inputs or channels) // self.groups
        kernel = (self.kernel_size, self.kernel_size, inputs, self.outputs)
        return {"kernel": kernel} | ({"bias": (self.outputs,)} if self.kind != "conv" else {})


class Block(NamedTuple):
    """A residual block: its name, its other arguments, and its layers with weights."""

    name: str
    arguments: dict[str, Any]
    branch: tuple[Weighted, ...]
    projection: tuple[Weighted, ...]

    @property
    def outputs(self) -> int:
        """Number of channels of the block's output."""
        return self.branch[-1].outputs


class Cost(NamedTuple):
    """What a network costs: trainable parameters, and multiply-adds for one image."""

    parameters: int
    macs: int


class Plan(NamedTuple):
    """A network from the stem to the last feature map."""

    stem: tuple[Weighted, ...]
    pool_stride: int
    stages: tuple[tuple[Block, ...], ...]
    end: tuple[Weighted, ...]

    @property
    def features(self) -> int:
        """Number of channels of the last feature map."""
        return self.stages[-1][-1].outputs

    def blocks(self) -> Iterator[Block]:
        """Yields all blocks in their order."""
        for stage in self.stages:
            yield from stage

    def layers(self) -> Iterator[Weighted]:
        """Yields all layers with weights below the head, in the order of their weights."""
        yield from self.stem
        for block in self.blocks():
            yield from block.branch
            yield from block.projection
        yield from self.end

    def variable_shapes(self, channels: int, classes: int | None) -> dict[str, tuple[int, ...]]:
        """Returns the path and the shape of each variable, in their order."""
        shapes = {
            f"{layer.path}/{variable}": shape
            for layer in self.layers()
            for variable, shape in layer.shapes(channels).items()
        }
        if classes is not None:
            shapes["predictions/kernel"] = (self.features, classes)
            shapes["predictions/bias"] = (classes,)
        return shapes

    def cost(self, image_size: int, channels: int, classes: int) -> Cost:
        """Returns what the network costs, without building it: ResNet-1202 would take a minute."""
        shapes = self.variable_shapes(channels, classes)
        sizes = {path: math.prod(shape) for path, shape in shapes.items()}
        parameters = sum(size for path, size in sizes.items() if "/moving_" not in path)
        macs = sizes["predictions/kernel"] + sum(
            math.prod(layer.shapes(channels)["kernel"]) * size**2
            for layer, size in self._output_sizes(image_size)
            if layer.kind != "norm"
        )
        return Cost(parameters, macs)

    def _output_sizes(self, size):
        """Yields each layer with the height and width of its output."""
        for layer in self.stem:
            size = _strided(size, layer.strides)
            yield layer, size
        size = _strided(size, self.pool_stride)
        for block in self.blocks():
            # With `anti_alias`, what subsamples stands behind the convolution.
            is_late, within = block.arguments["anti_alias"] is not None, size
            for layer in block.branch:
                strided = _strided(within, layer.strides)
                yield layer, 1 if layer.kind == "gate" else within if is_late else strided
                within = strided
            for layer in block.projection:
                yield layer, within
            size = within


def make_plan(spec: ResNetSpec) -> Plan:
    """Returns the plan of a spec."""
    stem = STEMS[spec.stem]
    layers: list[Weighted] = []
    inputs = 0
    rows = zip(stem.filters(spec.stem_filters), stem.kernel_sizes, stem.strides, strict=True)
    for number, (filters, kernel_size, strides) in enumerate(rows, 1):
        is_last = number == len(stem.kernel_sizes)
        name = stem_layer("conv", number)
        has_norm = not (spec.pre_activation and is_last)
        layers += _conv_norm(name, {}, filters, kernel_size, inputs, strides, has_norm=has_norm)
        inputs = filters
    stages = []
    for stage, arguments in enumerate(_arguments(spec), 1):
        blocks: list[Block] = []
        for number, of_block in enumerate(arguments, 1):
            blocks.append(_block(spec, stage, number, inputs, of_block))
            inputs = blocks[-1].outputs
        stages.append(tuple(blocks))
    if spec.pre_activation == "keras":
        layers[-1] = layers[-1]._replace(kind="biased")
    end = (Weighted("post_norm", {}, "norm", inputs),) if spec.pre_activation else ()
    return Plan(tuple(layers), stem.pool_stride, tuple(stages), end)


def stem_layer(kind: str, number: int) -> str:
    """Returns the name of a stem's layer: the first has no number."""
    return f"stem_{kind}{number if number > 1 else ''}"


def _conv_norm(layer, counts, outputs, kernel_size, inputs, strides=1, groups=1, has_norm=True):
    """Returns a convolution, and the normalization behind it if it has one."""
    conv = Weighted(f"{layer}/conv", counts, "conv", outputs, kernel_size, inputs, strides, groups)
    return (conv, *((Weighted(f"{layer}/norm", counts, "norm", outputs),) if has_norm else ()))


def _block(spec, stage, number, channels, arguments):
    kind = BLOCKS[spec.block]
    at, counts = "stage{stage}_block{block}", {"stage": stage, "block": number}
    filters, strides = arguments["filters"], arguments["strides"]
    outputs = filters * kind.expansion
    width = filters
    if spec.block == "bottleneck":
        width = bottleneck_width(filters, spec.groups, spec.width_per_group)
    strided = 0 if spec.stride_on == "1x1" else kind.kernel_sizes.index(3)
    branch: list[Weighted] = []
    if spec.pre_activation:
        branch.append(Weighted(f"{at}/start_norm", counts, "norm", channels))
    inputs = channels
    for index, kernel_size in enumerate(kind.kernel_sizes):
        is_last = index == len(kind.kernel_sizes) - 1
        branch += _conv_norm(
            f"{at}/conv{{conv}}",
            {**counts, "conv": index + 1},
            outputs if is_last else width,
            kernel_size,
            inputs,
            strides if index == strided else 1,
            spec.groups if kernel_size == 3 else 1,
            has_norm=not (is_last and spec.pre_activation),
        )
        inputs = branch[-1].outputs
    if spec.se_ratio is not None:
        inner = inner_channels(outputs, spec.se_ratio)
        gate = f"{at}/excitation"
        branch.append(Weighted(f"{gate}/reduce", counts, "gate", inner, inputs=outputs))
        branch.append(Weighted(f"{gate}/expand", counts, "gate", outputs, inputs=inner))
    projection: tuple[Weighted, ...] = ()
    if needs_projection(arguments["shortcut"], strides, channels, outputs):
        path, has_norm = f"{at}/projection/conv_norm", not spec.pre_activation
        projection = _conv_norm(path, counts, outputs, 1, channels, strides, has_norm=has_norm)
    return Block(at.format(**counts), arguments, tuple(branch), projection)


def _strided(size, stride):
    return -(-size // stride)


def _arguments(spec):
    """Yields the arguments of each stage's blocks, with strides, dilations and drop rates."""
    options = {
        name: getattr(spec, name) for name, option in OPTIONS.items() if spec.block in option.blocks
    }
    stride_left = (spec.output_stride or spec.natural_stride) // STEMS[spec.stem].stride
    dilation = 1
    built = 0
    for stage, (repeats, filters) in enumerate(zip(spec.repeats, spec.widths, strict=True), 1):
        stride, dilation_before = (1 if stage == 1 else 2), dilation
        if stride > stride_left:
            dilation *= stride
            stride = 1
        stride_left //= stride

        blocks = []
        for block in range(1, repeats + 1):
            built += 1
            # The convolution that lost its stride reads the stage before; a 1×1 does not dilate.
            keeps_dilation = block == 1 and spec.stride_on == "3x3"
            arguments = {
                **options,
                "filters": filters,
                "strides": stride if block == 1 else 1,
                "dilation": dilation,
                "first_dilation": dilation_before if keeps_dilation else dilation,
                "drop_path_rate": spec.drop_path_rate * (built / sum(spec.repeats)),
            }
            follows_a_convolution = built == 1 and STEMS[spec.stem].pool_stride == 1
            if spec.pre_activation and spec.shortcut and follows_a_convolution:
                arguments["pre_activation"] = "both"
            if spec.pre_activation == "keras":
                _stride_last(arguments, stage, block, spec)
            blocks.append(arguments)
        yield blocks


def _stride_last(arguments, stage, block, spec):
    """Moves a stage's stride to the last block of the stage before, as keras.applications has it.

    There, the identity is subsampled.
    """
    strides = 2 if block == spec.repeats[stage - 1] and stage < len(spec.repeats) else 1
    arguments |= {"pre_activation": True, "strides": strides}
    if strides > 1 and block > 1 and spec.shortcut:
        arguments["shortcut"] = "A"
