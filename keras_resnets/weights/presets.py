"""The published weights: where they lie, how they are verified, what they reached."""

import dataclasses
import types
from typing import Literal

from keras_resnets.architecture.spec import OPTIONS, VARIANTS, ResNetSpec
from keras_resnets.arguments import nearest
from keras_resnets.preprocessing import Preprocessing
from keras_resnets.weights.convert import load_foreign_weights
from keras_resnets.weights.download import cached_file
from keras_resnets.weights.keras_weights import FOREIGN_SUFFIXES, SUFFIXES

TORCHVISION = "https://download.pytorch.org/models/"
TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-rsb-weights/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A network's published weights.

    Attributes:
        name: Its publisher and version, such as `"torchvision/resnet34-v1"`.
        model: The name of the network, for `create_model`.
        url: Address of the file.
        sha256: The first eight digits of the file's sha256, which its publisher put in its name.
        most_bytes: A file that is larger than this is not the one that was published.
        license: Terms of the publisher. Those of ImageNet's images may bind a user, too.
        preprocessing: What was done to the test images.
        top1: Accuracy in per cent on ImageNet's 50,000 validation images, by the publisher.
        top5: The share of images whose class is among the best five, in per cent, where published.
        source: Who measured these.
    """

    name: str
    model: str
    url: str
    sha256: str
    most_bytes: int
    license: Literal["BSD-3-Clause", "Apache-2.0"]
    preprocessing: Preprocessing
    top1: float
    top5: float | None
    source: str

    @property
    def spec(self) -> ResNetSpec:
        """The network that computes with these weights what was published."""
        return VARIANTS[self.model]


def _torchvision(version, depth, digits, top1, top5):
    """A row of torchvision's table of weights, as of torchvision 0.29."""
    return Preset(
        name=f"torchvision/resnet{depth}-{version}",
        model=f"resnet{depth}",
        url=f"{TORCHVISION}resnet{depth}-{digits}.pth",
        sha256=digits,
        most_bytes=_most_bytes(depth),
        license="BSD-3-Clause",
        preprocessing=Preprocessing.imagenet(resize=256 if version == "v1" else 232),
        top1=top1,
        top5=top5,
        source="torchvision's table of weights: one central crop of 224 pixels",
    )


def _timm(version, depth, digits, top1):
    """A row of table 2 of Wightman et al., 2021, with timm 1.0's file for it.

    The images are tested at 224 pixels with a crop of 0.95: a shorter side of 235.
    """
    return Preset(
        name=f"timm/resnet{depth}-{version}",
        model=f"resnet{depth}",
        url=f"{TIMM}resnet{depth}_{version}_0-{digits}.pth",
        sha256=digits,
        most_bytes=_most_bytes(depth),
        license="Apache-2.0",
        preprocessing=Preprocessing.imagenet(resize=235, interpolation="bicubic"),
        top1=top1,
        top5=None,
        source="Wightman et al., 2021: one central crop of 224 pixels, 0.95 of the shorter side",
    )


def _most_bytes(depth):
    """Returns what bounds a file of float32 weights: a tenth more than the weights take."""
    millions = {18: 11.7, 34: 21.8, 50: 25.6, 101: 44.7, 152: 60.4}[depth]
    return int(millions * 1e6 * 4 * 1.1)


_ROWS = (
    _torchvision("v1", 18, "f37072fd", 69.758, 89.078),
    _torchvision("v1", 34, "b627a593", 73.314, 91.420),
    _torchvision("v1", 50, "0676ba61", 76.130, 92.862),
    _torchvision("v2", 50, "11ad3fa6", 80.858, 95.434),
    _torchvision("v1", 101, "63fe2227", 77.374, 93.546),
    _torchvision("v2", 101, "cd907fc2", 81.886, 95.780),
    _torchvision("v1", 152, "394f9c45", 78.312, 94.046),
    _torchvision("v2", 152, "f82ba261", 82.284, 96.002),
    _timm("a1", 18, "d63eafa0", 71.5),
    _timm("a2", 18, "b61bd467", 70.6),
    _timm("a3", 18, "40c531c8", 68.3),
    _timm("a1", 34, "46f8f793", 76.4),
    _timm("a2", 34, "82d47d71", 75.5),
    _timm("a3", 34, "a20cabb6", 73.0),
    _timm("a1", 50, "14fe96d1", 80.4),
    _timm("a2", 50, "a2746f79", 79.8),
    _timm("a3", 50, "59cae1ef", 78.1),
)
PRESETS = types.MappingProxyType({preset.name: preset for preset in _ROWS})


BEST = "imagenet"
# What may differ between networks that compute the same with the same weights.
FREE_FIELDS = [
    "output_stride",
    *(name for name, option in OPTIONS.items() if option.changes == "training"),
]


def find_preset(name, spec):
    """Returns the preset of a name for the network of a spec.

    Example:

    >>> find_preset("imagenet", keras_resnets.VARIANTS["resnet50"]).name
    'torchvision/resnet50-v2'
    """
    fitting = [preset for preset in PRESETS.values() if _essence(preset.spec) == _essence(spec)]
    names = [preset.name for preset in fitting]
    if name == BEST and fitting:
        return max(fitting, key=lambda preset: preset.top1)
    if name in names:
        return PRESETS[name]
    if names:
        presets = f"one of {', '.join([BEST, *names])}.{nearest(name, names)}"
    else:
        presets = "a preset, of which this network has none."
    raise ValueError(
        "`weights` must be None, or the path of a file that ends in "
        f"{', '.join(SUFFIXES + FOREIGN_SUFFIXES)}, or {presets} Received: weights={name!r}"
    )


def load_preset(model, preset: Preset, new_head=True):
    """Loads a preset's weights into a model, from the cache or from its publisher."""
    load_foreign_weights(model, cached_file(preset), preset.preprocessing, new_head)


def _essence(spec):
    return dataclasses.replace(spec, **{field: getattr(_DEFAULTS, field) for field in FREE_FIELDS})


_DEFAULTS = PRESETS["torchvision/resnet18-v1"].spec
