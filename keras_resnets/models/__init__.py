"""Residual networks and their plain twins."""

import keras_resnets.models.factories as factories
from keras_resnets.architecture.editing import (
    freeze_backbone,
    fuse_batch_norm,
    plain_twin,
    unfreeze,
    with_blocks,
)
from keras_resnets.architecture.reading import feature_extractor, feature_strides, model_spec
from keras_resnets.architecture.spec import VARIANTS, ResNetSpec
from keras_resnets.models.factories import *  # noqa: F403

__all__ = [
    "VARIANTS",
    "ResNetSpec",
    "feature_extractor",
    "feature_strides",
    "freeze_backbone",
    "fuse_batch_norm",
    "model_spec",
    "plain_twin",
    "unfreeze",
    "with_blocks",
    *factories.__all__,
]
