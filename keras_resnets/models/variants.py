"""The table of named architectures."""

from keras_resnets.models.spec import ResNetSpec


def _imagenet(block, *repeats, shortcut="B"):
    return ResNetSpec(block=block, repeats=repeats, shortcut=shortcut)


def _cifar(depth, shortcut="A"):
    """Three stages of n basic blocks each: depth 6n + 2 (He et al., 2015, section 4.2)."""
    return ResNetSpec(
        block="basic",
        repeats=((depth - 2) // 6,) * 3,
        widths=(16, 32, 64),
        stem="cifar",
        shortcut=shortcut,
    )


VARIANTS = {
    "resnet18": _imagenet("basic", 2, 2, 2, 2),
    "resnet34": _imagenet("basic", 3, 4, 6, 3),
    "resnet50": _imagenet("bottleneck", 3, 4, 6, 3),
    "resnet101": _imagenet("bottleneck", 3, 4, 23, 3),
    "resnet152": _imagenet("bottleneck", 3, 8, 36, 3),
    "plainnet18": _imagenet("basic", 2, 2, 2, 2, shortcut=None),
    "plainnet34": _imagenet("basic", 3, 4, 6, 3, shortcut=None),
    "plainnet50": _imagenet("bottleneck", 3, 4, 6, 3, shortcut=None),
    "resnet20": _cifar(20),
    "resnet32": _cifar(32),
    "resnet44": _cifar(44),
    "resnet56": _cifar(56),
    "resnet110": _cifar(110),
    "resnet1202": _cifar(1202),
    "plainnet20": _cifar(20, shortcut=None),
    "plainnet32": _cifar(32, shortcut=None),
    "plainnet44": _cifar(44, shortcut=None),
    "plainnet56": _cifar(56, shortcut=None),
    "plainnet110": _cifar(110, shortcut=None),
}
