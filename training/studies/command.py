"""The command `python -m training study`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tensorflow as tf
import tyro
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from keras_resnets.arguments import nearest
from training.recipe.files import recipe_to_toml
from training.run.folder import describe_environment
from training.studies.catalogue import STUDIES
from training.studies.page import load_outcomes, save_outcome, write_index, write_page
from training.studies.study import Budget, Outcome, Study
from training.studies.trials import Stopped, run_trials, study_images


def study_command(
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")] = "",
    output: Path = Path("studies"),
    quick: bool = False,
    seeds: int = 0,
    data_dir: Path | None = None,
    render: bool = False,
    list: bool = False,
) -> int:
    """Answers a question about residual networks by an experiment.

    The same command again goes on where it was stopped. `NAME.md` and its plots are written at the
    end, and renewed from the JSON files by `--render`.

    Args:
        name: A study; see `--list`.
        output: Folder for the page, its plots, the numbers, and the runs.
        quick: Small networks on scikit-learn's digits, in minutes.
        seeds: How many seeds each network is trained with; 0 for the study's own number.
        data_dir: Folder with prepared TFDS data sets.
        render: Make pages, plots and the index from what is there; of all studies if none is named.
        list: List the studies.
    """
    console = Console(highlight=False)
    if list:
        _check_unused("--list", NAME=name, quick=quick, seeds=seeds, render=render)
        table = Table("study", "question", box=None)
        for each in STUDIES.values():
            table.add_row(each.name, each.title)
        console.print(table)
        return 0
    if name and name not in STUDIES:
        raise ValueError(
            f"`NAME` must be one of {', '.join(STUDIES)}.{nearest(name, STUDIES)} "
            f"Received: {name!r}"
        )
    if output.exists() and not output.is_dir():
        raise ValueError(f"`output` must be a folder. Received: output={str(output)!r}")
    if render:
        _check_unused("--render", quick=quick, seeds=seeds, data_dir=data_dir)
        if not output.is_dir():
            raise ValueError(
                f"`output` must be a folder with outcomes. Received: output={str(output)!r}"
            )
        chosen = [STUDIES[name]] if name else [*STUDIES.values()]
        if not any(load_outcomes(each, output) for each in chosen):
            raise ValueError(
                f"`output` must hold outcomes to render. Received: output={str(output)!r}"
            )
        pages = [write_page(each, output) for each in chosen if name or load_outcomes(each, output)]
        pages.append(write_index([*STUDIES.values()], output))
        for page in pages:
            console.print(Text(f"Wrote {page}"), soft_wrap=True)
        return 0
    if not name:
        raise ValueError(f"`NAME` must be one of {', '.join(STUDIES)}. Received: none")
    if seeds < 0:
        raise ValueError(f"`seeds` must not be negative. Received: seeds={seeds}")
    budget: Budget = "quick" if quick else "full"
    try:
        outcome = conduct(STUDIES[name], budget, output, seeds, data_dir, console)
    except Stopped as stopped:
        console.print("Stopped; the same command goes on.")
        return int(stopped.args[0])
    page = write_page(STUDIES[name], output)
    write_index([*STUDIES.values()], output)
    report = STUDIES[name].report(outcome)
    for caption, (header, rows) in report.tables.items():
        columns = [Column(name, overflow="fold") for name in header]
        table = Table(*columns, title=caption, title_justify="left", box=None)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    console.print(report.answer, report.details, markup=False)
    console.print(Text(f"Wrote {page}"), soft_wrap=True)
    return 0


def _check_unused(option, **arguments):
    for name, value in arguments.items():
        if value:
            raise ValueError(
                f"`{name}` has no effect with {option}: leave it out. Received: {name}={value!r}"
            )


def conduct(
    study: Study,
    budget: Budget,
    output: Path,
    seeds: int,
    data_dir: Path | None,
    console: Console,
) -> Outcome:
    """Runs a study to its end, writes its numbers, and returns them.

    What a stopped study has trained is in the runs' folders, and an outcome there stays as it was.

    Args:
        study: The study.
        budget: Which of its grids.
        output: Folder for the numbers (`NAME/BUDGET.json`) and the runs (`runs/`).
        seeds: How many seeds; 0 for the study's own number.
        data_dir: Folder with prepared TFDS data sets.
        console: Where to print.

    Raises:
        Stopped: If a signal stopped it.
        ValueError: If `output` holds an outcome of more seeds, which this one would replace.
    """
    recipes = study.contenders(budget)
    seeds = seeds or study.seeds[budget]
    for present in load_outcomes(study, output):
        if present.budget == budget and len(present.seeds) > seeds:
            raise ValueError(
                f"`seeds` must not be fewer than those of the outcome in `output`, "
                f"{len(present.seeds)}: take another folder. Received: seeds={seeds}, "
                f"output={str(output)!r}"
            )
    outcome = Outcome(
        study=study.name,
        budget=budget,
        recipes={label: recipe_to_toml(recipe) for label, recipe in recipes.items()},
        trials=[],
        computed=study.compute(budget, _images(recipes, data_dir)) if study.compute else {},
        environment=describe_environment(tf.distribute.get_strategy()),
    )
    trials = run_trials(study, recipes, seeds, output / "runs", data_dir, console)
    in_order = sorted(trials, key=lambda trial: [*recipes].index(trial.label))
    outcome = dataclasses.replace(outcome, trials=in_order)
    save_outcome(outcome, output)
    return outcome


def _images(recipes, data_dir):
    """Returns the images of the contenders, which all have the same."""
    return study_images(next(iter(recipes.values())), data_dir)
