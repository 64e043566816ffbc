"""The commands of `python -m training`, as functions whose parameters are the options.

What a command needs of TensorFlow is imported when it runs: help, and what is wrong with an option,
do not wait for that.
"""

import contextlib
import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from training.data.prepared import check_images, check_source, folder_of, folder_splits
from training.options import DataSource, EvaluationOptions, RunOptions, StrategyName
from training.process import held_stderr, import_tensorflow
from training.recipe.files import (
    RECIPE_FILE,
    list_recipes,
    load_recipe,
    named_recipe,
    recipe_for,
    recipe_header,
    recipe_page,
    recipe_to_toml,
)
from training.recipe.recipe import Data, Recipe

SAVED_MODELS = Path("saved_models")
RUN, EVALUATION = RunOptions(), EvaluationOptions()
# The fields of a group of options stand among the command's own.
Ungrouped = tyro.conf.arg(name="")
Name = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")]


def demo(seed: int = 0, epochs: int = 12, output: Path = SAVED_MODELS / "demo") -> None:
    """Trains a ResNet of 32 layers and its plain twin on digits, and exports the ResNet.

    The data are 1,797 real 8×8 images that come with scikit-learn. Two minutes on two cores.

    Args:
        seed: Chooses the initial weights and the order of the training images.
        epochs: Passes over the training images; at least 1.
        output: Folder for the SavedModel, the Keras files and the plot. An earlier demo's are
            replaced.
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}")
    check_folder("output", output)
    if any(character in str(output) for character in "[]*?"):
        raise ValueError(
            "`output` must not contain [, ], * or ?, which TensorFlow reads as patterns. "
            f"Received: output={str(output)!r}"
        )
    import_tensorflow()
    from training.demo import run_demo

    run_demo(seed, epochs, output)


def start_run(run_dir: Path, recipe: Recipe, options: RunOptions) -> int:
    """Does a run, or what is left of it; returns the exit status."""
    check_run(run_dir, recipe, options)
    import_tensorflow()
    from training.run.session import Session

    return Session(recipe, run_dir, options).run()


def train_command(
    arguments: Sequence[str], take: Callable[[Path, Recipe, RunOptions], Any] = start_run
) -> Callable[..., Any]:
    """Returns the command `train` for the recipe that the arguments begin with.

    `take` is given the run that the options describe.
    """
    defaults = named_recipe(arguments)

    def train(
        name: Name,
        run_dir: Path,
        options: Annotated[RunOptions, Ungrouped] = RUN,
        recipe: Annotated[Recipe, Ungrouped] = defaults,
    ) -> Any:
        """Trains by a recipe, evaluates, and writes the run; or resumes it.

        The same command again resumes a run that was stopped, to the bit.

        Args:
            name: A recipe's name, or the path of a TOML file.
            run_dir: Folder of the run.
            options: How the run is done.
            recipe: What to change in the recipe.
        """
        return take(run_dir, recipe, options)

    return train


def compare_command(runs: tyro.conf.Positional[tuple[str, ...]], output: Path | None = None) -> int:
    """Compares complete runs: a table over their seeds, how their recipes differ, their curves.

    Args:
        runs: Folders of runs, or folders that have runs in them; patterns are expanded.
        output: Folder to write compare.md, compare.png and compare.json to.
    """
    named = [Path(path) for run in runs for path in sorted(glob.glob(run)) or [run]]
    paths = [path for each in named for path in _runs_in(each)]
    if not paths:
        raise ValueError("RUNS must be folders of complete runs. Received: none")
    for path in paths:
        check_path("RUNS", path)
    import_tensorflow()
    from training.run.compare import compare, table, write

    console = Console(highlight=False)
    comparison = compare(paths)
    console.print(table(comparison))
    if comparison.fields:
        console.print()
        for name, values in comparison.fields.items():
            labels: dict[str, list[str]] = {}
            for label, value in values.items():
                labels.setdefault(repr(value), []).append(label)
            shown = (f"{value} ({', '.join(having)})" for value, having in labels.items())
            _print(console, f"{name}: {', '.join(shown)}")
    for line in comparison.left_out:
        _print(console, f"left out: {line}")
    if output is not None:
        _print(console, f"Wrote {' and '.join(map(str, write(comparison, output)))}")
    return 0


def _runs_in(folder):
    """Returns the runs right below a folder; the folder itself if it is one, or has none."""
    below = sorted(file.parent for file in folder.glob(f"*/{RECIPE_FILE}"))
    return [folder] if (folder / RECIPE_FILE).is_file() or not below else below


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
        _print(console, f"Wrote {page}")
    elif name:
        recipe, header = recipe_to_toml(load_recipe(name)), ""
        with contextlib.suppress(ValueError):  # one's own file may have none
            header = f"{recipe_header(name)}\n\n"
        _print(console, f"{header}{recipe}")
    else:
        table = Table("recipe", "what", box=None)
        for each in list_recipes():
            table.add_row(each, Text(recipe_header(each).title))
        console.print(table)
    return 0


def _print(console, text):
    console.print(Text(text), soft_wrap=True)


def evaluate_command(
    path: tyro.conf.Positional[Path],
    options: Annotated[EvaluationOptions, Ungrouped] = EVALUATION,
    strategy: StrategyName = "auto",
    output: Path | None = None,
) -> int:
    """Measures a run's model, or a model in a file, on every image of a split.

    Args:
        path: The folder of a complete run, a .keras file from pixels to probabilities, or the
            folder of a SavedModel.
        options: What it is measured on, and how.
        strategy: Where to compute.
        output: Folder for evaluation-NAME.json, confusion-NAME.csv and confusion-NAME.png; by
            default the run's, or the one that the file or SavedModel is in. NAME is the split and
            what is not as in the run, such as "test" or "train-ten-crop".
    """
    check_path("path", path)
    if not options.dataset and not (path / RECIPE_FILE).is_file():
        raise ValueError(
            "`data.source` must be given for a file or a SavedModel, which do not say what they "
            f"were trained on. Received: path={str(path)!r} without --data.source"
        )
    if options.dataset:
        check_source("data.source", options.dataset, options.data_dir, options.download)
    import_tensorflow()
    from training.loop.strategy import make_strategy
    from training.run.evaluate_model import evaluate_model
    from training.run.folder import write_json
    from training.run.reports import confusion_table, draw_confusion, score_table, write_confusion

    console = Console(highlight=False)
    measurement = evaluate_model(path, make_strategy(strategy), options)
    scores, class_names, _, name = measurement
    is_one_file = path.is_file() or (path / "saved_model.pb").is_file()  # which stays as it is
    folder = output or (path.parent if is_one_file else path)
    folder.mkdir(parents=True, exist_ok=True)
    # Written first: the program that reads the printed lines may end early.
    files = [f"evaluation-{name}.json", f"confusion-{name}.csv", f"confusion-{name}.png"]
    write_json(folder / files[0], measurement.values())
    write_confusion(scores, class_names, folder / files[1])
    draw_confusion(scores, class_names, folder / files[2])
    console.print(score_table(scores, class_names))
    matrix = confusion_table(scores, class_names, console.width)
    if matrix is not None:
        console.print()
        console.print(matrix)
    _print(console, f"\nWrote {files[0]}, {files[1]} and {files[2]} to {folder}")
    return 0


def publish_command(run_dir: tyro.conf.Positional[Path], name: str, note: str) -> int:
    """Publishes a finished run's model in `saved_models`, with a card, and updates the index.

    Args:
        run_dir: A complete run.
        name: Name of the model's folder.
        note: What a user must know about the data and the limits.
    """
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):  # it is part of links
        raise ValueError(
            "`name` must be the name of a folder: letters, digits, '_', '.' and '-', of which the "
            f"last two cannot come first. Received: name={name!r}"
        )
    check_path("run_dir", run_dir)
    import_tensorflow()
    from training.run.publish import publish

    publish(run_dir, SAVED_MODELS / name, note)
    return index()


def index() -> int:
    """Writes `saved_models/README.md`, the index of the published models."""
    if not SAVED_MODELS.is_dir():
        raise ValueError(
            f"There must be a folder {str(SAVED_MODELS)!r} in the current one. "
            f"Received: {str(Path.cwd())!r} without it"
        )
    import_tensorflow()
    from training.run.publish import write_index

    Console(highlight=False).print(Text(f"Wrote {write_index(SAVED_MODELS)}"))
    return 0


def validate_command(
    dataset: DataSource,
    splits: tuple[str, ...] = (),
    data_dir: Path | None = None,
    download: bool = False,
    test_share: Annotated[float | None, tyro.conf.arg(name="data.test-share")] = None,
    most: int = 10,
    json: Path | None = None,
) -> int:
    """Reads every image of a data set, and reports what is broken, unusual or a duplicate.

    The exit status is 1 if there are errors; warnings are only shown.

    Args:
        dataset: A source as in a recipe: digits, folder:PATH, or a name of TFDS.
        splits: Names of the splits; by default all that there are.
        data_dir: Folder with prepared TFDS data sets.
        download: Allow the download of a data set that is missing.
        test_share: Part of the images to test with, of a folder without folders for the splits;
            a fifth by default.
        most: How many findings of each kind are named; the JSON file has all.
        json: Write the whole report to this file as well.
    """
    require_folder_of("json", json)
    check_source("data.source", dataset, data_dir, download)
    if dataset.startswith("folder:"):
        folder_splits(folder_of(dataset))
    import_tensorflow()
    from training.data.sources import is_flat_folder, list_splits, open_source
    from training.data.validate import validate
    from training.run.folder import write_json

    console = Console(highlight=False)
    splits = splits or list_splits(dataset, data_dir, download)
    assumed = test_share is None and is_flat_folder(dataset)
    if test_share is None:
        test_share = 0.2 if is_flat_folder(dataset) else 0.0
    data = Data(source=dataset, test_share=test_share)
    sources = {
        split: open_source(data, split, data_dir, download, must_be_sound=False) for split in splits
    }
    bar = Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    # Decoders print their complaints too, without a name.
    with held_stderr(), bar:
        task = bar.add_task("", total=sum(source.size for source in sources.values()))
        report = validate(sources, lambda read: bar.update(task, completed=read))
    if json is not None:  # first: the program that reads the printed lines may end early
        write_json(json, report.values())
    if assumed:
        _print(console, "The folder has no splits; these are by --data.test-share 0.2.")
    report.print(console, most)
    if json is not None:
        _print(console, f"Wrote {json}")
    return 0 if report.is_sound else 1


def data_command(arguments: Sequence[str]) -> Callable[..., int]:
    """Returns the command `data` for the recipe that the arguments begin with."""
    defaults = named_recipe(arguments)

    def data(
        name: Name,
        sheet: Path | None = None,
        images: int = 6,
        versions: int = 7,
        data_dir: Path | None = None,
        download: bool = False,
        recipe: Annotated[Recipe, Ungrouped] = defaults,
    ) -> int:
        """Describes a recipe's data, and draws its augmentation.

        Args:
            name: A recipe's name, or the path of a TOML file.
            sheet: PNG file to draw a contact sheet to.
            images: Number of images on it.
            versions: Number of augmented versions of each.
            data_dir: Folder with prepared TFDS data sets.
            download: Allow the download of a data set that is missing.
            recipe: What to change in the recipe.
        """
        require_folder_of("sheet", sheet)
        check_images(recipe.data, data_dir, download)
        import_tensorflow()
        from training.data.batches import BadImage
        from training.data.sheet import write_sheet
        from training.data.sources import open_source

        console = Console(highlight=False)
        splits = (recipe.data.train_split, recipe.data.test_split)
        sources = [open_source(recipe.data, split, data_dir, download) for split in splits]
        for split, source in zip(splits, sources, strict=True):
            _print(
                console,
                f"{recipe.data.source} {split}: {source.size:,} images of "
                f"{len(source.class_names):,} classes",
            )
        if sheet is not None:
            with held_stderr(telling=(BadImage,)):  # a decoder names no file
                write_sheet(sources[0], recipe, sheet, min(images, sources[0].size), versions)
            _print(console, f"Wrote {sheet}")
        return 0

    return data


def require_folder_of(name: str, path: Path | None) -> None:
    """Raises, before long work, if there is no folder to write a file to."""
    if path is not None and not path.parent.is_dir():
        raise ValueError(
            f"`{name}` must be a file's path in an existing folder. Received: {name}={str(path)!r}"
        )


def check_run(run_dir: Path, recipe: Recipe, options: RunOptions) -> None:
    """Raises if a new run names a folder, a file or a data set that is not there."""
    check_folder("run_dir", run_dir)
    recipe_for(run_dir, recipe)
    if (run_dir / RECIPE_FILE).exists():  # a run that is resumed asks for what it needs
        return
    check_images(recipe.data, options.data_dir, options.download)
    weights = recipe.model.weights
    if "." in Path(weights).name and not weights.startswith("hf://"):  # presets have no dot
        check_path("model.weights", Path(weights))


def check_path(name: str, path: Path) -> None:
    """Raises if there is nothing at a path."""
    if not path.exists():
        raise ValueError(f"`{name}` must be an existing path. Received: {name}={str(path)!r}")


def check_folder(name: str, path: Path) -> None:
    """Raises if something else is where a folder is to be."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"`{name}` must be a folder. Received: {name}={str(path)!r}")
