"""Parameters and multiply-adds, counted on the layers of a model, and their table by stage."""

import math
import re
from typing import NamedTuple

import keras

from keras_resnets.architecture.copying import copy_layer
from keras_resnets.arguments import check_positive_int
from keras_resnets.layers import (
    ConvNorm,
    ProjectionShortcut,
    ResidualBlock,
    ShortcutGate,
    SqueezeExcitation,
)
from keras_resnets.layers.feature_map import fits_shape, in_order
from keras_resnets.layers.graph import calls

# Weights that follow the data and not a gradient, in batch normalization and `Normalization`.
STATISTICS = {
    *("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev"),
    *("mean", "variance", "count"),
}

# Of the layers at which two models differ, how many an error names.
SHOWN_LAYERS = 8
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
        trainable: Those that gradients change, frozen ones included.
        total: The same and the moving statistics of batch normalization.
    """

    trainable: int
    total: int


class LayerCost(NamedTuple):
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
    check_model("model", model)
    return ParameterCount(_trainable(model), sum(map(_size, model.weights)))


def count_macs(model, input_shape=None):
    """Counts the multiply-adds of a functional model for one image.

    Convolutions and dense layers count; batch normalization, activations, pooling and additions do
    not, as in table 1 of [He et al., 2015](https://arxiv.org/abs/1512.03385). A multiplication and
    its addition are one multiply-add.

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
    check_model("a", a)
    check_model("b", b)
    totals_a = (*count_parameters(a), count_macs(a, input_shape))
    totals_b = (*count_parameters(b), count_macs(b, input_shape))
    if totals_a == totals_b:
        return
    lines = [f"{a.name!r} and {b.name!r} do not cost the same:"]
    names = ("trainable parameters", "parameters in all", "multiply-adds")
    for what, of_a, of_b in zip(names, totals_a, totals_b, strict=True):
        if of_a != of_b:
            lines.append(f"  {what}: {of_a:,} and {of_b:,}, a difference of {of_b - of_a:+,}")
    raise AssertionError("\n".join([*lines, *_differing_layers(a, b, input_shape)]))


def _differing_layers(a, b, input_shape):
    """Returns lines that name the first layers at which two models differ."""
    in_a, in_b = (
        {
            cost.name: f"{cost.parameters:,} parameters, {cost.macs:,} multiply-adds"
            for cost in layer_costs(model, input_shape)
        }
        for model in (a, b)
    )
    lines = [
        f"  {name}: {in_a.get(name, 'absent')} and {in_b.get(name, 'absent')}"
        for name in dict.fromkeys([*in_a, *in_b])
        if in_a.get(name) != in_b.get(name)
    ]
    if len(lines) > SHOWN_LAYERS:
        lines[SHOWN_LAYERS:] = [f"  and {len(lines) - SHOWN_LAYERS} layers more"]
    return lines


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
    of_layer = calls(model)
    costs: list[LayerCost] = []
    for layer in model.layers:
        for number, call in enumerate(of_layer[id(layer)] if layer.weights else ()):
            if len(call.input_tensors) != 1:
                raise TypeError(
                    "Multiply-adds are known for layers with one input. Received: "
                    f"{layer.name!r}, a {type(layer).__name__}"
                )
            for cost in _costs(layer, tuple(call.input_tensors[0].shape), layer.name):
                # Called again, it computes again, and has the same parameters.
                costs.append(cost._replace(parameters=0) if number else cost)
    return costs


def _costs(layer, input_shape, name):
    """Yields the costs of a layer, or of the layers that it is made of."""
    if isinstance(layer, keras.Model):
        for cost in layer_costs(with_known_shapes(layer, input_shape[1:])):
            yield cost._replace(name=f"{name}/{cost.name}")
    elif isinstance(layer, ResidualBlock):
        output_shape = yield from _costs_in_turn(layer.branch_layers(), input_shape, name)
        start = output_shape if layer.shortcut_layer is None else input_shape
        yield from _costs_in_turn(layer.bypass_layers(), start, name)
    elif isinstance(layer, ProjectionShortcut):
        layers = [layer.pool, layer.conv_norm] if layer.pool else [layer.conv_norm]
        yield from _costs_in_turn(layers, input_shape, name)
    elif isinstance(layer, SqueezeExcitation):
        one = in_order(layer.data_format, None, (1, 1), None)
        shape = tuple(size or given for size, given in zip(one, input_shape, strict=True))
        yield from _costs_in_turn([layer.reduce, layer.expand], shape, name)
    elif isinstance(layer, ShortcutGate) and layer.conv is not None:
        yield _cost(layer.conv, input_shape, f"{name}/{layer.conv.name}")
    elif isinstance(layer, ConvNorm):
        shape = layer.compute_output_shape(input_shape)
        for part in filter(None, (layer.conv, layer.norm)):
            yield _cost(part, shape, f"{name}/{part.name}")
    else:
        yield _cost(layer, layer.compute_output_shape(input_shape), name)


def _costs_in_turn(layers, shape, name):
    """Yields the costs of layers that follow each other; returns the shape of the last output."""
    for layer in layers:
        if layer.weights:
            yield from _costs(layer, shape, f"{name}/{layer.name}")
        shape = layer.compute_output_shape(shape)
    return shape


def _cost(layer, output_shape, name):
    """Returns the cost of a layer that is not made of others."""
    if isinstance(layer, FREE):
        macs = 0
    elif isinstance(layer, CONVOLUTIONS):
        macs = math.prod(output_shape[1:]) // layer.filters * _size(layer.kernel)
    elif isinstance(layer, keras.layers.Dense):
        macs = math.prod(output_shape[1:-1]) * _size(layer.kernel)
    else:
        raise TypeError(
            "Multiply-adds are known for convolutions, dense layers and the layers of "
            f"keras_resnets. Received: {name!r}, a {type(layer).__name__}"
        )
    return LayerCost(name, tuple(output_shape), _trainable(layer), macs)


def _trainable(layer):
    """Returns the number of a layer's or a model's weights that gradients change."""
    return sum(_size(weight) for weight in layer.weights if weight.name not in STATISTICS)


def _size(weight):
    return math.prod(weight.shape)


def with_known_shapes(model, input_shape):
    """Returns the model, or a clone of it for images of the given shape."""
    check_model("model", model)
    if not hasattr(model, "input_shape") or isinstance(model.input_shape, (list, dict)):
        raise TypeError(
            f"`model` must be a functional model with one input. Received: {model.name!r}"
        )
    own = tuple(model.input_shape[1:])
    wanted = own if input_shape is None else _checked_shape(input_shape)
    if None in wanted or not fits_shape(wanted, own):
        rule = f"fit the input of {model.name!r}, and be known"
        if wanted == own:
            rule = f"be given, for {model.name!r} takes images of any size"
        raise ValueError(
            f"`input_shape` must {rule}. "
            f"Received: input_shape={input_shape}, model.input_shape={model.input_shape}"
        )
    if wanted == own:
        return model
    inputs = keras.Input(wanted)
    return keras.models.clone_model(model, input_tensors=inputs, clone_function=copy_layer)


def _checked_shape(shape):
    """Returns a shape as a tuple of positive integers, and of `None` for what is open."""
    try:
        if isinstance(shape, (tuple, list)):
            return tuple(n if n is None else check_positive_int("input_shape", n) for n in shape)
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"`input_shape` must be a tuple of positive integers. Received: input_shape={shape!r}"
    )


def check_model(name, model):
    """Raises unless an argument is a Keras model."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`{name}` must be a keras.Model. Received: {name}={model!r}")


class StageCost(NamedTuple):
    """What one part of a model costs.

    Attributes:
        name: `"stem"`, `"stage1"` and so on, or `"head"`; `"input"` for what comes before.
        output_shape: Shape of its output, without the batch.
        parameters: Number of trainable parameters.
        macs: Multiply-adds for one image.
        share: Its part of the model's multiply-adds, in [0, 1].
    """

    name: str
    output_shape: tuple
    parameters: int
    macs: int
    share: float


class CostTable(NamedTuple):
    """The parts of a model with their costs; `print` it for the table.

    Attributes:
        rows: A `StageCost` for each part, from the input on.
    """

    rows: tuple[StageCost, ...]

    def __str__(self):
        sums = (sum(getattr(row, name) for row in self.rows) for name in StageCost._fields[2:])
        lines = [("", "output", "parameters", "multiply-adds", "share")]
        for row in (*self.rows, StageCost("total", (), *sums)):
            size = "×".join(map(str, row.output_shape))
            lines.append(
                (row.name, size, f"{row.parameters:,}", f"{row.macs:,}", f"{row.share:.1%}")
            )
        first, *others = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join([f"{name:<{first}}", *map(str.rjust, cells, others)])
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
    names = [layer.name for layer in model.layers]
    matches = [re.match(r"(stem|stage\d+)_", name) for name in names]
    first = next((index for index, match in enumerate(matches) if match), 0)
    parts = {
        name: match[1] if match else "input" if index < first else "head"
        for index, (name, match) in enumerate(zip(names, matches, strict=True))
    }
    shapes = {parts[layer.name]: tuple(layer.output.shape[1:]) for layer in model.layers}
    of_parts: dict[str, list[LayerCost]] = {}
    for cost in layer_costs(model):
        of_parts.setdefault(parts[cost.name.split("/")[0]], []).append(cost)

    total = sum(cost.macs for costs in of_parts.values() for cost in costs)
    rows = []
    for name, costs in of_parts.items():
        macs = sum(cost.macs for cost in costs)
        parameters = sum(cost.parameters for cost in costs)
        rows.append(StageCost(name, shapes[name], parameters, macs, macs / max(total, 1)))
    return CostTable(tuple(rows))
