"""The command `sweep`: a grid of runs by one recipe, which ends in their comparison."""

import dataclasses
import itertools
import re
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from training.commands import check_run, compare_command, train_command
from training.options import RunOptions
from training.process import Diverged, import_tensorflow
from training.recipe.recipe import Recipe

USAGE = """usage: python -m training sweep RECIPE --run-dir DIR [--FIELD VALUE …]…

Trains by a recipe with each combination of the values that its fields are given, and compares.

    python -m training sweep digits --model.name resnet20 plainnet20 --seed 0 1 --run-dir runs/x

The options are those of `train`. A field with several values, such as `--seed 0 1 2`, makes a run
of each; each run has a folder in DIR. The same command again resumes: complete runs are not trained
again. A run that diverges leaves the others alone. At the end DIR has the page of
`python -m training compare`."""


class PlannedRun(NamedTuple):
    """A run of the grid: its folder, its recipe, and how it is done."""

    run_dir: Path
    recipe: Recipe
    options: RunOptions


def sweep(arguments: Sequence[str]) -> int:
    """Trains by a recipe with several values of its fields, and compares the runs."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0 if arguments else 2
    runs = list(planned_runs(arguments))  # all of them are checked before the first begins
    for run in runs:
        check_run(*run)
    for one, other in itertools.combinations(runs, 2):
        if one.recipe == other.recipe or one.run_dir == other.run_dir:
            raise ValueError(
                "Each run of a sweep must have a recipe and a folder of its own. "
                f"Received: {str(one.run_dir)!r} and {str(other.run_dir)!r}"
            )
    import_tensorflow()
    import keras

    from training.run.session import Session

    diverged = 0
    for number, run in enumerate(runs, 1):
        print(f"[{number}/{len(runs)}] {run.run_dir}", flush=True)
        try:
            status = Session(run.recipe, run.run_dir, run.options).run()
        except Diverged as error:
            print(f"error: {error}", file=sys.stderr)
            diverged, status = diverged + 1, 0
        if status:
            return status
        keras.backend.clear_session()
    if diverged < len(runs):
        compare_command(tuple(str(run.run_dir) for run in runs), output=runs[0].run_dir.parent)
    return 1 if diverged else 0


def planned_runs(arguments: Sequence[str]) -> Iterator[PlannedRun]:
    """Yields the runs of a command line, the last field varying fastest."""
    name, *rest = arguments
    given: dict[str, list[str]] = {}
    for word in rest:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            if option in given:
                raise ValueError(f"`{option}` must be given once, with all its values")
            given[option] = [value] if equals else []
        elif not given:
            raise ValueError(f"Options must begin with `--`. Received: {word!r}")
        else:
            given[[*given][-1]].append(word)
    directory = given.pop("--run-dir", [])
    if len(directory) != 1:
        raise ValueError(f"`--run-dir` must be one folder. Received: {directory}")

    for option, values in given.items():
        if len(values) > 1 and _field_type(option) is None:
            raise ValueError(
                f"`{option}` is not a field of the recipe, and takes one value. "
                f"Received: {option} {' '.join(values)}"
            )
    several = {
        option: list(dict.fromkeys(values))
        for option, values in given.items()
        if len(values) > 1 and typing.get_origin(_field_type(option)) is not tuple
    }
    for combination in itertools.product(*several.values()):
        chosen = dict(zip(several, combination, strict=True))
        folder = Path(directory[0]) / (_folder(chosen) or "run")
        line = [name, "--run-dir", str(folder)]
        for option, words in given.items():
            line += [option, *([chosen[option]] if option in chosen else words)]
        yield tyro.cli(train_command(line, PlannedRun), prog="python -m training sweep", args=line)


def _field_type(option):
    """Returns the type of a field of the recipe; `None` for other options."""
    kind: Any = Recipe
    for part in option.removeprefix("--").replace("-", "_").split("."):
        if not dataclasses.is_dataclass(kind):
            return None
        kind = {field.name: field.type for field in dataclasses.fields(kind)}.get(part)
    return kind


def _folder(chosen):
    """Returns the name of a run's folder: its network's name, and the other fields by name."""
    parts = [
        value if option == "--model.name" else f"{option.removeprefix('--').split('.')[-1]}-{value}"
        for option, value in chosen.items()
    ]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
