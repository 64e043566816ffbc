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
from keras_resnets.layers.pooling import AveragePooling2D, BlurPooling2D, SymmetricMaxPooling2D
from keras_resnets.layers.residual_block import ResidualBlock
from keras_resnets.layers.shortcuts import IdentityShortcut, ProjectionShortcut, ShortcutGate
from keras_resnets.layers.squeeze_excitation import SqueezeExcitation

__all__ = [
    "AveragePooling2D",
    "BasicBlock",
    "BatchNormalization",
    "BlurPooling2D",
    "BottleneckBlock",
    "Classifier",
    "ConvNorm",
    "GatedBlock",
    "IdentityShortcut",
    "OrderedBlock",
    "ProjectionShortcut",
    "ResidualBlock",
    "ShortcutGate",
    "SqueezeExcitation",
    "StackedBlock",
    "SymmetricMaxPooling2D",
    "UnnormalizedBlock",
]
