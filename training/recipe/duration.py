"""Durations in steps or epochs."""

import math
import re
from fractions import Fraction
from typing import NamedTuple

_UNITS = ("epochs", "steps", "examples")
_FORM = re.compile(r"(\d[\d_]*(?:\.\d+)?) (epoch|step|example)s?")


class Duration(NamedTuple):
    """A number of epochs, steps or examples.

    Attributes:
        number: Not negative. Whole, unless it counts epochs.
        unit: `"epochs"`, `"steps"` or `"examples"`.
    """

    number: Fraction
    unit: str


def parse_duration(text: str) -> Duration:
    """Reads a duration such as `"90 epochs"`, `"0.5 epochs"`, `"64_000 steps"` or `"1 step"`.

    Example:

    >>> number, unit = parse_duration("1.5 epochs")
    >>> float(number), unit
    (1.5, 'epochs')
    """
    match = _FORM.fullmatch(str(text))
    if match is None:
        raise ValueError(
            "A duration must be a number and a unit, such as '90 epochs', '64000 steps' or "
            f"'1000000 examples'. Received: {text!r}"
        )
    number = Fraction(match[1].replace("_", ""))
    unit = next(unit for unit in _UNITS if unit.startswith(match[2]))
    if unit != "epochs" and number.denominator != 1:
        raise ValueError(f"A number of {unit} must be whole. Received: {text!r}")
    return Duration(number, unit)


def to_steps(duration: str, batch: int, examples: int) -> int:
    """Returns the number of steps after which a duration is over.

    An epoch is as many drawn examples as the training split has. Batches run over the end of an
    epoch, so nothing is dropped, and what ends in the middle of a batch ends after it.

    Example:

    >>> to_steps("1 epoch", batch=128, examples=50_000)
    391
    >>> to_steps("15 epochs", batch=128, examples=50_000)  # not 15 · 391
    5860
    """
    if batch < 1:
        raise ValueError(f"`batch` must be at least 1. Received: batch={batch}")
    if examples < 1:
        raise ValueError(f"`examples` must be at least 1. Received: examples={examples}")
    number, unit = parse_duration(duration)
    if unit == "steps":
        return int(number)
    drawn = number * examples if unit == "epochs" else number
    return math.ceil(drawn / batch)
