"""Runs beside each other: a table over the seeds, what their recipes differ in, their curves."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from rich.table import Table

from keras_resnets.analysis.plots import draw_band, legend, line_styles, panels
from training.recipe.files import load_recipe
from training.recipe.recipe import Recipe
from training.run.folder import RunFolder, read_metrics, write_json, write_text

HEAD = (
    *("network", "seeds", "test accuracy %", "best %", "training loss"),
    *("parameters", "MACs", "seconds"),
)


LONGEST_LABEL = 40
# The files that `write` makes.
PAGE, PLOT, NUMBERS = "compare.md", "compare.png", "compare.json"


class Run(NamedTuple):
    """A complete run: its recipe, the lines of its metrics, and its result."""

    path: Path
    recipe: Recipe
    metrics: list[dict[str, Any]]
    result: dict[str, Any]


class Comparison(NamedTuple):
    """Runs by what they are called, and the fields in which their recipes differ."""

    runs: dict[str, list[Run]]  # by label; those of one differ in nothing but the seed
    fields: dict[str, dict[str, Any]]  # each field that differs, with its value by label
    left_out: list[str]  # paths that hold no complete run, each with the reason


def compare(paths: Iterable[Path]) -> Comparison:
    """Reads runs and groups those whose recipes differ in the seed alone."""
    runs, left_out = [], []
    for path in {path.resolve(): path for path in paths}.values():  # each run once
        if path.name in (PAGE, PLOT, NUMBERS) and path.is_file():
            continue  # an earlier comparison's, among the runs that a pattern names
        try:
            runs.append(_read(path))
        except (OSError, ValueError) as error:
            left_out.append(f"{path}: {error}")
    if not runs:
        raise ValueError(
            "`runs` must be folders of complete runs. Received: "
            f"{'; '.join(left_out) or 'no folder'}"
        )
    groups: dict[Recipe, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.recipe.seed):
        groups.setdefault(dataclasses.replace(run.recipe, seed=0), []).append(run)
    fields = _differing(groups)
    labels = _labels([recipe.model.name for recipe in groups], fields)
    return Comparison(
        dict(zip(labels, groups.values(), strict=True)),
        {name: dict(zip(labels, values, strict=True)) for name, values in fields.items()},
        left_out,
    )


def _read(path):
    if not path.is_dir() or not (folder := RunFolder(path)).recipe_file.is_file():
        raise ValueError("not a run's folder")
    if not folder.result_file.is_file():
        raise ValueError("not complete; the same command resumes it")
    result = json.loads(folder.result_file.read_text(encoding="utf-8"))
    figures = ("test_accuracy", "best_test_accuracy", "train_loss", "parameters", "seconds")
    if missing := [name for name in figures if name not in result]:
        raise ValueError(f"{folder.result_file.name} has no {', '.join(missing)}")
    return Run(path, load_recipe(folder.recipe_file), read_metrics(folder.metrics_file), result)


def _differing(recipes):
    """Returns the fields in which recipes differ, with the values of each."""
    flat = [_flat(dataclasses.asdict(recipe)) for recipe in recipes]
    names = dict.fromkeys(name for values in flat for name in values)
    columns = {name: [values.get(name, "") for values in flat] for name in names}
    return {
        name: values
        for name, values in columns.items()
        if any(value != values[0] for value in values)
    }


def _flat(values, prefix=""):
    """Returns fields by their dotted names, also those of a network that is noted as JSON."""
    flat = {}
    for name, value in values.items():
        if name in ("spec", "block_options") and value:
            value = json.loads(value)
        flat |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return flat


def _labels(names, fields):
    """Returns a network's name for each group, with what else tells it from its namesakes.

    Where that is long, it is a number.
    """
    labels = []
    for index, name in enumerate(names):
        namesakes = [other for other, each in enumerate(names) if each == name]
        parts = [
            f"{field.rpartition('.')[2]}={values[index]}"
            for field, values in fields.items()
            if any(values[other] != values[index] for other in namesakes)
        ]
        label = " ".join([name, *parts])
        is_long = len(label) > LONGEST_LABEL
        labels.append(f"{name} #{namesakes.index(index) + 1}" if is_long else label)
    return labels


def spread(values: Sequence[float], digits: int = 2, percent: bool = False) -> str:
    """Returns mean and standard deviation over the seeds, as a table shows them.

    Example:

    >>> spread([0.25, 0.35], percent=True, digits=1)
    '30.0 ± 7.1'
    """
    factor = 100.0 if percent else 1.0
    scaled = [factor * value for value in values]
    mean = f"{np.mean(scaled):.{digits}f}"
    return f"{mean} ± {np.std(scaled, ddof=1):.{digits}f}" if len(scaled) > 1 else mean


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Returns the cells of the table, a row for each label."""
    return [
        (
            label,
            str(len({run.recipe.seed for run in runs})),
            spread([run.result["test_accuracy"] for run in runs], percent=True),
            spread([run.result["best_test_accuracy"] for run in runs], percent=True),
            spread([run.result["train_loss"] for run in runs], 3),
            f"{runs[0].result['parameters']:,}",
            _macs(runs[0]),
            spread([run.result["seconds"] for run in runs], 0),
        )
        for label, runs in comparison.runs.items()
    ]


def _macs(run):
    count = run.result.get("multiply_adds")  # which older runs do not have
    return "-" if count is None else f"{count / 1e6:,.2f} M"


def table(comparison: Comparison) -> Table:
    """Returns the table for a terminal."""
    shown = Table(box=None)
    places = [index for index, name in enumerate(HEAD) if name != "best %"]  # for 80 columns
    for index in places:
        is_text = index == 0
        justify: Any = "left" if is_text else "right"
        shown.add_column(HEAD[index], justify=justify, no_wrap=not is_text, overflow="fold")
    for row in rows(comparison):
        shown.add_row(*(row[index] for index in places))
    return shown


def draw_errors(
    runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], x: Literal["epoch", "step"]
) -> Any:
    """Returns the figure of training and test error over the epochs or the steps.

    `runs` are the lines of the metrics of each seed, by label.
    """
    figure, panel = panels(2, share_x=True)
    styles = line_styles(runs)
    for axes, split, title in zip(panel, ("train", "test"), ("training", "test"), strict=True):
        for label, seeds in runs.items():
            places = [entry[x] for entry in seeds[0]]
            errors = [
                np.interp(
                    places,
                    [entry[x] for entry in metrics],
                    [100 * (1 - entry[f"{split}_accuracy"]) for entry in metrics],
                )
                for metrics in seeds
            ]
            draw_seeds(axes, styles[label], label, places, errors)
        axes.set_ylabel(f"{title} error (%)")
        axes.set_ylim(bottom=0)
    panel[-1].set_xlabel({"epoch": "epochs", "step": "training steps"}[x])
    legend(panel[0])
    return figure


def draw_seeds(axes: Any, style: Mapping[str, Any], label: str, x: Sequence, values: Any) -> None:
    """Draws the mean over the seeds, and a band from the least value to the greatest."""
    band = (reduce(values, axis=0) for reduce in (np.mean, np.min, np.max))
    draw_band(axes, style, x, label, *band)


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes the page, the plot and the numbers; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, plot, numbers = (folder / name for name in (PAGE, PLOT, NUMBERS))
    metrics = {label: [run.metrics for run in runs] for label, runs in comparison.runs.items()}
    draw_errors(metrics, "epoch").savefig(plot)
    has_seeds = any(len(runs) > 1 for runs in comparison.runs.values())
    lines = ["# Runs beside each other", ""]
    if has_seeds:
        lines += ["Mean ± standard deviation over the seeds.", ""]
    lines += markdown_table(HEAD, rows(comparison))
    caption = f"Error over the epochs{'; bands span the seeds' if has_seeds else ''}"
    lines += ["", f"![{caption}]({PLOT})"]
    if comparison.fields:
        differing = [
            (f"`{name}`", *map(repr, values.values())) for name, values in comparison.fields.items()
        ]
        lines += ["", "## What the recipes differ in", ""]
        lines += markdown_table(("field", *comparison.runs), differing)
    write_text(page, "\n".join(lines) + "\n")
    values = {
        label: [
            {"run": str(run.path), "seed": run.recipe.seed, "result": run.result} for run in runs
        ]
        for label, runs in comparison.runs.items()
    }
    write_json(numbers, {"runs": values, "fields": comparison.fields})
    return [page, plot, numbers]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a table in Markdown, whose first column is text."""
    align = ["---", *["---:"] * (len(header) - 1)]
    return [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in (header, align, *rows)
    ]
