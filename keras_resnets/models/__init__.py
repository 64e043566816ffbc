"""Specs, the builder, and the named models."""

from keras_resnets.architecture.reading import model_spec
from keras_resnets.architecture.spec import VARIANTS, ResNetSpec
from keras_resnets.models.build_model import build_model
from keras_resnets.models.factories import (
    PlainNet18,
    PlainNet20,
    PlainNet32,
    PlainNet34,
    PlainNet44,
    PlainNet50,
    PlainNet56,
    PlainNet110,
    ResNet18,
    ResNet20,
    ResNet32,
    ResNet34,
    ResNet44,
    ResNet50,
    ResNet56,
    ResNet101,
    ResNet110,
    ResNet152,
    ResNet1202,
    create_model,
    list_models,
)
from keras_resnets.models.features import feature_extractor, feature_strides
from keras_resnets.models.fine_tuning import freeze_backbone, unfreeze
from keras_resnets.models.fuse_batch_norm import fuse_batch_norm
from keras_resnets.models.twins import plain_twin
from keras_resnets.models.with_blocks import with_blocks

__all__ = [
    "VARIANTS",
    "PlainNet18",
    "PlainNet20",
    "PlainNet32",
    "PlainNet34",
    "PlainNet44",
    "PlainNet50",
    "PlainNet56",
    "PlainNet110",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet44",
    "ResNet50",
    "ResNet56",
    "ResNet101",
    "ResNet110",
    "ResNet152",
    "ResNet1202",
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
]
