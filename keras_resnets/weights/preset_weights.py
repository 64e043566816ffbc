"""From the name of a preset to a model with its weights."""

import dataclasses

from keras_resnets.architecture.spec import OPTIONS
from keras_resnets.arguments import nearest
from keras_resnets.models.weights_file import FOREIGN_SUFFIXES, SUFFIXES
from keras_resnets.weights.download import cached_file
from keras_resnets.weights.convert import load_foreign_weights
from keras_resnets.weights.presets import PRESETS, Preset

BEST = "imagenet"
# What may differ between networks that compute the same with the same weights.
FREE_FIELDS = [
    "output_stride",
    *(name for name, option in OPTIONS.items() if option.changes == "training"),
]


def find_preset(name, spec):
    """Returns the preset of a name for the network of a spec.

    Args:
        name: A key of `PRESETS`; or `"imagenet"` for the best of the network's, by its published
            accuracy.
        spec: The `ResNetSpec` of the network.

    Raises:
        ValueError: If there is no such preset, or it is another network's; those of this network
            are listed.

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


def load_preset(model, preset: Preset):
    """Loads a preset's weights into a model, from the cache or from its publisher.

    Raises:
        DownloadError: If the file is not there and cannot be had.
        ValueError: As `load_foreign_weights`.
    """
    load_foreign_weights(model, cached_file(preset), preset.preprocessing)


def _essence(spec):
    return dataclasses.replace(spec, **{field: getattr(_DEFAULTS, field) for field in FREE_FIELDS})


_DEFAULTS = PRESETS["torchvision/resnet18-v1"].spec
