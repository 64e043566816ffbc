"""What a spec means: every block and convolution of its network, as data.

The builder, the cost, other libraries' files and the benchmark's networks follow this plan.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_resnets.architecture.spec import OPTIONS, STEMS, ResNetSpec
from keras_resnets.layers import BasicBlock, BottleneckBlock
from keras_resnets.layers.residual_block import needs_projection

NORM = ("gamma", "beta", "moving_mean", "moving_variance")

BLOCKS = {"basic": BasicBlock, "bottleneck": BottleneckBlock}


class Convolution(NamedTuple):
    """A convolution and the normalization behind it.

    `layer` is the path of its `ConvNorm` in the network, in which `{stage}`, `{block}` and `{conv}`
    stand for the `counts`, from 1. `inputs` are 0 in the stem, where the image decides.
    """

    layer: str
    counts: dict[str, int]
    kernel_size: int
    inputs: int
    outputs: int
    strides: int = 1

    @property
    def path(self) -> str:
        """The layer's path in the network, such as `"stage1_block1/conv1"`."""
        return self.layer.format(**self.counts)


class Block(NamedTuple):
    """A residual block: its name, its other arguments, and its convolutions."""

    name: str
    arguments: dict[str, Any]
    branch: tuple[Convolution, ...]
    projection: Convolution | None


class Cost(NamedTuple):
    """What a network costs: trainable parameters, and multiply-adds for one image."""

    parameters: int
    macs: int


class Plan(NamedTuple):
    """A network from the stem to the last feature map."""

    stem: Convolution
    pool_stride: int
    stages: tuple[tuple[Block, ...], ...]

    @property
    def features(self) -> int:
        """Number of channels of the last feature map."""
        return self.stages[-1][-1].branch[-1].outputs

    def blocks(self) -> Iterator[Block]:
        """Yields all blocks in their order."""
        for stage in self.stages:
            yield from stage

    def convolutions(self) -> Iterator[Convolution]:
        """Yields all convolutions in the order of their weights."""
        yield self.stem
        for block in self.blocks():
            yield from block.branch
            if block.projection is not None:
                yield block.projection

    def variable_shapes(self, channels: int, classes: int | None) -> dict[str, tuple[int, ...]]:
        """Returns the path and the shape of each variable, in their order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self.convolutions():
            kernel = (layer.kernel_size, layer.kernel_size, layer.inputs or channels, layer.outputs)
            shapes[f"{layer.path}/conv/kernel"] = kernel
            shapes |= {f"{layer.path}/norm/{variable}": (layer.outputs,) for variable in NORM}
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
            sizes[f"{layer.path}/conv/kernel"] * size**2
            for layer, size in self._output_sizes(image_size)
        )
        return Cost(parameters, macs)

    def _output_sizes(self, size):
        """Yields each convolution with the height and width of its output."""
        size = _strided(size, self.stem.strides)
        yield self.stem, size
        size = _strided(size, self.pool_stride)
        for block in self.blocks():
            within = size
            for layer in block.branch:
                within = _strided(within, layer.strides)
                yield layer, within
            if block.projection is not None:
                yield block.projection, _strided(size, block.projection.strides)
            size = within


def make_plan(spec: ResNetSpec) -> Plan:
    """Returns the plan of a spec."""
    stem = STEMS[spec.stem]
    channels = spec.widths[0]
    stem_conv = Convolution("stem_conv", {}, stem.kernel_size, 0, channels, stem.conv_stride)
    stages = []
    for stage, arguments in enumerate(_arguments(spec), 1):
        blocks: list[Block] = []
        for number, of_block in enumerate(arguments, 1):
            blocks.append(_block(spec, stage, number, channels, of_block))
            channels = blocks[-1].branch[-1].outputs
        stages.append(tuple(blocks))
    return Plan(stem_conv, stem.pool_stride, tuple(stages))


def _block(spec, stage, number, channels, arguments):
    kind = BLOCKS[spec.block]
    at, counts = "stage{stage}_block{block}", {"stage": stage, "block": number}
    filters, strides = arguments["filters"], arguments["strides"]
    outputs = filters * kind.expansion
    strided = 0 if spec.stride_on == "1x1" else kind.kernel_sizes.index(3)
    branch: list[Convolution] = []
    for index, kernel_size in enumerate(kind.kernel_sizes):
        branch.append(
            Convolution(
                f"{at}/conv{{conv}}",
                {**counts, "conv": index + 1},
                kernel_size,
                branch[-1].outputs if branch else channels,
                outputs if index == len(kind.kernel_sizes) - 1 else filters,
                strides if index == strided else 1,
            )
        )
    projection = None
    if needs_projection(spec.shortcut, strides, channels, outputs):
        path = f"{at}/projection/conv_norm"
        projection = Convolution(path, counts, 1, channels, outputs, strides)
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
            blocks.append(
                {
                    **options,
                    "filters": filters,
                    "strides": stride if block == 1 else 1,
                    "dilation": dilation,
                    "first_dilation": dilation_before if keeps_dilation else dilation,
                    "drop_path_rate": spec.drop_path_rate * (built / sum(spec.repeats)),
                }
            )
        yield blocks
