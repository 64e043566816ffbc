"""Parameters and multiply-adds, counted on the layers of a model, and their table by stage."""

import dataclasses
import math
import re
from typing import NamedTuple

import keras
import numpy as np

from keras_resnets.architecture.copying import copy_layer
from keras_resnets.layers import ConvNorm, ProjectionShortcut, ResidualBlock, ShortcutGate

# Weights that follow the data and not a gradient, in batch normalization and `Normalization`.
STATISTICS = {
    *("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev"),
    *("mean", "variance", "count"),
}

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
# By the convention of the papers, what works on each value alone counts nothing.
FREE = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
    ShortcutGate,  # one that multiplies by a weight
)


class ParameterCount(NamedTuple):
    """Numbers of parameters.

    Attributes:
        trainable: Those that training changes by gradients, whether frozen at present or not.
        total: The same and the moving statistics of batch normalization.
    """

    trainable: int
    total: int


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one layer with weights costs.

    Attributes:
        name: Its path in the model, such as `stage1_block1/conv1/conv`.
        output_shape: Shape of its output, batch included.
        parameters: Number of trainable parameters.
        macs: Multiply-adds for one image.
    """

    name: str
    output_shape: tuple
    parameters: int
    macs: int


def count_parameters(model):
    """Counts the parameters of a Keras model.

    Args:
        model: A built `keras.Model`, of this package or another.

    Returns:
        A `ParameterCount` with `trainable` and `total`.

    Raises:
        TypeError: If `model` is not a Keras model.

    Example:

    >>> keras_resnets.analysis.count_parameters(keras_resnets.ResNet20())
    ParameterCount(trainable=269722, total=271098)
    """
    _check_model("model", model)
    trainable = sum(_size(weight) for weight in model.weights if weight.name not in STATISTICS)
    return ParameterCount(trainable, sum(_size(weight) for weight in model.weights))


def count_macs(model, input_shape=None):
    """Counts the multiply-adds of a functional model for one image.

    Convolutions and dense layers count; batch normalization, activations, pooling and additions do
    not, as in table 1 of [He et al., 2015](https://arxiv.org/abs/1512.03385). One multiply-add is
    one multiplication with its addition, never two operations.

    Args:
        model: A functional `keras.Model`.
        input_shape: The image's shape without the batch; needed if the model's own leaves height
            or width open.

    Returns:
        The number of multiply-adds.

    Raises:
        ValueError: If the size of the image is open, or `input_shape` does not fit the model.
        TypeError: If `model` is not a Keras model, or has a layer whose cost is not known here.

    Example:

    >>> keras_resnets.analysis.count_macs(keras_resnets.ResNet20())
    40551040
    """
    return sum(cost.macs for cost in layer_costs(model, input_shape))


def assert_same_cost(a, b, input_shape=None):
    """Raises unless two models have the same parameters and multiply-adds.

    Args:
        a: A functional `keras.Model`.
        b: Another.
        input_shape: The image's shape, if the models leave it open.

    Raises:
        AssertionError: If they differ; it says by how much, and in which layers.
        ValueError, TypeError: As `count_macs`.

    Example:

    >>> model = keras_resnets.ResNet20()  # option A: no shortcut has weights
    >>> keras_resnets.analysis.assert_same_cost(model, keras_resnets.plain_twin(model))
    """
    _check_model("a", a)
    _check_model("b", b)
    totals_a = (*count_parameters(a), count_macs(a, input_shape))
    totals_b = (*count_parameters(b), count_macs(b, input_shape))
    if totals_a == totals_b:
        return
    lines = [f"{a.name!r} and {b.name!r} do not cost the same:"]
    for what, of_a, of_b in zip(
        ("trainable parameters", "parameters in all", "multiply-adds"),
        totals_a,
        totals_b,
        strict=True,
    ):
        if of_a != of_b:
            lines.append(f"  {what}: {of_a:,} and {of_b:,}, a difference of {of_b - of_a:+,}")
    lines += _differing_layers(a, b, input_shape)
    raise AssertionError("\n".join(lines))


def layer_costs(model, input_shape=None):
    """Returns the cost of every layer with weights, in the order of the model's layers.

    Args:
        model: A functional `keras.Model`.
        input_shape: The image's shape, if the model leaves it open.

    Returns:
        A list of `LayerCost`.

    Raises:
        ValueError, TypeError: As `count_macs`.

    Example:

    >>> keras_resnets.analysis.layer_costs(keras_resnets.ResNet20())[0]
    LayerCost(name='stem_conv/conv', output_shape=(None, 32, 32, 16), parameters=432, macs=442368)
    """
    model = with_known_shapes(model, input_shape)
    graph = getattr(model, "_functional", None) or model  # a Sequential model's own graph
    nodes = {id(node) for level in graph._nodes_by_depth.values() for node in level}
    costs: list[LayerCost] = []
    for layer in model.layers:
        calls = [node for node in layer._inbound_nodes if id(node) in nodes]
        for number, call in enumerate(calls if layer.weights else ()):
            if len(call.input_tensors) != 1:
                raise TypeError(
                    "Multiply-adds are known for layers with one input. Received: "
                    f"{layer.name!r}, a {type(layer).__name__}"
                )
            added: list[LayerCost] = []
            _add_costs(layer, tuple(call.input_tensors[0].shape), layer.name, added)
            if number:  # called again: it computes again, and has the same parameters
                added = [dataclasses.replace(cost, parameters=0) for cost in added]
            costs += added
    return costs


def _add_costs(layer, input_shape, name, costs):
    """Appends the costs of a layer, or of the layers that it is made of."""
    if isinstance(layer, keras.Model):
        inner = with_known_shapes(layer, input_shape[1:])
        costs += [
            dataclasses.replace(cost, name=f"{name}/{cost.name}") for cost in layer_costs(inner)
        ]
    elif isinstance(layer, ResidualBlock):
        shape = input_shape
        for sublayer in layer.branch_layers():
            if sublayer.weights:
                _add_costs(sublayer, shape, f"{name}/{sublayer.name}", costs)
            shape = sublayer.compute_output_shape(shape)
        if layer.shortcut_layer is not None:
            shape = input_shape
        for sublayer in layer.bypass_layers():
            if sublayer.weights:
                _add_costs(sublayer, shape, f"{name}/{sublayer.name}", costs)
            shape = sublayer.compute_output_shape(shape)
    elif isinstance(layer, ProjectionShortcut):
        _add_costs(layer.conv_norm, input_shape, f"{name}/{layer.conv_norm.name}", costs)
    elif isinstance(layer, ShortcutGate) and layer.conv is not None:
        costs.append(_cost(layer.conv, input_shape, f"{name}/{layer.conv.name}"))
    elif isinstance(layer, ConvNorm):
        shape = layer.compute_output_shape(input_shape)
        costs.append(_cost(layer.conv, shape, f"{name}/{layer.conv.name}"))
        if layer.norm is not None:
            costs.append(_cost(layer.norm, shape, f"{name}/{layer.norm.name}"))
    else:
        costs.append(_cost(layer, layer.compute_output_shape(input_shape), name))


def _cost(layer, output_shape, name):
    """Returns the cost of a layer that is not made of others."""
    parameters = sum(_size(weight) for weight in layer.weights if weight.name not in STATISTICS)
    if isinstance(layer, FREE):
        macs = 0
    elif isinstance(layer, CONVOLUTIONS):
        positions = math.prod(output_shape[1:]) // layer.filters
        macs = positions * _size(layer.kernel)
    elif isinstance(layer, keras.layers.Dense):
        macs = math.prod(output_shape[1:-1]) * _size(layer.kernel)
    else:
        raise TypeError(
            "Multiply-adds are known for convolutions, dense layers and the layers of "
            f"keras_resnets. Received: {name!r}, a {type(layer).__name__}"
        )
    return LayerCost(name, tuple(output_shape), parameters, macs)


def with_known_shapes(model, input_shape):
    """Returns the model, or a clone of it for images of the given shape."""
    _check_model("model", model)
    if not hasattr(model, "input_shape") or isinstance(model.input_shape, (list, dict)):
        raise TypeError(
            f"`model` must be a functional model with one input. Received: {model.name!r}"
        )
    own = tuple(model.input_shape[1:])
    if input_shape is not None:
        _check_input_shape(input_shape)
    if input_shape is None or tuple(input_shape) == own:
        if None in own:
            raise ValueError(
                f"`input_shape` must be given, for {model.name!r} takes images of any size. "
                f"Received: input_shape={input_shape}, model.input_shape={model.input_shape}"
            )
        return model
    wanted = tuple(input_shape)
    fits = len(wanted) == len(own) and all(
        size is not None and present in (None, size)
        for size, present in zip(wanted, own, strict=True)
    )
    if not fits:
        raise ValueError(
            f"`input_shape` must fit the input of {model.name!r}, and be known. "
            f"Received: input_shape={input_shape}, model.input_shape={model.input_shape}"
        )
    inputs = keras.Input(wanted)
    return keras.models.clone_model(model, input_tensors=inputs, clone_function=copy_layer)


def _check_input_shape(shape):
    """Raises unless a shape is a tuple of positive integers, or of `None` for what is open."""
    if not isinstance(shape, (tuple, list)) or not all(
        size is None
        or (isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size > 0)
        for size in shape
    ):
        raise ValueError(
            f"`input_shape` must be a tuple of positive integers. Received: input_shape={shape!r}"
        )


def _differing_layers(a, b, input_shape, most=8):
    """Returns lines that name the first layers at which two models differ."""
    in_a = {cost.name: cost for cost in layer_costs(a, input_shape)}
    in_b = {cost.name: cost for cost in layer_costs(b, input_shape)}
    lines = []
    for name in dict.fromkeys([*in_a, *in_b]):
        pair = [_price(costs.get(name)) for costs in (in_a, in_b)]
        if pair[0] != pair[1]:
            lines.append(f"  {name}: {pair[0]} and {pair[1]}")
    if len(lines) > most:
        lines[most:] = [f"  and {len(lines) - most} layers more"]
    return lines


def _price(cost):
    if cost is None:
        return "absent"
    return f"{cost.parameters:,} parameters, {cost.macs:,} multiply-adds"


def _check_model(name, model):
    if not isinstance(model, keras.Model):
        raise TypeError(f"`{name}` must be a keras.Model. Received: {name}={model!r}")


def _size(weight):
    return math.prod(weight.shape)


@dataclasses.dataclass(frozen=True)
class StageCost:
    """What one part of a model costs.

    Attributes:
        name: `"stem"`, `"stage1"` and so on, or `"head"`; `"input"` for what comes before.
        output_shape: Shape of what it puts out, without the batch.
        parameters: Number of trainable parameters.
        macs: Multiply-adds for one image.
        share: Its part of the model's multiply-adds, in [0, 1].
    """

    name: str
    output_shape: tuple
    parameters: int
    macs: int
    share: float


@dataclasses.dataclass(frozen=True)
class CostTable:
    """The parts of a model with their costs; `print` it for the table.

    Attributes:
        rows: A `StageCost` for each part, from the input on.
    """

    rows: tuple

    def __str__(self):
        total = StageCost(
            "total",
            (),
            sum(row.parameters for row in self.rows),
            sum(row.macs for row in self.rows),
            sum(row.share for row in self.rows),
        )
        lines = [("", "output", "parameters", "multiply-adds", "share")]
        for row in (*self.rows, total):
            size = "×".join(str(length) for length in row.output_shape)
            lines.append(
                (row.name, size, f"{row.parameters:,}", f"{row.macs:,}", f"{row.share:.1%}")
            )
        widths = [max(len(line[column]) for line in lines) for column in range(5)]
        return "\n".join(
            f"{name:<{widths[0]}}  "
            + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
            for name, *cells in lines
        )


def summarize(model, input_shape=None):
    """Adds up a model's cost by stage.

    Args:
        model: A functional model of the zoo.
        input_shape: The image's shape without the batch, if the model leaves it open.

    Returns:
        A `CostTable`.

    Raises:
        ValueError, TypeError: As `count_macs`.

    Example:

    >>> print(keras_resnets.analysis.summarize(keras_resnets.ResNet20()))
              output  parameters  multiply-adds   share
    stem    32×32×16         464        442,368    1.1%
    stage1  32×32×16      14,016     14,155,776   34.9%
    stage2  16×16×32      51,072     12,976,128   32.0%
    stage3    8×8×64     203,520     12,976,128   32.0%
    head          10         650            640    0.0%
    total                269,722     40,551,040  100.0%
    """
    model = with_known_shapes(model, input_shape)
    known = [layer.name for layer in model.layers if _part(layer.name)]
    first = [layer.name for layer in model.layers].index(known[0]) if known else 0
    before = {layer.name for layer in model.layers[:first]}

    def part_of(name):
        if name.split("/")[0] in before:
            return "input"
        return _part(name) or "head"

    shapes = {part_of(layer.name): tuple(layer.output.shape[1:]) for layer in model.layers}
    costs = layer_costs(model)
    total = sum(cost.macs for cost in costs)
    parts: dict[str, list] = {}
    for cost in costs:
        parts.setdefault(part_of(cost.name), []).append(cost)
    return CostTable(
        tuple(
            StageCost(
                name,
                shapes[name],
                sum(cost.parameters for cost in part),
                sum(cost.macs for cost in part),
                sum(cost.macs for cost in part) / max(total, 1),
            )
            for name, part in parts.items()
        )
    )


def _part(name):
    match = re.match(r"(stem|stage\d+)_", name)
    return match[1] if match else None
