"""A model's cost, stage by stage, as a table."""

import dataclasses
import re

from keras_resnets.analysis.cost import layer_costs, with_known_shapes


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
