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
from training.studies import blocks, degradation, gradients, lesion, responses, shortcuts
from training.studies.page import load_outcomes, save_outcome, write_index, write_page
from training.studies.study import Budget, Outcome, Study
from training.studies.trials import Stopped, run_trials, study_images

# In the order of their pages.
STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        degradation.STUDY,
        gradients.STUDY,
        responses.STUDY,
        blocks.BLOCK_DEPTH,
        shortcuts.SHORTCUTS,
        shortcuts.GATES_STUDY,
        blocks.ORDER,
        lesion.STUDY,
        shortcuts.DIMENSIONS,
    )
}


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

    The same command resumes a stopped study. It writes `NAME.md` and its plots at the end;
    `--render` writes them again from the JSON files.

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
    if name not in STUDIES and (name or not render):
        raise ValueError(
            f"`NAME` must be one of {', '.join(STUDIES)}.{nearest(name, STUDIES)} "
            f"Received: {name or 'none'!r}"
        )
    if output.exists() and not output.is_dir():
        raise ValueError(f"`output` must be a folder. Received: output={str(output)!r}")
    if render:
        _check_unused("--render", quick=quick, seeds=seeds, data_dir=data_dir)
        _render([STUDIES[name]] if name else [*STUDIES.values()], output, console)
        return 0
    if seeds < 0:
        raise ValueError(f"`seeds` must not be negative. Received: seeds={seeds}")
    study = STUDIES[name]
    budget: Budget = "quick" if quick else "full"
    try:
        outcome = conduct(study, budget, output, seeds, data_dir, console)
    except Stopped as stopped:
        console.print("Stopped; the same command resumes.")
        return int(stopped.args[0])
    report = study.report(outcome)
    for caption, (header, rows) in report.tables.items():
        columns = [Column(name, overflow="fold") for name in header]
        table = Table(*columns, title=caption, title_justify="left", box=None)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    console.print(report.answer, report.details, markup=False)
    _render([study], output, console)
    return 0


def _render(studies, output, console):
    """Writes the pages of those studies that have outcomes, and the index."""
    present = [study for study in studies if load_outcomes(study, output)]
    if not present:
        names = ", ".join(study.name for study in studies)
        raise ValueError(
            f"`output` must hold an outcome of {names}, which running the study writes. "
            f"Received: output={str(output)!r}"
        )
    pages = [write_page(study, output) for study in present]
    for page in [*pages, write_index([*STUDIES.values()], output)]:
        console.print(Text(f"Wrote {page}"), soft_wrap=True)


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
    """Runs a study to its end, writes its outcome to `output`, and returns it.

    A stopped study leaves its runs in `output / "runs"`, and an earlier outcome unchanged.
    """
    recipes = study.contenders(budget)
    seeds = seeds or study.seeds
    for present in load_outcomes(study, output):
        if present.budget == budget and len(present.seeds) > seeds:
            raise ValueError(
                f"`seeds` must not be fewer than those of the outcome in `output`, "
                f"{len(present.seeds)}: take another folder. Received: seeds={seeds}, "
                f"output={str(output)!r}"
            )
    computed = {}
    if study.compute:  # on images that all contenders share
        images = study_images(next(iter(recipes.values())), data_dir)
        computed = study.compute(budget, images)
    outcome = Outcome(
        study=study.name,
        budget=budget,
        recipes={label: recipe_to_toml(recipe) for label, recipe in recipes.items()},
        trials=[],
        computed=computed,
        environment=describe_environment(tf.distribute.get_strategy()),
    )
    trials = run_trials(study, recipes, seeds, output / "runs", data_dir, console)
    in_order = sorted(trials, key=lambda trial: [*recipes].index(trial.label))
    outcome = dataclasses.replace(outcome, trials=in_order)
    save_outcome(outcome, output)
    return outcome
