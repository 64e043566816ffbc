"""The commands of `python -m training`, as functions of what stands on the command line."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from training.data.batches import BadImage
from training.data.sources import list_splits, open_source
from training.data.validate import validate
from training.loop.strategy import ClusterName, StrategyName, make_strategy
from training.recipe.files import (
    list_recipes,
    load_recipe,
    named_recipe,
    recipe_header,
    recipe_page,
    recipe_to_toml,
)
from training.recipe.recipe import Data, Recipe
from training.run.evaluate_model import (
    confusion_table,
    draw_confusion,
    evaluate_model,
    measured_values,
    score_table,
    write_confusion,
)
from training.run.folder import require_folder_of, write_json
from training.run.publish import publish, write_index
from training.run.run import run
from training.stderr import held_stderr

SAVED_MODELS = Path("saved_models")


def train_command(arguments: Sequence[str]) -> Callable[..., int]:
    """Returns the command `train`, whose flags have the values of the recipe that is named.

    Args:
        arguments: The command line behind `train`; its first word names the recipe.
    """
    defaults = named_recipe(arguments)

    def train(
        name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")],
        run_dir: Path,
        data_dir: Path | None = None,
        download: bool = False,
        strategy: StrategyName = "auto",
        cluster: ClusterName = "auto",
        steps_per_call: int = 0,
        tensorboard: bool = False,
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = defaults,
    ) -> int:
        """Trains by a recipe, evaluates, and writes the run; or goes on with it.

        The same command again resumes a run that was stopped, to the bit.

        Args:
            name: A recipe's name, or the path of a TOML file.
            run_dir: Folder of the run.
            data_dir: Folder with prepared TFDS data sets.
            download: Allow the download of a data set that is missing.
            strategy: Where to compute.
            cluster: Where several workers learn of each other.
            steps_per_call: Steps between looks at signals; 0 for 1 on a CPU and 20 on a GPU.
            tensorboard: Write event files for TensorBoard too, to the run's folder.
            recipe: What to change in the recipe.
        """
        return run(
            recipe,
            run_dir,
            data_dir,
            download,
            strategy,
            cluster,
            steps_per_call,
            Console(),
            tensorboard,
        )

    return train


def recipes(name: tyro.conf.Positional[str] = "", page: Path | None = None) -> int:
    """Lists the recipes, or shows one in full.

    Args:
        name: A recipe's name, or the path of a TOML file; without it, the list.
        page: Write the documentation's page of all recipes to this file instead.
    """
    console = Console(highlight=False)
    require_folder_of("page", page)
    if page is not None:
        page.write_text(recipe_page(), encoding="utf-8")
        console.print(Text(f"Wrote {page}"), soft_wrap=True)
        return 0
    if name:
        recipe = recipe_to_toml(load_recipe(name))
        console.print(Text(f"{_header(name)}{recipe}"), soft_wrap=True)
        return 0
    table = Table("recipe", "what", box=None)
    for each in list_recipes():
        table.add_row(each, Text(recipe_header(each).title))
    console.print(table)
    return 0


def _header(name):
    """Returns a recipe's header and an empty line; nothing for one's own file that has none."""
    try:
        return f"{recipe_header(name)}\n\n"
    except ValueError:
        if name in list_recipes():
            raise
        return ""


def evaluate_command(
    path: tyro.conf.Positional[Path],
    dataset: str = "",
    split: str = "",
    data_dir: Path | None = None,
    download: bool = False,
    ten_crop: bool = False,
    crop_ratio: float = 0.0,
    batch: int = 0,
    strategy: StrategyName = "auto",
    output: Path | None = None,
) -> int:
    """Measures a run's model, or a model in a file, on every image of a split.

    Args:
        path: The folder of a complete run, a .keras file from pixels to probabilities, or the
            folder of a SavedModel.
        dataset: A source as in a recipe; by default the run's.
        split: By default the run's test split.
        data_dir: Folder with prepared TFDS data sets.
        download: Allow the download of a data set that is missing.
        ten_crop: Average the probabilities of ten views.
        crop_ratio: Size of the central crop over the shorter side after resizing; 0 for the
            run's, and 1 for a file.
        batch: Images at a time, over all devices; 0 for the run's.
        strategy: Where to compute.
        output: Folder for evaluation-SPLIT.json, confusion-SPLIT.csv and confusion-SPLIT.png; by
            default that of the model. Their names also say what is not as in the run.
    """
    console = Console(highlight=False)
    measurement = evaluate_model(
        path,
        make_strategy(strategy),
        dataset,
        split,
        data_dir,
        download,
        ten_crop,
        crop_ratio,
        batch,
    )
    scores, class_names, name = measurement.scores, measurement.class_names, measurement.name
    folder = output or (path if path.is_dir() else path.parent)
    folder.mkdir(parents=True, exist_ok=True)
    # Written first: what reads the printed lines may go away.
    files = [f"evaluation-{name}.json", f"confusion-{name}.csv", f"confusion-{name}.png"]
    write_json(folder / files[0], measured_values(measurement))
    write_confusion(scores, class_names, folder / files[1])
    draw_confusion(scores, class_names, folder / files[2])
    console.print(score_table(scores, class_names))
    matrix = confusion_table(scores, class_names, console.width)
    if matrix is not None:
        console.print()
        console.print(matrix)
    written = " and ".join((", ".join(files[:2]), files[2]))
    console.print(Text(f"\nWrote {written} to {folder}"), soft_wrap=True)
    return 0


def publish_command(run_dir: tyro.conf.Positional[Path], name: str, note: str) -> int:
    """Puts a finished run's model under `saved_models`, with a card, and renews the index.

    Args:
        run_dir: A complete run.
        name: Name of the model's folder.
        note: What a user must know of the data and of the limits.
    """
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):  # it is part of links
        raise ValueError(
            "`name` must be the name of a folder: letters, digits, '_', '.' and '-', the last two "
            f"not at the beginning. Received: name={name!r}"
        )
    publish(run_dir, SAVED_MODELS / name, note)
    return index()


def index() -> int:
    """Makes `saved_models/README.md` from the folders beside it."""
    if not SAVED_MODELS.is_dir():
        raise ValueError(
            f"There must be a folder {str(SAVED_MODELS)!r} where the command is run. "
            f"Received: {str(Path.cwd())!r} without one"
        )
    Console(highlight=False).print(Text(f"Wrote {write_index(SAVED_MODELS)}"))
    return 0


def validate_command(
    dataset: str,
    splits: tuple[str, ...] = (),
    data_dir: Path | None = None,
    download: bool = False,
    most: int = 10,
    json: Path | None = None,
) -> int:
    """Reads every image of a data set, and reports what is broken, unusual or there twice.

    The exit status is 1 where there are errors; warnings are only shown.

    Args:
        dataset: A source as in a recipe: digits, folder:PATH, or a name of TFDS.
        splits: Names of the splits; by default all that there are.
        data_dir: Folder with prepared TFDS data sets.
        download: Allow the download of a data set that is missing.
        most: How many findings of each kind are named; the JSON file has all.
        json: Write the whole report to this file as well.
    """
    require_folder_of("json", json)
    console = Console(highlight=False)
    splits = splits or list_splits(dataset, data_dir, download)
    data = Data(source=dataset)
    sources = {
        split: open_source(data, split, data_dir, download, must_be_sound=False) for split in splits
    }
    # Decoders print their complaints too, without a name.
    with held_stderr(), _progress(console) as bar:
        task = bar.add_task("", total=sum(source.size for source in sources.values()))
        report = validate(sources, lambda read: bar.update(task, completed=read))
    if json is not None:  # first: what reads the printed lines may go away
        write_json(json, report.values())
    report.print(console, most)
    if json is not None:
        console.print(Text(f"Wrote {json}"), soft_wrap=True)
    return 0 if report.is_sound else 1


def data_command(arguments: Sequence[str]) -> Callable[..., int]:
    """Returns the command `data`, whose flags have the values of the recipe that is named.

    Args:
        arguments: The command line behind `data`; its first word names the recipe.
    """
    defaults = named_recipe(arguments)

    def data(
        name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")],
        sheet: Path | None = None,
        images: int = 6,
        versions: int = 7,
        data_dir: Path | None = None,
        download: bool = False,
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = defaults,
    ) -> int:
        """Says what a recipe's data are, and draws what its augmentation makes of them.

        Args:
            name: A recipe's name, or the path of a TOML file.
            sheet: PNG file to draw a contact sheet to.
            images: Number of images on it.
            versions: Number of augmented versions of each.
            data_dir: Folder with prepared TFDS data sets.
            download: Allow the download of a data set that is missing.
            recipe: What to change in the recipe.
        """
        from training.data.sheet import write_sheet

        require_folder_of("sheet", sheet)
        console = Console(highlight=False)
        train = open_source(recipe.data, recipe.data.train_split, data_dir, download)
        test = open_source(recipe.data, recipe.data.test_split, data_dir, download)
        for split, source in ((recipe.data.train_split, train), (recipe.data.test_split, test)):
            text = (
                f"{recipe.data.source} {split}: {source.size:,} images of "
                f"{len(source.class_names):,} classes"
            )
            console.print(Text(text), soft_wrap=True)
        if sheet is not None:
            with held_stderr(telling=(BadImage,)):  # a decoder names no file
                write_sheet(train, recipe, sheet, min(images, train.size), versions)
            console.print(Text(f"Wrote {sheet}"), soft_wrap=True)
        return 0

    return data


def _progress(console):
    return Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
