"""Residual networks and their plain twins."""

from typing import TYPE_CHECKING

import keras_resnets.models.named_networks as named_networks
from keras_resnets.architecture.editing import freeze_backbone as freeze_backbone
from keras_resnets.architecture.editing import fuse_batch_norm as fuse_batch_norm
from keras_resnets.architecture.editing import plain_twin as plain_twin
from keras_resnets.architecture.editing import unfreeze as unfreeze
from keras_resnets.architecture.editing import with_blocks as with_blocks
from keras_resnets.architecture.reading import feature_extractor as feature_extractor
from keras_resnets.architecture.reading import feature_strides as feature_strides
from keras_resnets.architecture.reading import model_spec as model_spec
from keras_resnets.architecture.spec import VARIANTS as VARIANTS
from keras_resnets.architecture.spec import ResNetSpec as ResNetSpec
from keras_resnets.models.factories import build_model as build_model
from keras_resnets.models.factories import create_model as create_model
from keras_resnets.models.factories import list_models as list_models
from keras_resnets.models.named_networks import *  # noqa: F403

if not TYPE_CHECKING:  # type checkers export what stands above, but cannot join lists
    __all__ = [
        "VARIANTS",
        "ResNetSpec",
        "build_model",
        "create_model",
        "feature_extractor",
        "feature_strides",
        "freeze_backbone",
        "fuse_batch_norm",
        "list_models",
        "model_spec",
        "plain_twin",
        "unfreeze",
        "with_blocks",
        *named_networks.__all__,
    ]
