"""What a picture of a model shows, read off its layers."""

import dataclasses
import re

import keras

from keras_resnets.layers import (
    AveragePooling2D,
    ConvNorm,
    ProjectionShortcut,
    ResidualBlock,
    SqueezeExcitation,
    SymmetricMaxPooling2D,
)
from keras_resnets.layers.feature_map import channel_axis


@dataclasses.dataclass(frozen=True)
class Row:
    """One box of a column.

    Attributes:
        name: The layer's path in the model, such as `stage1_block1/conv1`.
        part: `"input"`, `"stem"`, `"stage1"` and so on, or `"head"`.
        label: What the layer is, such as `"3×3 conv, 128, stride 2"`.
        output_shape: Without the batch.
        has_weights: Whether it counts towards the depth of the network.
    """

    name: str
    part: str
    label: str
    output_shape: tuple
    has_weights: bool


@dataclasses.dataclass(frozen=True)
class Arc:
    """One shortcut.

    Attributes:
        block: Name of the block.
        first: Index of the first row that it passes by.
        last: Index of the last.
        label: What it does to the input; empty if nothing.
        has_weights: Whether it is a projection.
    """

    block: str
    first: int
    last: int
    label: str
    has_weights: bool


def model_rows(model):
    """Returns the rows of a model, from the input on, and its arcs.

    Activations get no row: each follows a convolution or a sum.

    Raises:
        TypeError: If a layer is of a kind that no picture here shows.
    """
    rows, arcs = [], []
    for layer in model.layers:
        match = re.match(r"(stem|stage\d+)_", layer.name)
        part = match[1] if match else "head"
        if isinstance(layer, ResidualBlock):
            first = len(rows)
            rows += _block_rows(layer, part)
            if layer.shortcut_layer is not None:
                has_weights = bool(layer.shortcut_layer.weights)
                label = shortcut_label(layer)
                arcs.append(Arc(layer.name, first, len(rows) - 1, label, has_weights))
        elif isinstance(layer, keras.layers.InputLayer):
            rows.append(Row("image", "input", "image", tuple(layer.output.shape[1:]), False))
        elif not isinstance(layer, keras.layers.Activation):
            shape = tuple(layer.output.shape[1:])
            rows.append(Row(layer.name, part, layer_label(layer), shape, bool(layer.weights)))
    return rows, arcs


def layer_label(layer):
    """Returns in a few words what a layer is: its kind, filters or units, stride and dilation."""
    if isinstance(layer, ConvNorm):
        label = f"{_by(layer.kernel_size)} conv, {layer.filters}"
        if max(layer.strides) > 1:
            label += f", stride {_one(layer.strides)}"
        if max(layer.dilation) > 1:
            label += f", dilation {_one(layer.dilation)}"
        return label
    if isinstance(layer, SymmetricMaxPooling2D):
        return f"{_by([layer.pool_size] * 2)} max pool, stride {layer.strides}"
    if isinstance(layer, AveragePooling2D):
        return f"{_by([layer.pool_size] * 2)} average, stride {layer.strides}"
    if isinstance(layer, SqueezeExcitation):
        return "squeeze, excite"
    if isinstance(layer, keras.layers.BatchNormalization):
        return "batch norm"
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        return "average pool"
    if isinstance(layer, keras.layers.Dense):
        return f"dense, {layer.units}"
    raise TypeError(f"No picture shows a {type(layer).__name__}. Received: {layer.name!r}")


def shortcut_label(block):
    """Returns what a block's shortcut does to its input: nothing, where it is the identity."""
    shortcut = block.shortcut_layer
    if isinstance(shortcut, ProjectionShortcut):
        return layer_label(shortcut.conv_norm)
    changes = []
    if shortcut.strides > 1:
        changes.append(f"subsample by {shortcut.strides}")
    missing = shortcut.filters - block.input.shape[channel_axis(block.data_format)]
    if missing:
        changes.append(f"{missing} zero channels")
    return ", ".join(changes)


def _block_rows(block, part):
    rows = []
    shape = tuple(block.input.shape)
    for layer in block.branch_layers():
        shape = layer.compute_output_shape(shape)
        if not isinstance(layer, keras.layers.Activation):
            name = f"{block.name}/{layer.name}"
            rows.append(Row(name, part, layer_label(layer), tuple(shape[1:]), bool(layer.weights)))
    return rows


def _by(pair):
    return "×".join(str(size) for size in pair)


def _one(pair):
    return str(pair[0]) if len(set(pair)) == 1 else _by(pair)
