"""Running a study's grid: each contender with each seed, one after the other, and resumably."""

import dataclasses
import gc
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.text import Text

from keras_resnets import preprocess_input
from keras_resnets.analysis import gradient_norms, snapshot, update_ratios
from training.data.sources import open_source
from training.options import RunOptions
from training.recipe.files import recipe_to_toml
from training.recipe.recipe import Recipe
from training.run.folder import describe_environment, read_metrics, write_json
from training.run.session import Session
from training.studies.page import load_outcomes, save_outcome
from training.studies.study import Budget, Images, Outcome, Study, Trial

MEASURED_IMAGES = 500
OBSERVED_EXAMPLES = 256


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
    trials = [*run_trials(study, recipes, seeds, output / "runs", data_dir, console)]
    outcome = Outcome(
        study=study.name,
        budget=budget,
        recipes={label: recipe_to_toml(recipe) for label, recipe in recipes.items()},
        trials=sorted(trials, key=lambda trial: [*recipes].index(trial.label)),
        computed=computed,
        environment=describe_environment(tf.distribute.get_strategy()),
    )
    save_outcome(outcome, output)
    return outcome


def run_trials(
    study: Study,
    recipes: dict[str, Recipe],
    seeds: int,
    folder: Path,
    data_dir: Path | None,
    console: Console,
) -> Iterator[Trial]:
    """Runs what has not run yet, and yields each trial when it is complete.

    A run's folder is named for its recipe, so that studies share the runs that they have in
    common, and a stopped study resumes in the middle of a run.
    """
    grid = [(label, seed) for seed in range(seeds) for label in recipes]
    for number, (label, seed) in enumerate(grid, 1):
        recipe = dataclasses.replace(recipes[label], seed=seed)
        run_dir = folder / run_name(recipe)
        is_done = (run_dir / "result.json").exists()
        done = ": done before" if is_done else ""
        console.print(Text(f"[{number}/{len(grid)}] {label}, seed {seed}{done}"))
        if not is_done:
            quiet = Console(quiet=True) if not console.is_terminal else console
            options = RunOptions(data_dir=data_dir)
            status = Session(recipe, run_dir, options, quiet, observer).run()
            if status:  # a signal's
                console.print("Stopped; the same command resumes.")
                raise SystemExit(status)
        yield _trial(study, label, recipe, run_dir, data_dir)
        keras.backend.clear_session()
        gc.collect()


def run_name(recipe: Recipe) -> str:
    """Returns the name of a run's folder: the network, the seed, and a hash of the recipe."""
    digest = hashlib.sha256(recipe_to_toml(recipe).encode()).hexdigest()[:10]
    return f"{recipe.model.name}-{recipe.seed}-{digest}"


def observer(
    model: keras.Model, images: np.ndarray, labels: np.ndarray
) -> Callable[[], dict[str, Any]]:
    """Returns what a run calls at every evaluation, to record gradients and distances moved."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    initial = snapshot(model)
    data = images[:OBSERVED_EXAMPLES], labels[:OBSERVED_EXAMPLES]

    def observe():
        return {
            "gradient_norms": _kernels(gradient_norms(model, data, loss)),
            "distance": _kernels(update_ratios(initial, snapshot(model))),
        }

    return observe


def _kernels(by_path):
    return {
        path: float(f"{value:.6g}")
        for path, value in by_path.items()
        if path.endswith("kernel") and value is not None
    }


def _trial(study, label, recipe, run_dir, data_dir):
    """Reads a complete run, and measures its network unless that was done before."""
    path = run_dir / f"{study.name}.json"
    measured: dict[str, Any] = {}
    if study.measure is not None and path.exists():
        measured = _read(path)
    elif study.measure is not None:
        model = keras.models.load_model(run_dir / "model.keras")
        images = study_images(recipe, data_dir)
        pairs = (images.train, images.test)
        prepared = [(preprocess_input(pixels, model), labels) for pixels, labels in pairs]
        measured = study.measure(model, Images(*prepared))
        write_json(path, measured)
    metrics = read_metrics(run_dir / "metrics.jsonl")
    if not study.reads_observed:
        metrics = [
            {name: value for name, value in entry.items() if name != "observed"}
            for entry in metrics
        ]
    return Trial(label, recipe.seed, metrics, _read(run_dir / "result.json"), measured)


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            "A file in a run's folder is damaged: delete the folder, and run the study again. "
            f"Received: {str(path)!r}"
        ) from error


def study_images(recipe: Recipe, data_dir: Path | None) -> Images:
    """Returns the images that a recipe's finished network is measured on."""
    parts = []
    for split, most in ((recipe.data.train_split, MEASURED_IMAGES), (recipe.data.test_split, None)):
        source: Any = open_source(recipe.data, split, data_dir)  # of images in memory
        parts.append((source.images[:most].astype(np.float32), source.labels[:most]))
    return Images(*parts)
