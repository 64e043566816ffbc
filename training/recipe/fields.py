"""Conditions between a recipe's fields."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from keras_resnets.arguments import nearest
from training.recipe.duration import parse_duration


def settle_types(group: Any, prefix: str) -> None:
    """Checks each field of a frozen dataclass against its annotation.

    A whole number passes for a float, and a list, which is what TOML has, for a tuple; both are
    replaced by what was annotated, so that equal recipes are written alike.
    """
    for field in dataclasses.fields(group):
        value = _settled(f"{prefix}{field.name}", getattr(group, field.name), field.type)
        object.__setattr__(group, field.name, value)


def require(is_met: bool, rule: str, **received: Any) -> None:
    """Raises unless a rule is met."""
    if not is_met:
        values = ", ".join(f"{_dotted(name)}={value!r}" for name, value in received.items())
        raise ValueError(f"{rule}. Received: {values}")


def require_effect(group: Any, prefix: str, names: Iterable[str], beside: str) -> None:
    """Raises if a field that has no effect differs from its default."""
    defaults = {field.name: field.default for field in dataclasses.fields(group)}
    for name in names:
        value = getattr(group, name)
        if value != defaults[name]:
            raise ValueError(
                f"`{prefix}{name}` has no effect beside {beside}: leave it at "
                f"{defaults[name]!r}. Received: {prefix}{name}={value!r}, {beside}"
            )


def require_effects(
    group: Any, prefix: str, chosen: str, effective: Mapping[str, Iterable[str]]
) -> None:
    """Raises if a field is set that has an effect only for other values of the field `chosen`."""
    value = getattr(group, chosen)
    elsewhere = {name for names in effective.values() for name in names}
    without = sorted(elsewhere.difference(effective[value]))
    require_effect(group, prefix, without, f"{prefix}{chosen}={value!r}")


def require_ranges(group: Any, prefix: str, ranges: Mapping[str, str]) -> None:
    """Raises if a number is outside of its interval."""
    for name, interval in ranges.items():
        value = getattr(group, name)
        low, high = map(float, interval[1:-1].split(","))
        above = value > low if interval[0] == "(" else value >= low
        below = value < high if interval[-1] == ")" else value <= high
        require(
            above and below,
            f"`{prefix}{name}` must be in {interval}",
            **{f"{prefix}{name}".replace(".", "__"): value},
        )


def require_duration(name: str, text: str, positive: bool = True) -> None:
    """Raises if a text is no duration, or must last and does not."""
    try:
        number, _ = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"`{name}`: {error}") from error
    if positive and not number:
        raise ValueError(f"`{name}` must be longer than nothing. Received: {name}={text!r}")


def lasts(text: str) -> bool:
    """Returns whether a duration is longer than nothing."""
    return bool(parse_duration(text).number)


def _settled(name, value, hint):
    """Returns the value as its annotation has it."""
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
        return tuple(_settled(name, part, kind) for part, kind in zip(value, kinds, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        kind = _KINDS.get(hint, f"a {hint.__name__}")
        raise ValueError(f"`{name}` must be {kind}. Received: {name}={value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}")
    return value


_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def _dotted(name):
    return name.replace("__", ".")
