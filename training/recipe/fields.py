"""Fields of a recipe that say which values they take, and the durations among them."""

import dataclasses
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args, get_origin

from keras_resnets.arguments import nearest

Value = TypeVar("Value")
Condition = tuple[Any, ...] | Callable[[Any], object]


class Unset(tuple[Any, ...]):
    """A list's default, which is equal to the same values that were given, but told apart."""


def option(default: Value, interval: str = "", **when: Condition) -> Value:
    """Declares a field of a group, with an interval of its numbers such as `"[0, 1)"`.

    `when` has other fields with the values, or a test of the value, beside which it has an effect.
    """
    return dataclasses.field(default=default, metadata={"interval": interval, "when": when})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """A frozen dataclass whose fields check, and convert to, what they declare."""

    prefix: ClassVar[str]

    def __init_subclass__(cls, prefix: str = ""):
        """Notes what stands before the names of the fields in a recipe."""
        cls.prefix = prefix

    def __post_init__(self):
        for field in dataclasses.fields(self):
            name, value = f"{self.prefix}{field.name}", getattr(self, field.name)
            object.__setattr__(self, field.name, _converted(name, value, field.type))
        for field in dataclasses.fields(self):
            metadata, value = field.metadata, getattr(self, field.name)
            _check_interval(f"{self.prefix}{field.name}", value, metadata.get("interval"))
            for other, condition in metadata.get("when", {}).items():
                value = getattr(self, other)
                if not (condition(value) if callable(condition) else value in condition):
                    self.require_default(field.name, f"{self.prefix}{other}={value!r}")

    def require(self, is_met: object, rule: str, names: str) -> None:
        """Raises unless a rule about some fields, named in a text, is met."""
        if not is_met:
            values = (
                f"{self.prefix}{name}={operator.attrgetter(name)(self)!r}" for name in names.split()
            )
            raise ValueError(f"{rule}. Received: {', '.join(values)}")

    def require_default(self, name: str, beside: str) -> None:
        """Raises if a field that has no effect differs from its default."""
        value, default = getattr(self, name), getattr(type(self), name)
        if value != default:
            name = f"{self.prefix}{name}"
            raise ValueError(
                f"`{name}` has no effect beside {beside}: leave it at {default!r}. "
                f"Received: {name}={value!r}, {beside}"
            )


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _converted(name, value, hint):
    """Returns a value as its annotation has it; raises if it cannot be."""
    if isinstance(value, Unset):
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            hint = nearest(value, arguments) if isinstance(value, str) else ""
            raise ValueError(
                f"`{name}` must be one of {', '.join(map(repr, arguments))}.{hint} "
                f"Received: {name}={value!r}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"`{name}` must be a list. Received: {name}={value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(value) != len(kinds):
            raise ValueError(f"`{name}` must have {len(kinds)} values. Received: {name}={value!r}")
        return tuple(_converted(name, part, kind) for part, kind in zip(value, kinds, strict=True))
    if hint is float and type(value) is int:
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        kind = _KINDS.get(hint, f"a {hint.__name__}")
        raise ValueError(f"`{name}` must be {kind}. Received: {name}={value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}")
    return value


def _check_interval(name, value, interval):
    if not interval:
        return
    if isinstance(value, tuple):
        for part in value:
            _check_interval(name, part, interval)
        return
    low, high = map(float, interval[1:-1].split(","))
    number, rule = value, f"be in {interval}"
    if isinstance(value, str):
        try:
            number, rule = parse_duration(value).number, "be longer than 0"
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from error
    is_above = number > low if interval[0] == "(" else number >= low
    is_below = number < high if interval[-1] == ")" else number <= high
    if not (is_above and is_below):
        raise ValueError(f"`{name}` must {rule}. Received: {name}={value!r}")


_UNITS = ("epochs", "steps", "examples")
_FORM = re.compile(r"(\d[\d_]*(?:\.\d+)?) (epoch|step|example)s?")


class Duration(NamedTuple):
    """A number, which is whole unless it counts epochs, of epochs, steps or examples."""

    number: Fraction
    unit: str


def parse_duration(text: str) -> Duration:
    """Reads a duration such as `"90 epochs"`, `"0.5 epochs"`, `"64_000 steps"` or `"1 step"`."""
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


def lasts(text: str) -> bool:
    """Returns whether a duration is longer than 0."""
    return bool(parse_duration(text).number)


def is_shorter(one: str, other: str, times: int, batch: int) -> bool:
    """Returns whether a duration some times is shorter than another, or cannot be compared."""
    (one_number, one_unit), (other_number, other_unit) = map(parse_duration, (one, other))
    if (one_unit == "epochs") != (other_unit == "epochs"):
        return True
    scale = {"epochs": 1, "examples": 1, "steps": batch}
    return times * one_number * scale[one_unit] < other_number * scale[other_unit]


def part_of(text: str, part: Fraction) -> str:
    """Returns a part of a duration; of what is counted, 1 at least."""
    number, unit = parse_duration(text)
    rounded = f"{float(number * part):g}" if unit == "epochs" else max(1, int(number * part))
    return f"{rounded} {unit}"


def to_steps(duration: str, batch: int, examples: int) -> int:
    """Returns the number of steps after which a duration is over.

    An epoch is as many drawn examples as the training split has. Batches run over the end of an
    epoch, so nothing is dropped. A duration that ends within a batch ends after it.

    Example:

    >>> to_steps("1 epoch", batch=128, examples=50_000)
    391
    >>> to_steps("15 epochs", batch=128, examples=50_000)  # not 15 · 391
    5860
    """
    number, unit = parse_duration(duration)
    if unit == "steps":
        return int(number)
    drawn = number * examples if unit == "epochs" else number
    return math.ceil(drawn / batch)
