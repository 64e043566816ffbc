"""Layers of residual networks, one a file."""

from keras_resnets.layers.basic_block import BasicBlock
from keras_resnets.layers.batch_norm import BatchNormalization
from keras_resnets.layers.bottleneck_block import BottleneckBlock
from keras_resnets.layers.conv_norm import ConvNorm
from keras_resnets.layers.max_pool import SymmetricMaxPooling2D
from keras_resnets.layers.residual_block import ResidualBlock
from keras_resnets.layers.shortcuts import IdentityShortcut, ProjectionShortcut

__all__ = [
    "BasicBlock",
    "BatchNormalization",
    "BottleneckBlock",
    "ConvNorm",
    "IdentityShortcut",
    "ProjectionShortcut",
    "ResidualBlock",
    "SymmetricMaxPooling2D",
]
