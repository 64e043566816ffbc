"""Tiny networks with random weights to look into."""

import numpy as np

from keras_resnets import ResNetSpec, build_model
from tests.layer_checks import randomize

CLASSES = 3


def tiny_model(block="basic", shortcut="A", repeats=(1, 2), widths=(4, 8), **options):
    """Returns a network of three blocks, the second of which halves the resolution.

    With bottlenecks, the first block has a projection, or adds channels, as well.
    """
    spec = ResNetSpec(
        block=block, repeats=repeats, widths=widths, stem="cifar", shortcut=shortcut, **options
    )
    model = build_model(spec, input_shape=(6, 6, 3), classes=CLASSES, name=f"tiny_{block}")
    for seed, layer in enumerate(model.layers):
        randomize(layer, seed)
    return model


def images(count=5, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 6, 6, 3)).astype("float32")


def labels(count=5):
    return np.arange(count) % CLASSES


def weights_of(model):
    """Returns every weight by its path, as `tests.reference` takes them."""
    return {
        weight.path: np.array(value)
        for weight, value in zip(model.weights, model.get_weights(), strict=True)
    }
