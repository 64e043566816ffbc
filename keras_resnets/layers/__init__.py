"""Layers of residual networks."""

from keras_resnets.layers.blocks import (
    BasicBlock,
    BottleneckBlock,
    GatedBlock,
    OrderedBlock,
    StackedBlock,
    UnnormalizedBlock,
)
from keras_resnets.layers.classifier import Classifier
from keras_resnets.layers.conv_norm import BatchNormalization, ConvNorm
from keras_resnets.layers.feature_map import SymmetricMaxPooling2D
from keras_resnets.layers.residual_block import ResidualBlock
from keras_resnets.layers.shortcuts import IdentityShortcut, ProjectionShortcut, ShortcutGate

__all__ = [
    "BasicBlock",
    "BatchNormalization",
    "BottleneckBlock",
    "Classifier",
    "ConvNorm",
    "GatedBlock",
    "IdentityShortcut",
    "OrderedBlock",
    "ProjectionShortcut",
    "ResidualBlock",
    "ShortcutGate",
    "StackedBlock",
    "SymmetricMaxPooling2D",
    "UnnormalizedBlock",
]
