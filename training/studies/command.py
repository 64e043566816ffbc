"""The command `python -m training study`."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from keras_resnets.arguments import nearest
from training.commands import check_folder
from training.data.prepared import find_prepared, tfds_folder
from training.process import import_tensorflow

# In the order of their pages: where each one is.
STUDIES = {
    "degradation": "degradation:STUDY",
    "gradients": "gradients:STUDY",
    "responses": "responses:STUDY",
    "block-depth": "blocks:BLOCK_DEPTH",
    "shortcuts": "shortcuts:SHORTCUTS",
    "gates": "shortcuts:GATES_STUDY",
    "order": "blocks:ORDER",
    "family": "family:STUDY",
    "lesion": "lesion:STUDY",
    "dimensions": "shortcuts:DIMENSIONS",
}


def load_study(name: str) -> Any:
    """Imports the module of a study, and so TensorFlow, and returns the `Study`."""
    import_tensorflow()
    module, _, attribute = STUDIES[name].partition(":")
    return getattr(importlib.import_module(f"training.studies.{module}"), attribute)


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
    if list:
        _check_unused("--list", NAME=name, quick=quick, seeds=seeds, render=render)
    elif name not in STUDIES and (name or not render):
        raise ValueError(
            f"`NAME` must be one of {', '.join(STUDIES)}.{nearest(name, STUDIES)} "
            f"Received: {name or 'none'!r}"
        )
    if render:
        _check_unused("--render", quick=quick, seeds=seeds, data_dir=data_dir)
    check_folder("output", output)
    if seeds < 0:
        raise ValueError(f"`seeds` must not be negative. Received: seeds={seeds}")
    trains_on_cifar10 = not (list or render or quick)
    if trains_on_cifar10 and find_prepared("cifar10", tfds_folder(data_dir)) is None:
        raise ValueError(
            f"The data set 'cifar10' is not prepared in {str(tfds_folder(data_dir))!r}. Set "
            "`--data-dir` to the folder that holds it, or pass --quick for small networks on "
            f"scikit-learn's digits. Received: data_dir={data_dir}"
        )
    console = Console(highlight=False)
    if list:
        table = Table("study", "question", box=None)
        for each in STUDIES:
            table.add_row(each, load_study(each).title)
        console.print(table)
        return 0
    if not render:
        study = load_study(name)
        from training.studies.trials import conduct

        budget: Any = "quick" if quick else "full"
        outcome = conduct(study, budget, output, seeds, data_dir, console)
        _print(study.report(outcome), console)
    _render([name] if name else [*STUDIES], output, console)
    return 0


def _print(report, console):
    for caption, (header, rows) in report.tables.items():
        columns = [Column(name, overflow="fold") for name in header]
        table = Table(*columns, title=caption, title_justify="left", box=None)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    console.print(report.answer, report.details, markup=False)


def _render(names, output, console):
    """Writes the pages of those studies that have outcomes, and the index."""
    import_tensorflow()
    from training.studies.page import load_outcomes, write_index, write_page

    studies = [load_study(name) for name in STUDIES]
    present = [s for s in studies if s.name in names and load_outcomes(s, output)]
    if not present:
        raise ValueError(
            f"`output` must hold an outcome of {', '.join(names)}, which running the study writes. "
            f"Received: output={str(output)!r}"
        )
    for page in [*(write_page(study, output) for study in present), write_index(studies, output)]:
        console.print(Text(f"Wrote {page}"), soft_wrap=True)


def _check_unused(option, **arguments):
    for name, value in arguments.items():
        if value:
            raise ValueError(
                f"`{name}` has no effect with {option}: leave it out. Received: {name}={value!r}"
            )
