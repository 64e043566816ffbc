"""Names of options on the command line: a mistyped one is told by those that are nearest."""

import dataclasses
import difflib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence

import tyro

# What other programs, or the words for it, call an option.
ALIASES = {
    "batch-size": "batch",
    "dataset": "data.source",
    "duration": "length",
    "epochs": "length",
    "lr": "optimizer.learning-rate",
    "mixed-precision": "precision",
    "output": "run-dir",
    "steps": "length",
    "wd": "optimizer.weight-decay",
}
TRUTHS = ("true", "false", "yes", "no")


def check_option_names(
    command: Callable[..., int], arguments: Sequence[str], program: str = "python -m training"
) -> None:
    """Raises for an option that a command does not have, and for a value behind a switch.

    Example:

    >>> def grow(height: float = 1.0, blossoms: bool = False) -> int: ...
    >>> check_option_names(grow, ["--heigth", "2"])
    Traceback (most recent call last):
    ...
    ValueError: There is no option `--heigth`. Did you mean '--height'? Received: --heigth 2
    """
    options = _options(command)
    for place, argument in enumerate(arguments):
        name, _, _ = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name in ("", "help"):
            continue
        following = arguments[place + 1 : place + 2]
        value = following[0] if following and not following[0].startswith("--") else ""
        received = f"Received: {argument} {value}".rstrip()
        name = name.replace("_", "-")
        if name not in options:
            meant = _meant(name, options) or f" `{program} --help` lists them all."
            raise ValueError(f"There is no option `--{name}`.{meant} {received}")
        opposite = options[name]
        if opposite and ("=" in argument or value.lower() in TRUTHS):
            raise ValueError(
                f"`--{name}` takes no value; its opposite is `--{opposite}`. {received}"
            )


def _options(command) -> dict[str, str]:
    """Returns the names of a command's options; with each switch its opposite, else nothing."""
    options: dict[str, str] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind, *notes = typing.get_args(parameter.annotation) or (parameter.annotation,)
        is_annotated = typing.get_origin(parameter.annotation) is typing.Annotated
        if is_annotated and _POSITIONAL in notes:
            continue
        names = [note.name for note in notes if getattr(note, "name", None) is not None]
        name = names[0] if is_annotated and names else parameter.name
        _add(options, name, kind if is_annotated else parameter.annotation)
    return options


def _add(options, name, kind):
    """Adds an option, or those of a group."""
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            _add(options, f"{name}.{field.name}".removeprefix("."), field.type)
        return
    name = name.replace("_", "-")
    options[name] = ""
    if kind is bool:
        group, _, last = name.rpartition(".")
        opposite = f"{group}.no-{last}".removeprefix(".")
        options |= {name: opposite, opposite: name}


_POSITIONAL = typing.get_args(tyro.conf.Positional[str])[1]


def _meant(name: str, options: Mapping[str, str]) -> str:
    """Returns " Did you mean …?" with the options that are nearest by their last part."""
    last = name.rpartition(".")[2]
    alias = ALIASES.get(last)
    if alias in options:
        return f" Did you mean '--{alias}'?"
    by_last: dict[str, list[str]] = {}
    for option in options:
        by_last.setdefault(option.rpartition(".")[2], []).append(option)
    close = [last] if last in by_last else difflib.get_close_matches(last, by_last, 2, cutoff=0.6)
    names = [option for each in close for option in by_last[each]]
    names.sort(key=lambda option: -difflib.SequenceMatcher(None, name, option).ratio())
    listed = " or ".join(f"'--{option}'" for option in names[:2])
    return f" Did you mean {listed}?" if names else ""
