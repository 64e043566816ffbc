"""What a benchmark found: the raw figures as JSON, and what is computed from them."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1
# A multiply-add is two operations; the backward pass does it twice more: once for the gradient of
# the weights, once for that of the input.
OPERATIONS_OF_A_MAC = 2 * 3


class Figures(NamedTuple):
    """What is computed from a row, for one step, batch or product.

    `to_ours` is the median over the rounds of the time over ours in the same round. `cpu_to_ours`
    is the same of the processor's time, which says more on a busy machine, and nothing of work that
    an accelerator does.
    """

    seconds: float  # the median
    low: float  # the lower quartile
    high: float  # the upper quartile
    cpu_seconds: float  # the median, over all threads
    rate: float  # images, or operations, a second
    cpu_rate: float  # the same a second of one processor core
    to_ours: float | None
    cpu_to_ours: float | None
    operations: float  # a second, on a CPU of one core; 0 where none are counted


def figures(row: Mapping[str, Any], ours: Mapping[str, Any] | None) -> Figures:
    """Computes what is shown of a row.

    Example:

    >>> row = {"times": 2, "images": 8, "macs": 100, "seconds": [2.0, 4.0, 6.0]}
    >>> row |= {"cpu_seconds": [4.0, 8.0, 12.0], "device": "a GPU"}
    >>> result = figures(row, ours=row | {"seconds": [1.0, 1.0, 2.0]})
    >>> result.seconds, result.rate, result.cpu_rate, result.to_ours, result.operations
    (2.0, 4.0, 2.0, 3.0, 2400.0)
    """
    seconds = [value / row["times"] for value in row["seconds"]]
    cpu_seconds = statistics.median(row["cpu_seconds"]) / row["times"]
    median = statistics.median(seconds)
    low, _, high = (
        statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else 3 * [median]
    )
    amount = row["images"] if "images" in row else row["operations"]
    operations = row.get("operations", OPERATIONS_OF_A_MAC * row.get("macs", 0) * amount)
    return Figures(
        median,
        low,
        high,
        cpu_seconds,
        amount / median,
        amount / cpu_seconds if cpu_seconds else 0.0,
        _median(ratios(row, ours, "seconds")),
        _median(ratios(row, ours, "cpu_seconds")),
        operations / (cpu_seconds if row["device"] == "CPU" else median),
    )


def ours_beside(row: Mapping[str, Any], results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the row of ours that does the same as a row, or `None`."""
    name = "ours" if row["kind"] == "step" else row["name"].split("-")[0] + "-ours"
    for other in results["rows"]:
        if (other["name"], other["precision"]) == (name, row["precision"]):
            return other
    return None


def product_rates(results: Mapping[str, Any]) -> dict[str, float]:
    """Returns the machine's measured rate, as `Figures.operations`, by the precision."""
    return {
        row["precision"]: figures(row, None).operations
        for row in results["rows"]
        if row["kind"] == "product"
    }


def _median(values):
    return statistics.median(values) if values else None


def ratios(row: Mapping[str, Any], ours: Mapping[str, Any] | None, what: str) -> list[float]:
    """Returns what a turn took over ours in each round, in `"seconds"` or `"cpu_seconds"`."""
    if ours is None:
        return []
    return [
        (value / row["times"]) / (reference / ours["times"])
        for value, reference in zip(row[what], ours[what], strict=True)
    ]


def write_results(results: Mapping[str, Any], path: Path) -> None:
    """Writes results as JSON, a line a row."""

    def line(value):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    parts = [f"{line(name)}: {line(value)}" for name, value in results.items() if name != "rows"]
    rows = ",\n".join(map(line, results["rows"]))
    text = ",\n".join([*parts, f'"rows": [\n{rows}\n]'])
    path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def read_results(path: Path) -> dict[str, Any]:
    """Reads the results in a file."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(results, dict) or results.get("schema") != SCHEMA:
        raise ValueError(
            f"A benchmark's results must have the version {SCHEMA}. Received: {path} with another"
        )
    return results
