"""The layers with variables of the network that a spec describes, without building it."""

from collections.abc import Iterator
from typing import NamedTuple

from keras_resnets.models import ResNetSpec
from keras_resnets.models.spec import BLOCKS, CONVOLUTIONS

NORM = ("gamma", "beta", "moving_mean", "moving_variance")
KERNEL_SIZES = {"basic": (3, 3), "bottleneck": (1, 3, 1)}
STEM_SIZES = {"imagenet": 7, "cifar": 3}


class Place(NamedTuple):
    """A layer that has variables.

    Attributes:
        template: Its path, in which `{stage}`, `{block}` and `{conv}` count from 1.
        counts: What fills that in; see `count_from_one`.
        kernel: Shape of the kernel of the convolution, or of the one that a normalization follows;
            (features, classes) of the classifier. 0 stands for what no spec says: the number of the
            image's channels, and of classes.
    """

    template: str
    counts: dict[str, int]
    kernel: tuple[int, ...]

    @property
    def path(self) -> str:
        """The layer's path in our model."""
        return self.template.format(**self.counts)


def layer_places(spec: ResNetSpec, include_top: bool) -> Iterator[Place]:
    """Yields all layers that have variables, in their order."""
    size = STEM_SIZES[spec.stem]
    yield from _conv_norm("stem_conv/", {}, (size, size, 0, spec.widths[0]))
    expansion = BLOCKS[spec.block].expansion
    channels = spec.widths[0]
    for stage, (repeats, width) in enumerate(zip(spec.repeats, spec.widths, strict=True), 1):
        for block in range(1, repeats + 1):
            here = count_from_one(stage=stage, block=block)
            at, inputs, outputs = "stage{stage}_block{block}/", channels, width * expansion
            for conv, size in enumerate(KERNEL_SIZES[spec.block], 1):
                filters = outputs if conv == CONVOLUTIONS[spec.block] else width
                counts = here | count_from_one(conv=conv)
                yield from _conv_norm(f"{at}conv{{conv}}/", counts, (size, size, inputs, filters))
                inputs = filters
            changes = (stage > 1 and block == 1) or channels != outputs
            if spec.shortcut == "B" and changes:
                yield from _conv_norm(f"{at}projection/conv_norm/", here, (1, 1, channels, outputs))
            channels = outputs
    if include_top:
        yield Place("predictions", {}, (channels, 0))


def variable_shapes(
    spec: ResNetSpec, channels: int, classes: int | None
) -> dict[str, tuple[int, ...]]:
    """Returns the path and the shape of each variable of a network.

    Args:
        spec: The network, with shortcuts of option A or B.
        channels: Number of the image's channels.
        classes: Number of classes; `None` for a network without top.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for place in layer_places(spec, include_top=classes is not None):
        if place.template == "predictions" and classes is not None:
            shapes["predictions/kernel"] = (place.kernel[0], classes)
            shapes["predictions/bias"] = (classes,)
        elif place.template.endswith("/conv"):
            shapes[f"{place.path}/kernel"] = tuple(size or channels for size in place.kernel)
        else:
            shapes |= {f"{place.path}/{variable}": place.kernel[-1:] for variable in NORM}
    return shapes


def count_from_one(**counts: int) -> dict[str, int]:
    """Returns what fills in a family's template: the given counts and their other spellings.

    `stage0`, `block0` and `conv0` count from 0; `paper_stage` from 2, as conv2_x is the first.
    """
    filled = dict(counts)
    for name, count in counts.items():
        filled[f"{name}0"] = count - 1
    if "stage" in counts:
        filled["paper_stage"] = counts["stage"] + 1
    return filled


def _conv_norm(at, counts, kernel):
    yield Place(f"{at}conv", counts, kernel)
    yield Place(f"{at}norm", counts, kernel)
