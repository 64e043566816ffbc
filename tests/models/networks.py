"""Small networks of every kind, and images."""

import dataclasses

import numpy as np

from keras_resnets import ResNetSpec, build_model
from keras_resnets.files.archive import open_keras_file
from keras_resnets.weights.keras_files import errors_of_weights, load_weights
from tests.layer_checks import randomize

TINY = ResNetSpec(block="basic", repeats=(1, 1), widths=(4, 8), stem="cifar")
BASIC = dataclasses.replace(TINY, repeats=(2, 1), stem="imagenet")
BOTTLENECK = dataclasses.replace(TINY, block="bottleneck", stem="imagenet")
SPECS = {
    "A": dataclasses.replace(BASIC, shortcut="A", zero_pad="both", activation="silu"),
    "B": dataclasses.replace(BASIC, stem="cifar", zero_init_residual=True),
    "C": dataclasses.replace(BOTTLENECK, shortcut="C", drop_path_rate=0.3),
    "v1": dataclasses.replace(BOTTLENECK, stride_on="1x1", output_stride=4),
    "plain": dataclasses.replace(BASIC, shortcut=None, activation="gelu"),
    "pre": dataclasses.replace(TINY, pre_activation=True, dropout_rate=0.1, activation="silu"),
    "D": dataclasses.replace(
        BOTTLENECK, stem="deep", stem_width=6, shortcut="D", se_ratio=0.25, anti_alias="average"
    ),
    "grouped": dataclasses.replace(
        BOTTLENECK, pre_activation=True, anti_alias="blur", groups=2, width_per_group=48
    ),
}


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def built(spec, shape=(16, 16, 3), **options):
    """A network with random weights."""
    model = build_model(spec, input_shape=shape, **options)
    randomize(model)
    return model


def load_weights_file(model, path):
    """Loads a file into a model of any kind, as a factory does into its own."""
    with errors_of_weights(model.name, path), open_keras_file(path) as file:
        load_weights(model, file)
