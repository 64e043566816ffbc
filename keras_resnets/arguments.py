"""Checks of arguments: each returns the value it accepted, or says what is allowed.

Keras is imported where it is needed, so that recipes are checked before a backend is imported.
"""

import contextlib
import difflib
import math
import numbers
import operator
import os
from collections.abc import Hashable, Iterable
from typing import Any


def check_int(name: str, value: Any, rule: str = "an integer") -> int:
    """Returns `value` as an `int`, or raises if it is not a whole number."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be {rule}. Received: {name}={value!r}") from None


def check_positive_int(name: str, value: Any) -> int:
    """Returns `value` as an `int`, or raises if it is not a whole number of at least 1."""
    number = check_int(name, value, "a positive integer")
    if number < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    return number


def check_pair(name: str, value: Any) -> tuple[int, int]:
    """Returns a positive integer, or a pair of them, as (vertical, horizontal)."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(
            f"`{name}` must be a positive integer or a pair of them. Received: {name}={value!r}"
        )
    return check_positive_int(name, pair[0]), check_positive_int(name, pair[1])


def check_choice(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Returns `value` if it is one of `allowed`, and otherwise names them all."""
    allowed = tuple(allowed)
    if isinstance(value, Hashable) and not isinstance(value, bool) and value in allowed:
        return value
    choices = ", ".join(repr(choice) for choice in allowed)
    raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")


def check_regular_file(path: str | os.PathLike) -> None:
    """Raises for a folder, and for a pipe or a device, whose reading may not end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(
            "A file must be a regular file, not a folder, a pipe or a device. "
            f"Received: {os.fspath(path)!r}"
        )


def check_name(name: str, value: Any) -> str | None:
    """Returns a name that Keras can file weights under, or `None`."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"`{name}` must be None or a string. Received: {name}={value!r}")
    if value == "" or (value and "/" in value):
        raise ValueError(f"`{name}` must not be empty or contain '/'. Received: {name}={value!r}")
    return value


def check_bool(name: str, value: Any, rule: str = "True or False") -> bool:
    """Returns `value` if it is `True` or `False`."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    return value


def check_rate(name: str, value: Any) -> float:
    """Returns a probability in [0, 1) as a `float`."""
    return _check_number(name, value, "in [0, 1)", lambda number: 0.0 <= number < 1.0)


def check_ratio(name: str, value: Any) -> float:
    """Returns a number in (0, 1] as a `float`."""
    return _check_number(name, value, "in (0, 1]", lambda number: 0.0 < number <= 1.0)


def check_momentum(name: str, value: Any) -> float:
    """Returns a number in [0, 1] as a `float`."""
    return _check_number(name, value, "in [0, 1]", lambda number: 0.0 <= number <= 1.0)


def check_positive_number(name: str, value: Any) -> float:
    """Returns a finite number above 0 as a `float`."""
    return _check_number(name, value, "above 0: positive", lambda number: 0.0 < number < math.inf)


def check_finite_number(name: str, value: Any) -> float:
    """Returns a finite number as a `float`."""
    return _check_number(name, value, "that is finite", math.isfinite)


def _check_number(name, value, rule, is_allowed):
    message = f"`{name}` must be a number {rule}. Received: {name}={value!r}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(message)
    if not is_allowed(value):
        raise ValueError(message)
    return float(value)


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns " Did you mean …?" with the known words nearest to `word`, or nothing."""
    by_lower_case = {name.lower(): repr(name) for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower_case, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(by_lower_case[name] for name in close)}?" if close else ""


def printable(text: str, most_letters: int = 300) -> str:
    """Escapes and cuts a message that may repeat what is in a file, without quoting it."""
    cut = text if len(text) <= most_letters else f"{text[:most_letters]}…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)


def check_data_format(name: str, value: Any) -> str:
    """Returns a data format; `None` stands for `keras.config.image_data_format()`."""
    import keras

    if value is None:
        return keras.config.image_data_format()
    return check_choice(name, value, ("channels_last", "channels_first"))


def check_activation(name: str, value: Any) -> Any:
    """Returns the function that a name or a callable stands for; `None` is the identity."""
    import keras

    if isinstance(value, (keras.layers.Layer, type)):
        raise TypeError(
            f"`{name}` must be a function without weights, or its name in `keras.activations`. "
            f"Received: {name}={value!r}"
        )
    if value is keras.activations.glu or (isinstance(value, str) and value == "glu"):
        raise ValueError(
            f"`{name}` must keep the number of channels, and GLU halves it. "
            f"Received: {name}={value!r}"
        )
    try:
        return keras.activations.get(value)
    except (TypeError, ValueError) as error:
        known = [key for key in dir(keras.activations) if not key.startswith("_")]
        hint = nearest(value, known) if isinstance(value, str) else ""
        raise ValueError(
            f"`{name}` must be a function or the name of one in `keras.activations`.{hint} "
            f"Received: {name}={value!r}"
        ) from error


def serialize_activation(function: Any) -> Any:
    """Returns an activation's name, as `keras.activations.serialize`, which imports TensorFlow."""
    import keras

    name = getattr(function, "__name__", "")
    if getattr(keras.activations, name, None) is function:
        return name
    return keras.activations.serialize(function)


def check_initializer(name: str, value: Any) -> Any:
    """Returns the initializer that a name, a configuration or a callable stands for."""
    import keras

    with contextlib.suppress(TypeError, ValueError):
        initializer = keras.initializers.get(value)
        if initializer is not None:
            return initializer
    raise ValueError(
        f"`{name}` must be an initializer or the name of one in `keras.initializers`. "
        f"Received: {name}={value!r}"
    )


SHORTCUTS = ("A", "B", "C", "D", None)
ANTI_ALIAS = ("blur", "average", None)


def check_shortcut_options(shortcut, zero_pad, zero_init_residual, drop_path_rate, pre_activation):
    """Raises if an option has no effect with, or contradicts, the kind of shortcut."""
    if zero_pad != "end" and shortcut != "A":
        raise ValueError(
            "`zero_pad` belongs to shortcut='A', which alone pads channels. "
            f"Received: zero_pad={zero_pad!r}, shortcut={shortcut!r}"
        )
    if shortcut is None and zero_init_residual:
        raise ValueError(
            "`zero_init_residual` needs a shortcut: a plain block whose last γ is 0 outputs zeros "
            "and passes no gradient. Received: zero_init_residual=True, shortcut=None"
        )
    if zero_init_residual and pre_activation:
        raise ValueError(
            "`zero_init_residual` needs a branch that ends in a normalization, whose γ begins at "
            "0; with `pre_activation` it ends in a convolution. "
            f"Received: zero_init_residual=True, pre_activation={pre_activation!r}"
        )
    if shortcut is None and drop_path_rate:
        raise ValueError(
            "`drop_path_rate` needs a shortcut: a plain block without its branch outputs nothing. "
            f"Received: drop_path_rate={drop_path_rate}, shortcut=None"
        )


def bottleneck_width(filters: int, groups: int, width_per_group: int) -> int:
    """Returns the number of channels between a bottleneck's 1×1 convolutions, or raises."""
    width = filters * width_per_group // 64 * groups
    if not width:
        raise ValueError(
            "`width_per_group` must leave a channel to each group of the narrowest block. "
            f"Received: width_per_group={width_per_group}, filters={filters}"
        )
    return width
