"""Lists the networks, with parameters and multiply-adds, and their published weights."""

import fnmatch

from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.spec import STEMS
from keras_resnets.cli.tables import format_table
from keras_resnets.models import VARIANTS, list_models
from keras_resnets.weights import PRESETS


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument(
        "pattern", nargs="?", default="*", help="a pattern of names, such as 'resnet5*'"
    )


def run(arguments):
    """Prints a table of the networks that match, and one of their presets."""
    names = list_models(arguments.pattern)
    if not names:
        raise ValueError(f"No network matches the pattern. Received: {arguments.pattern!r}")
    header = ("model", "parameters", "multiply-adds", "image")
    print(format_table([header, *map(_row, names)], "<>><"))
    presets = [
        _preset_row(preset)
        for preset in PRESETS.values()
        if fnmatch.fnmatch(preset.model, arguments.pattern.lower())
    ]
    if presets:
        print("\nPublished weights, with their accuracy on ImageNet's validation images:\n")
        preset_header = ("preset", "top-1 %", "top-5 %", "resized, cropped", "licence")
        print(format_table([preset_header, *presets], "<>><<"))


def _row(name):
    spec = VARIANTS[name]
    size = STEMS[spec.stem].image_size
    cost = make_plan(spec).cost(size, 3, STEMS[spec.stem].classes)
    is_imagenet = spec.stem == "imagenet"
    macs = f"{cost.macs / 1e9:.4f} GMAC" if is_imagenet else f"{cost.macs / 1e6:.2f} MMAC"
    return name, f"{cost.parameters:,}", macs, f"{size}×{size}×3"


def _preset_row(preset):
    eaten = preset.preprocessing
    return (
        preset.name,
        f"{preset.top1:.1f}",
        "" if preset.top5 is None else f"{preset.top5:.1f}",
        f"{eaten.resize}, {eaten.crop}, {eaten.interpolation}",
        preset.license,
    )
