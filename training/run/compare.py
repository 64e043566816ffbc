"""Runs beside each other: a table over the seeds, what their recipes differ in, their curves."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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


class Run(NamedTuple):
    """A complete run: its recipe, the lines of its metrics, and its result."""

    path: Path
    recipe: Recipe
    metrics: list[dict[str, Any]]
    result: dict[str, Any]


class Comparison(NamedTuple):
    """Runs by what they are called, and the fields in which their recipes differ.

    Attributes:
        runs: The runs of each label, which differ in nothing but the seed.
        fields: For each field that differs, its value by label.
        left_out: Paths that hold no complete run, each with the reason.
    """

    runs: dict[str, list[Run]]
    fields: dict[str, dict[str, Any]]
    left_out: list[str]


def compare(paths: Iterable[Path]) -> Comparison:
    """Reads runs and groups those whose recipes differ in the seed alone."""
    runs, left_out = [], []
    for path in {path.resolve(): path for path in paths}.values():  # each run once
        folder = RunFolder(path) if path.is_dir() else None
        if folder is None or not folder.recipe_file.is_file():
            left_out.append(f"{path}: not a run's folder")
        elif not folder.result_file.is_file():
            left_out.append(f"{path}: not complete; the same command resumes it")
        else:
            try:
                runs.append(_read(path, folder))
            except (OSError, ValueError) as error:
                left_out.append(f"{path}: {error}")
    if not runs:
        raise ValueError(
            "`runs` must be folders of complete runs. Received: "
            f"{'; '.join(left_out) or 'no folder'}"
        )
    groups: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: run.recipe.seed):
        for group in groups:
            if _without_seed(group[0].recipe) == _without_seed(run.recipe):
                group.append(run)
                break
        else:
            groups.append([run])
    fields = _differing([group[0].recipe for group in groups])
    labels = _labels([group[0].recipe.model.name for group in groups], fields)
    return Comparison(
        dict(zip(labels, groups, strict=True)),
        {name: dict(zip(labels, values, strict=True)) for name, values in fields.items()},
        left_out,
    )


FIGURES = ("test_accuracy", "best_test_accuracy", "train_loss", "parameters", "seconds")


def _read(path, folder):
    result = json.loads(folder.result_file.read_text(encoding="utf-8"))
    missing = [name for name in FIGURES if name not in result]
    if missing:
        raise ValueError(f"{folder.result_file.name} has no {', '.join(missing)}")
    return Run(path, load_recipe(folder.recipe_file), read_metrics(folder.metrics_file), result)


def _without_seed(recipe):
    return dataclasses.replace(recipe, seed=0)


def _differing(recipes):
    """Returns the fields in which recipes differ, but for the seed, with the values of each."""
    flat = [_flat(dataclasses.asdict(_without_seed(recipe))) for recipe in recipes]
    return {
        name: [values[name] for values in flat]
        for name in flat[0]
        if any(values[name] != flat[0][name] for values in flat)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _labels(names, fields):
    """Returns a network's name for each group, with what else tells it from its namesakes."""
    labels = []
    for index, name in enumerate(names):
        others = [other for other, each in enumerate(names) if each == name and other != index]
        parts = [
            f"{field.rpartition('.')[2]}={values[index]}"
            for field, values in fields.items()
            if any(values[other] != values[index] for other in others)
        ]
        labels.append(" ".join([name, *parts]))
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
        shown.add_column(
            HEAD[index], justify="right" if index else "left", no_wrap=not index, overflow="fold"
        )
    for row in rows(comparison):
        shown.add_row(*(row[index] for index in places))
    return shown


def draw(comparison: Comparison):
    """Returns the figure of training and test error over the epochs; bands span the seeds."""
    figure, panel = panels(2, share_x=True)
    styles = line_styles(comparison.runs)
    for axes, key in zip(panel, ("train", "test"), strict=True):
        for label, runs in comparison.runs.items():
            epochs = [entry["epoch"] for entry in runs[0].metrics]
            errors = np.array(
                [
                    np.interp(
                        epochs,
                        [entry["epoch"] for entry in run.metrics],
                        [100 * (1 - entry[f"{key}_accuracy"]) for entry in run.metrics],
                    )
                    for run in runs
                ]
            )
            band = errors.mean(axis=0), errors.min(axis=0), errors.max(axis=0)
            draw_band(axes, styles[label], epochs, label, *band)
        axes.set_ylabel(f"{'training' if key == 'train' else 'test'} error (%)")
        axes.set_ylim(bottom=0)
    panel[-1].set_xlabel("epochs")
    legend(panel[0])
    return figure


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes the page, the plot and the numbers; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, plot, numbers = (folder / name for name in ("compare.md", "compare.png", "compare.json"))
    draw(comparison).savefig(plot)
    head = HEAD
    align = ("---", *["---:"] * (len(head) - 1))
    lines = ["# Runs beside each other", "", "Mean ± standard deviation over the seeds.", ""]
    lines += [_line(cells) for cells in (head, align, *rows(comparison))]
    lines += ["", "![Error over the epochs; bands span the seeds](compare.png)"]
    if comparison.fields:
        labels = list(comparison.runs)
        lines += ["", "## What the recipes differ in", ""]
        lines += [_line(("field", *labels)), _line(["---"] * (len(labels) + 1))]
        lines += [
            _line((f"`{name}`", *(f"{values[label]!r}" for label in labels)))
            for name, values in comparison.fields.items()
        ]
    write_text(page, "\n".join(lines) + "\n")
    values = {
        label: [
            {"run": str(run.path), "seed": run.recipe.seed, "result": run.result} for run in runs
        ]
        for label, runs in comparison.runs.items()
    }
    write_json(numbers, {"runs": values, "fields": comparison.fields})
    return [page, plot, numbers]


def _line(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
