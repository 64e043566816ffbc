"""Layers of residual networks, one a file."""

from keras_resnets.layers.basic_block import BasicBlock
from keras_resnets.layers.batch_norm import BatchNormalization
from keras_resnets.layers.bottleneck_block import BottleneckBlock
from keras_resnets.layers.conv_norm import ConvNorm
from keras_resnets.layers.gated_block import GatedBlock
from keras_resnets.layers.max_pool import SymmetricMaxPooling2D
from keras_resnets.layers.ordered_block import OrderedBlock
from keras_resnets.layers.residual_block import ResidualBlock
from keras_resnets.layers.shortcut_gate import ShortcutGate
from keras_resnets.layers.shortcuts import IdentityShortcut, ProjectionShortcut
from keras_resnets.layers.stacked_block import StackedBlock
from keras_resnets.layers.unnormalized_block import UnnormalizedBlock

__all__ = [
    "BasicBlock",
    "BatchNormalization",
    "BottleneckBlock",
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
