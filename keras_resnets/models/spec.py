"""An architecture's numbers, as data."""

import dataclasses
import json
from typing import Any, Literal

from keras_resnets.arguments import (
    check_activation,
    check_bool,
    check_choice,
    check_positive_int,
    check_rate,
    nearest,
    serialize_activation,
)
from keras_resnets.layers import BasicBlock, BottleneckBlock
from keras_resnets.layers.residual_block import SHORTCUTS, check_shortcut_options

BLOCKS = {"basic": BasicBlock, "bottleneck": BottleneckBlock}
CONVOLUTIONS = {"basic": 2, "bottleneck": 3}  # in a block's branch
STEM_STRIDES = {"imagenet": 4, "cifar": 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """All that distinguishes one residual (or plain) network from another, but its head.

    A spec is immutable, checks itself, compares by value, and goes through JSON and back.
    `dataclasses.replace(spec, shortcut="A")` varies it; `build_model` makes the model.

    Args:
        block: `"basic"` (two 3×3 convolutions) or `"bottleneck"` (1×1, 3×3, 1×1).
        repeats: Number of blocks in each stage.
        widths: Filters of the blocks in each stage. A bottleneck puts out four times as many
            channels. The stem has as many filters as the first stage.
        stem: `"imagenet"` (7×7 convolution with stride 2, max pooling with stride 2) or `"cifar"`
            (3×3 convolution with stride 1).
        shortcut: `"A"`, `"B"`, `"C"`, or `None` for a plain network; see
            `keras_resnets.layers.ResidualBlock`.
        zero_pad: Where option A puts its zero channels, `"end"` or `"both"`.
        stride_on: The bottleneck's convolution that carries the stride, `"3x3"` or `"1x1"`.
        activation: Name of a function in `keras.activations`.
        zero_init_residual: Whether the last γ of each branch begins at 0.
        drop_path_rate: Probability in [0, 1) of skipping the last block's branch. It grows
            linearly with depth: block l of L has `drop_path_rate * l / L`.
        output_stride: Input size over the size of the last feature map. `None` is the natural one,
            32 with the ImageNet stem and four stages; half and a quarter of it are reached by
            dilating the last stages.

    Raises:
        ValueError: If a value is not allowed, or contradicts or has no effect beside another.
        TypeError: If a value is of another type.

    Example:

    >>> spec = keras_resnets.ResNetSpec(block="basic", repeats=(3, 4, 6, 3))
    >>> spec.depth, spec.natural_stride
    (34, 32)
    >>> keras_resnets.ResNetSpec.from_json(spec.to_json()) == spec
    True
    """

    block: Literal["basic", "bottleneck"]
    repeats: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: Literal["imagenet", "cifar"] = "imagenet"
    shortcut: Literal["A", "B", "C"] | None = "B"
    zero_pad: Literal["end", "both"] = "end"
    stride_on: Literal["3x3", "1x1"] = "3x3"
    activation: str = "relu"
    zero_init_residual: bool = False
    drop_path_rate: float = 0.0
    output_stride: int | None = None

    def __post_init__(self):
        check_choice("block", self.block, BLOCKS)
        self._set("repeats", _positive_ints("repeats", self.repeats))
        self._set("widths", _positive_ints("widths", self.widths))
        if len(self.repeats) != len(self.widths):
            raise ValueError(
                "`repeats` and `widths` must have one entry a stage. "
                f"Received: repeats={self.repeats}, widths={self.widths}"
            )
        check_choice("stem", self.stem, STEM_STRIDES)
        check_choice("shortcut", self.shortcut, SHORTCUTS)
        if self.shortcut == "A" and sorted(self.widths) != list(self.widths):
            raise ValueError(
                "`shortcut='A'` can add channels but not remove any: no stage may be narrower than "
                f"the one before. Received: shortcut='A', widths={self.widths}"
            )
        check_choice("zero_pad", self.zero_pad, ("end", "both"))
        check_choice("stride_on", self.stride_on, ("3x3", "1x1"))
        if self.stride_on == "1x1" and self.block != "bottleneck":
            raise ValueError(
                "`stride_on='1x1'` belongs to block='bottleneck': a basic block has only 3×3 "
                f"convolutions. Received: stride_on='1x1', block={self.block!r}"
            )
        self._set("activation", _activation_name(self.activation))
        check_bool("zero_init_residual", self.zero_init_residual)
        self._set("drop_path_rate", check_rate("drop_path_rate", self.drop_path_rate))
        check_shortcut_options(
            self.shortcut, self.zero_pad, self.zero_init_residual, self.drop_path_rate
        )
        if self.output_stride is not None:
            strides = self.output_strides
            self._set("output_stride", check_positive_int("output_stride", self.output_stride))
            check_choice("output_stride", self.output_stride, strides)
            if self.output_stride == strides[0]:
                self._set("output_stride", None)

    @property
    def depth(self) -> int:
        """Number of layers with weights as the paper counts them, without the projections."""
        return 1 + CONVOLUTIONS[self.block] * sum(self.repeats) + 1

    @property
    def natural_stride(self) -> int:
        """Input size over that of the last feature map, undilated; also the least input size."""
        return STEM_STRIDES[self.stem] * 2 ** (len(self.repeats) - 1)

    @property
    def output_strides(self) -> tuple[int, ...]:
        """The output strides that dilating none, the last or the last two stages gives."""
        dilatable = min(2, len(self.repeats) - 1)
        return tuple(self.natural_stride // 2**count for count in range(dilatable + 1))

    def to_json(self) -> str:
        """Returns the spec as one JSON object."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ResNetSpec":
        """Returns the spec that `to_json` wrote; an unknown or missing field is an error."""
        if not isinstance(text, str):
            raise TypeError(f"`text` must be a string of JSON. Received: text={text!r}")
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise TypeError(f"A spec must be a JSON object. Received: {text!r}")
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise ValueError(
                    f"A spec has the fields {', '.join(known)}.{nearest(name, known)} "
                    f"Received: {name!r}"
                )
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in fields:
                raise ValueError(f"A spec needs the field {field.name!r}. Received: {text}")
        return cls(**fields)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _positive_ints(name, values):
    if not isinstance(values, (tuple, list)) or not values:
        raise TypeError(
            f"`{name}` must be a tuple, one integer a stage. Received: {name}={values!r}"
        )
    return tuple(check_positive_int(name, value) for value in values)


def _activation_name(activation):
    name = serialize_activation(check_activation("activation", activation))
    if not isinstance(name, str):
        raise ValueError(
            "`activation` must be a function of `keras.activations`, or its name. "
            f"Received: activation={activation!r}"
        )
    return name
