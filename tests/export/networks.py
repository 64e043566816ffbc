"""Tiny classifiers that say what they eat."""

import keras_resnets
from keras_resnets import Preprocessing, ResNetSpec, build_model
from tests.layer_checks import randomize

NAMES = ["ant", "bee", "Käfer", "dragonfly", "earwig", "flea"]
PREPROCESSING = Preprocessing.imagenet(20, 16)


def classifier(shape=(16, 16, 3), preprocessing=PREPROCESSING, **options):
    """Returns a network of two blocks and six classes with random weights."""
    spec = ResNetSpec(block="basic", repeats=(1, 1), widths=(4, 8), stem="cifar")
    options = {"input_shape": shape, "classes": len(NAMES), "name": "tiny", **options}
    model = build_model(spec, **options)
    randomize(model)
    keras_resnets.set_preprocessing(model, preprocessing)
    return model
