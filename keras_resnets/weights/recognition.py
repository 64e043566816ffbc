"""Which family a checkpoint is of, and which network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_resnets.files.errors import shown
from keras_resnets.models import ResNetSpec
from keras_resnets.weights.families import FAMILIES
from keras_resnets.weights.family import Family, count_from_one

# ResNet-1202, the deepest that was published, has 600. Keras builds a model by a call within a call
# for each, of which Python allows 1000.
MOST_BLOCKS = 700


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Arrays, and what they were recognized as.

    Args:
        family: The family whose names fit.
        spec: The network, with the family's default for what no array tells.
        arrays: The arrays under the family's names, without wrappers' prefixes.
        given_names: For these names, those in the source.
        has_top: Whether a classifier is among them.
    """

    family: Family
    spec: ResNetSpec
    arrays: Mapping[str, np.ndarray]
    given_names: Mapping[str, str]
    has_top: bool


def recognize(arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    """Returns the checkpoint that the most arrays' names, and shapes, speak for.

    Raises:
        ValueError: If the arrays are not those of a residual network of a known family, or of one
            whose stem is wider or narrower than its first stage.
    """
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
            "first stage are wide: there is no other here. "
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
