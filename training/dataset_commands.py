"""The commands that look at data before anything is trained: `validate` and `data`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from training.data.bad_images import BadImage
from training.data.sources import list_splits, open_source
from training.data.validate import validate
from training.recipe import Data, Recipe
from training.recipe_files import named_recipe
from training.run_directory import write_json
from training.stderr import held_stderr
from training.whole_file import require_folder_of


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
