"""An architecture's numbers, as data: the spec, the stems, the table of variants, its families."""

import dataclasses
import fnmatch
import json
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from keras_resnets.arguments import (
    ANTI_ALIAS,
    SHORTCUTS,
    bottleneck_width,
    check_activation,
    check_bool,
    check_choice,
    check_positive_int,
    check_rate,
    check_ratio,
    check_shortcut_options,
    nearest,
    serialize_activation,
)

# How many convolutions each kind of block has.
CONVOLUTIONS = {"basic": 2, "bottleneck": 3}


class Stem(NamedTuple):
    """What stands before the first block, and the images and classes of its data set."""

    kernel_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    pool_stride: int
    image_size: int
    classes: int

    @property
    def stride(self) -> int:
        return math.prod(self.strides) * self.pool_stride

    def filters(self, width: int) -> tuple[int, ...]:
        """Returns the filters of each convolution; of several, the first two have half."""
        halved = (width // 2,) * 2 if len(self.kernel_sizes) > 2 else ()
        return halved + (width,) * (len(self.kernel_sizes) - len(halved))


IMAGENET = {"image_size": 224, "classes": 1000}
STEMS = {
    "imagenet": Stem((7,), (2,), pool_stride=2, **IMAGENET),
    "deep": Stem((3, 3, 3), (2, 1, 1), pool_stride=2, **IMAGENET),
    "deep_strided": Stem((3, 3, 3, 3), (2, 1, 1, 2), pool_stride=1, **IMAGENET),
    "cifar": Stem((3,), (1,), pool_stride=1, image_size=32, classes=10),
}


class Option(NamedTuple):
    """What is known about an option of a network."""

    # Takes the option's name and value; returns the value, or raises.
    check: Callable[[str, Any], Any]
    # The blocks that take the option as an argument.
    blocks: tuple[str, ...] = tuple(CONVOLUTIONS)
    # Whether it has no effect in a plain network.
    needs_shortcut: bool = False
    # What differs between two networks that differ in the option: their arrays; their outputs with
    # the same arrays; or only their training.
    changes: Literal["arrays", "answers", "training"] = "answers"


def _option(default, *arguments, **options):
    return dataclasses.field(default=default, metadata={"option": Option(*arguments, **options)})


def _one_of(*allowed):
    return lambda name, value: check_choice(name, value, allowed)


def _check_pre_activation(name, value):
    if isinstance(value, str):
        return check_choice(name, value, (True, False, "keras"))
    return check_bool(name, value, "True, False or 'keras'")


def _or_none(check):
    return lambda name, value: None if value is None else check(name, value)


def _check_activation_name(name, activation):
    if activation == "relu":  # the default, without Keras and its backend
        return activation
    serialized = serialize_activation(check_activation(name, activation))
    if not isinstance(serialized, str):
        raise ValueError(
            f"`{name}` must be a function of `keras.activations`, or its name. "
            f"Received: {name}={activation!r}"
        )
    return serialized


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """An architecture as data: all that distinguishes two residual networks, without their heads.

    A spec is immutable, checks itself, compares by value, and converts to JSON and back.
    `dataclasses.replace(spec, shortcut="A")` varies it; `build_model` builds the model.

    Args:
        block: `"basic"` (two 3×3 convolutions) or `"bottleneck"` (1×1, 3×3, 1×1).
        repeats: Number of blocks in each stage.
        widths: Filters of the blocks in each stage. A bottleneck outputs four times as many
            channels.
        stem: `"imagenet"` (7×7 convolution and max pooling, stride 2 each), `"deep"` (three 3×3
            convolutions instead), `"deep_strided"` (a fourth, with a stride, instead of pooling) or
            `"cifar"` (3×3 convolution with stride 1).
        shortcut: `"A"`, `"B"`, `"C"` or `"D"` of `keras_resnets.layers.ResidualBlock`; `None` for a
            plain network.
        zero_pad: Where option A puts its zero channels, `"end"` or `"both"`.
        stride_on: The convolution of a bottleneck that carries the stride, `"3x3"` or `"1x1"`.
        activation: A function in `keras.activations`, or its name.
        zero_init_residual: Whether the last γ of each branch begins at 0.
        drop_path_rate: Probability in [0, 1) of skipping the branch of the last block in training.
            That of block l of L is `drop_path_rate * l / L`.
        output_stride: Input size over that of the last feature map; `None` for the network's own,
            32 with an ImageNet stem and four stages. Half or a quarter of it dilates the last
            stages instead.
        stem_width: Filters of the stem; `None` for as many as the first stage. In a deep stem, the
            first two convolutions have half.
        groups: Number of groups of channels in the 3×3 convolution of a bottleneck (Xie et al.,
            2017).
        width_per_group: Channels in a group where the stage's width is 64, else in proportion.
        pre_activation: Whether normalization and activation stand before each convolution of the
            blocks, and once before the head (He et al., 2016), instead of behind each; `"keras"`
            as in `keras.applications.ResNet50V2`, whose stages stride in their last block.
        anti_alias: `"blur"` or `"average"`, which replaces the strides of branches and of max
            pooling (Zhang, 2019); `None` for strides.
        se_ratio: Ratio of the squeeze and excitation at the end of each branch (Hu et al., 2018),
            1/16 in the paper; `None` for none.
        dropout_rate: Probability in [0, 1) of dropping a value before the last convolution of each
            branch in training.

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
    stem: Literal["imagenet", "deep", "deep_strided", "cifar"] = _option(
        "imagenet", _one_of(*STEMS), blocks=(), changes="arrays"
    )
    shortcut: Literal["A", "B", "C", "D"] | None = _option(
        "B", _one_of(*SHORTCUTS), changes="arrays"
    )
    zero_pad: Literal["end", "both"] = _option("end", _one_of("end", "both"), needs_shortcut=True)
    stride_on: Literal["3x3", "1x1"] = _option("3x3", _one_of("3x3", "1x1"), blocks=("bottleneck",))
    activation: str = _option("relu", _check_activation_name)
    zero_init_residual: bool = _option(False, check_bool, needs_shortcut=True, changes="training")
    drop_path_rate: float = _option(0.0, check_rate, needs_shortcut=True, changes="training")
    output_stride: int | None = _option(None, lambda name, value: value, blocks=())
    stem_width: int | None = _option(
        None, _or_none(check_positive_int), blocks=(), changes="arrays"
    )
    groups: int = _option(1, check_positive_int, blocks=("bottleneck",), changes="arrays")
    width_per_group: int = _option(64, check_positive_int, blocks=("bottleneck",), changes="arrays")
    pre_activation: Literal[False, True, "keras"] = _option(
        False, _check_pre_activation, changes="arrays"
    )
    anti_alias: Literal["blur", "average"] | None = _option(None, _one_of(*ANTI_ALIAS))
    se_ratio: float | None = _option(None, _or_none(check_ratio), changes="arrays")
    dropout_rate: float = _option(0.0, check_rate, changes="training")

    def __post_init__(self):
        check_choice("block", self.block, CONVOLUTIONS)
        self._set("repeats", _positive_ints("repeats", self.repeats))
        self._set("widths", _positive_ints("widths", self.widths))
        if len(self.repeats) != len(self.widths):
            raise ValueError(
                "`repeats` and `widths` must have one entry a stage. "
                f"Received: repeats={self.repeats}, widths={self.widths}"
            )
        for name, option in OPTIONS.items():
            self._set(name, option.check(name, getattr(self, name)))
            is_default = getattr(self, name) == DEFAULTS[name]
            if option.blocks and self.block not in option.blocks and not is_default:
                raise ValueError(
                    f"`{name}` belongs to block={' or '.join(map(repr, option.blocks))}. "
                    f"Received: {name}={getattr(self, name)!r}, block={self.block!r}"
                )
        expansion = 4 if self.block == "bottleneck" else 1
        channels = [self.stem_filters, *(expansion * width for width in self.widths)]
        if self.shortcut == "A" and sorted(channels) != channels:
            raise ValueError(
                "`shortcut='A'` can add channels but not remove any: no stage may be narrower than "
                "what comes before. Received: shortcut='A', "
                f"stem_width={self.stem_width}, widths={self.widths}"
            )
        check_shortcut_options(
            self.shortcut,
            self.zero_pad,
            self.zero_init_residual,
            self.drop_path_rate,
            self.pre_activation,
        )
        bottleneck_width(min(self.widths), self.groups, self.width_per_group)
        if self.stem_width == self.widths[0]:
            self._set("stem_width", None)
        if self.anti_alias and len(self.widths) == 1 and STEMS[self.stem].pool_stride == 1:
            raise ValueError(
                "`anti_alias` takes the place of the strides of blocks and pooling, and this "
                f"network has none. Received: anti_alias={self.anti_alias!r}, "
                f"repeats={self.repeats}, stem={self.stem!r}"
            )
        if not all(STEMS[self.stem].filters(self.stem_filters)):
            raise ValueError(
                "A deep stem must be at least 2 filters wide. "
                f"Received: stem={self.stem!r}, {self.stem_filters} filters"
            )
        if self.output_stride is not None:
            strides = self.output_strides
            self._set("output_stride", check_positive_int("output_stride", self.output_stride))
            check_choice("output_stride", self.output_stride, strides)
            if self.output_stride == strides[0]:
                self._set("output_stride", None)
            elif self.stride_on == "1x1" and (self.shortcut == "D" or self.anti_alias):
                raise ValueError(
                    "`output_stride` is not supported where a stride on the 1×1 convolution goes "
                    f"with pooling: use stride_on='3x3'. Received: output_stride="
                    f"{self.output_stride}, stride_on='1x1', shortcut={self.shortcut!r}, "
                    f"anti_alias={self.anti_alias!r}"
                )
        others = {"stem": "imagenet", "shortcut": "B", "anti_alias": None, "output_stride": None}
        for name, value in others.items() if self.pre_activation == "keras" else ():
            if getattr(self, name) not in (value, None):
                raise ValueError(
                    f"`{name}` must be {value!r}{' or None' * (name == 'shortcut')} with "
                    "pre_activation='keras'. "
                    f"Received: {name}={getattr(self, name)!r}"
                )

    @property
    def stem_filters(self) -> int:
        """Number of filters of the stem's last convolution."""
        return self.stem_width or self.widths[0]

    @property
    def depth(self) -> int:
        """Number of layers with weights as the paper counts them, without the projections."""
        return 1 + CONVOLUTIONS[self.block] * sum(self.repeats) + 1

    @property
    def natural_stride(self) -> int:
        """Input size over that of the last feature map, undilated; also the least input size."""
        return STEMS[self.stem].stride * 2 ** (len(self.repeats) - 1)

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
        for name in fields:
            if name not in DEFAULTS:
                raise ValueError(
                    f"A spec has the fields {', '.join(DEFAULTS)}.{nearest(name, DEFAULTS)} "
                    f"Received: {name!r}"
                )
        for name, default in DEFAULTS.items():
            if default is dataclasses.MISSING and name not in fields:
                raise ValueError(f"A spec needs the field {name!r}. Received: {text}")
        return cls(**fields)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _positive_ints(name, values):
    if not isinstance(values, (tuple, list)) or not values:
        raise TypeError(
            f"`{name}` must be a tuple, one integer a stage. Received: {name}={values!r}"
        )
    return tuple(check_positive_int(name, value) for value in values)


DEFAULTS = {field.name: field.default for field in dataclasses.fields(ResNetSpec)}
OPTIONS: dict[str, Option] = {
    field.name: field.metadata["option"]
    for field in dataclasses.fields(ResNetSpec)
    if "option" in field.metadata
}


# The block and the repeats of each depth (He et al., 2015, table 1); 26 and 200 came later.
DEPTHS: dict[int, tuple[Any, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    26: ("bottleneck", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}


def _imagenet(depth, **options):
    block, repeats = DEPTHS[depth]
    return ResNetSpec(block=block, repeats=repeats, **options)


def _cifar(depth, block="basic", width=1, **options):
    """Three stages of n blocks: depth 6n + 2, with bottlenecks 9n + 2 (He et al., 2015 and 2016).

    The depth of wide networks, 6n + 4, counts two projections (Zagoruyko & Komodakis, 2016).
    """
    return ResNetSpec(
        block=block,
        repeats=((depth - 2) // (3 * CONVOLUTIONS[block]),) * 3,
        widths=(16 * width, 32 * width, 64 * width),
        stem="cifar",
        stem_width=16,
        **options,
    )


_D = {"stem": "deep", "shortcut": "D"}
_V2 = {"pre_activation": True}
# The authors' code of ResNet-164 and 1001 has the stride on the first convolution.
_BOTTLENECKS_V2 = {"block": "bottleneck", "stride_on": "1x1", "pre_activation": True}
_32X4D = {"groups": 32, "width_per_group": 4}
_SE = {"se_ratio": 1 / 16}
_RS = {"stem": "deep_strided", "shortcut": "D", "se_ratio": 1 / 4}

VARIANTS = {
    **{f"resnet{depth}": _imagenet(depth) for depth in DEPTHS},
    **{f"resnet{depth}": _cifar(depth, shortcut="A") for depth in (20, 32, 44, 56, 110, 1202)},
    **{f"resnet{depth}d": _imagenet(depth, **_D) for depth in DEPTHS},
    **{f"resnet{depth}v2": _imagenet(depth, **_V2) for depth in (18, 34, 50, 101, 152)},
    "resnet50dv2": _imagenet(50, **_D, **_V2),
    "resnet110v2": _cifar(110, **_V2),
    "resnet164v2": _cifar(164, **_BOTTLENECKS_V2),
    "resnet1001v2": _cifar(1001, **_BOTTLENECKS_V2),
    "resnext50_32x4d": _imagenet(50, **_32X4D),
    "resnext50d_32x4d": _imagenet(50, **_32X4D, **_D),
    "resnext101_32x4d": _imagenet(101, **_32X4D),
    "resnext101_32x8d": _imagenet(101, groups=32, width_per_group=8),
    "resnext101_64x4d": _imagenet(101, groups=64, width_per_group=4),
    "wideresnet50_2": _imagenet(50, width_per_group=128),
    "wideresnet101_2": _imagenet(101, width_per_group=128),
    "wrn16_8": _cifar(16, width=8, **_V2),
    "wrn28_10": _cifar(28, width=10, **_V2),
    "wrn40_4": _cifar(40, width=4, **_V2),
    **{f"seresnet{depth}": _imagenet(depth, **_SE) for depth in (18, 34, 50, 101, 152)},
    "seresnext50_32x4d": _imagenet(50, **_32X4D, **_SE),
    "seresnext101_32x4d": _imagenet(101, **_32X4D, **_SE),
    **{f"resnetrs{depth}": _imagenet(depth, **_RS) for depth in (50, 101, 152, 200)},
    "resnetblur50": _imagenet(50, anti_alias="blur"),
    **{f"plainnet{depth}": _imagenet(depth, shortcut=None) for depth in (18, 34, 50)},
    **{f"plainnet{depth}": _cifar(depth, shortcut=None) for depth in (20, 32, 44, 56, 110)},
}


class Family(NamedTuple):
    """The named networks of one source, and what their specs have that those before lack."""

    source: str
    arxiv: str
    about: str
    includes: Callable[[ResNetSpec], bool]


# A spec is of the last family that includes it.
FAMILIES = {
    "resnet": Family(
        "He et al., 2015",
        "1512.03385",
        "Shortcuts add the input of a block to what its convolutions compute.",
        lambda spec: True,
    ),
    "resnet_d": Family(
        "He et al., 2018",
        "1812.01187",
        "The stem has three 3×3 convolutions, and average pooling precedes the projections.",
        lambda spec: spec.shortcut == "D",
    ),
    "v2": Family(
        "He et al., 2016",
        "1603.05027",
        "Normalization and activation stand before each convolution (pre-activation).",
        lambda spec: spec.pre_activation is not False,
    ),
    "resnext": Family(
        "Xie et al., 2017",
        "1611.05431",
        "The 3×3 convolutions of the bottlenecks have groups of channels: in 32×4d, 32 of 4.\n"
        "On CPUs, set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported: it trains faster.",
        lambda spec: spec.groups > 1,
    ),
    "wide": Family(
        "Zagoruyko & Komodakis, 2016",
        "1605.07146",
        "The blocks are wider; those for CIFAR have pre-activation.",
        lambda spec: (
            spec.width_per_group > 64
            or (spec.block == "basic" and spec.stem_filters < spec.widths[0])
        ),
    ),
    "se": Family(
        "Hu et al., 2018",
        "1709.01507",
        "Each branch ends in a squeeze and excitation.",
        lambda spec: spec.se_ratio is not None,
    ),
    "rs": Family(
        "Bello et al., 2021",
        "2103.07579",
        "ResNet-D with squeeze and excitation, and a strided convolution instead of max pooling.",
        lambda spec: spec.stem == "deep_strided",
    ),
    "blur": Family(
        "Zhang, 2019",
        "1904.11486",
        "Feature maps are blurred before they are subsampled.",
        lambda spec: spec.anti_alias == "blur",
    ),
    "plain": Family(
        "He et al., 2015",
        "1512.03385",
        "Networks without the shortcuts.",
        lambda spec: spec.shortcut is None,
    ),
}


def family_of(spec: ResNetSpec) -> str:
    """Returns the name of the family that a spec belongs to."""
    return [name for name, family in FAMILIES.items() if family.includes(spec)][-1]


def describe_spec(spec: ResNetSpec) -> str:
    """Returns a network in words: `"18 layers, 2, 2, 2, 2 basic blocks, shortcuts of option B"`."""
    shortcut = "no shortcuts" if spec.shortcut is None else f"shortcuts of option {spec.shortcut}"
    repeats = ", ".join(map(str, spec.repeats))
    options = ", ".join(
        f"{name}={getattr(spec, name)!r}"
        for name in OPTIONS
        if name != "shortcut" and getattr(spec, name) != DEFAULTS[name]
    )
    described = f"{spec.depth} layers, {repeats} {spec.block} blocks, {shortcut}"
    return f"{described}; {options}" if options else described


def find_variants(pattern: str = "*", family: str | None = None) -> list[str]:
    """Returns the names in `VARIANTS` that match a shell pattern, all or those of a family."""
    names = [name for name, spec in VARIANTS.items() if family in (None, family_of(spec))]
    return fnmatch.filter(names, pattern.lower())
