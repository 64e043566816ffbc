"""The command line: `python -m training COMMAND`."""

import signal

# Where the process ignores Ctrl-C, as `cmd &` in a script, Python has no handler either.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until a run can be saved, Ctrl-C ends the process at once. Python's own handler would raise
    # wherever it strikes: within a library's import, or in a callback of the garbage collector,
    # where the exception is printed and lost.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib
import dataclasses
import difflib
import importlib
import inspect
import sys
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence

from keras_resnets.arguments import nearest
from keras_resnets.command_start import missing_package
from training.process import Diverged, StopSignals

try:
    import tyro
    from rich.console import Console
    from rich.table import Table
except ModuleNotFoundError as error:
    sys.exit(f"error: {missing_package(error)}")

# Where the function of each command is. Its parameters are the options, and the first line of its
# docstring says what it does. What needs TensorFlow is imported when it runs.
COMMANDS = {
    "demo": "training.commands:demo",
    "recipes": "training.commands:recipes",
    "validate": "training.commands:validate_command",
    "data": "training.commands:data_command",
    "train": "training.commands:train_command",
    "sweep": "training.sweep:sweep",
    "compare": "training.commands:compare_command",
    "evaluate": "training.commands:evaluate_command",
    "publish": "training.commands:publish_command",
    "index": "training.commands:index",
    "study": "training.studies.command:study_command",
    "benchmark": "training.benchmark.command:benchmark",
}
OF_THE_PACKAGE = ("list", "describe", "convert", "predict", "export")
# Their runs handle signals themselves; before and after a run there is nothing to clean up.
WITH_RUNS = ("demo", "train", "sweep", "study")
# These make the command from the recipe that is named, whose values its help shows.
OF_A_RECIPE = ("data", "train")


def main(arguments: list[str]) -> int:
    """Runs a command and returns its exit status; a wrong argument is a line on stderr and 2."""
    if not arguments or arguments[0] in ("-h", "--help"):
        _print_help()
        return 0 if arguments else 2
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run(*arguments)


def _run(name, *words):
    try:
        if name not in COMMANDS:
            hint = nearest(name, COMMANDS)
            if name in OF_THE_PACKAGE:
                hint = f" `{name}` is a command of `keras-resnets`."
            raise ValueError(
                f"COMMAND must be one of {', '.join(COMMANDS)}.{hint} Received: {name!r}"
            )
        command, program = _command(name, words), f"python -m training {name}"
        rest = [_in_full(word) for word in words]
        if name == "sweep":  # its options are those of `train`, with several values
            options = [word for word in rest if word.startswith("--")]
            check_option_names(_command("train", rest[:1]), options, program)
            return command(rest)
        check_option_names(command, rest, program)
        with contextlib.nullcontext() if name in WITH_RUNS else StopSignals():
            return tyro.cli(command, prog=program, args=rest) or 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error)}", file=sys.stderr)
        return 2
    except (Diverged, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _show_warning(message, category, filename, lineno, file=None, line=None):
    """Shows a warning as a line of the command's, without the code that it comes from."""
    print(f"warning: {message}", file=sys.stderr)


def _in_full(word):
    """Returns a word of the command line with the first name of an option that has two."""
    name, equals, value = word.partition("=")
    return SYNONYMS.get(name.replace("_", "-"), name) + equals + value


def _print_help():
    print("usage: python -m training COMMAND [OPTION …]\n\nCommands:\n")
    table = Table(box=None, show_header=False)
    for name in COMMANDS:
        table.add_row(f"  {name}", (inspect.getdoc(_command(name, [])) or "").splitlines()[0])
    Console(highlight=False).print(table)
    print("\n`python -m training COMMAND --help` lists a command's options.")


def _command(name, arguments):
    """Returns the function of a command."""
    module, _, attribute = COMMANDS[name].partition(":")
    function = getattr(importlib.import_module(module), attribute)
    return function(arguments) if name in OF_A_RECIPE else function


# Options with a second name, which every command takes.
SYNONYMS = {"--dataset": "--data.source", "--test-share": "--data.test-share"}
# What other programs call an option.
ALIASES = {
    "batch-size": "batch",
    "duration": "length",
    "epochs": "length",
    "lr": "optimizer.learning-rate",
    "mixed-precision": "precision",
    "output": "run-dir",
    "steps": "length",
    "wd": "optimizer.weight-decay",
}
TRUTHS = ("true", "false", "yes", "no")
_POSITIONAL = typing.get_args(tyro.conf.Positional[str])[1]


def check_option_names(
    command: Callable[..., int], arguments: Sequence[str], program: str = "python -m training"
) -> None:
    """Raises for an unknown option, with the nearest ones, and for a value behind a switch.

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
    """Returns the names of a command's options, each with its opposite if it is a switch."""
    options: dict[str, str] = {}
    for parameter in inspect.signature(command).parameters.values():
        options |= _options_of(parameter.name, parameter.annotation)
    return options


def _options_of(name, kind):
    """Returns an option, or those of a group, as `_options` does."""
    if typing.get_origin(kind) is typing.Annotated:
        kind, *notes = typing.get_args(kind)
        if _POSITIONAL in notes:
            return {}
        names = [note.name for note in notes if getattr(note, "name", None) is not None]
        name = [*names, name][0]
    if dataclasses.is_dataclass(kind):
        options: dict[str, str] = {}
        for field in dataclasses.fields(kind):
            options |= _options_of(f"{name}.{field.name}".removeprefix("."), field.type)
        return options
    name = name.replace("_", "-")
    if kind is not bool:
        return {name: ""}
    group, _, last = name.rpartition(".")
    opposite = f"{group}.no-{last}".removeprefix(".")
    return {name: opposite, opposite: name}


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
