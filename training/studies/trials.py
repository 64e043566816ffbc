"""Running a study's grid: each contender with each seed, one after the other, and resumably."""

import dataclasses
import gc
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.text import Text

from training.data.source import ArraySource
from training.data.sources import open_source
from training.recipe.files import recipe_to_toml
from training.recipe.recipe import Recipe
from training.run.folder import read_metrics, write_json
from training.run.session import Options, Session
from training.studies.observer import observer
from training.studies.study import Images, Study, Trial

MEASURED_IMAGES = 500


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
    common, and a study that was stopped goes on with the run at hand.
    """
    total = len(recipes) * seeds
    for number, (label, seed) in enumerate(
        ((label, seed) for seed in range(seeds) for label in recipes), 1
    ):
        recipe = dataclasses.replace(recipes[label], seed=seed)
        run_dir = folder / run_name(recipe)
        is_done = (run_dir / "result.json").exists()
        text = f"[{number}/{total}] {label}, seed {seed}" + (": done before" if is_done else "")
        console.print(Text(text))
        if not is_done:
            quiet = Console(quiet=True) if not console.is_terminal else console
            options = Options(data_dir=data_dir)
            status = Session(recipe, run_dir, options, quiet, observer).run()
            if status:
                raise Stopped(status)
        yield _trial(study, label, recipe, run_dir, data_dir)
        keras.backend.clear_session()
        gc.collect()


class Stopped(Exception):
    """A run was stopped by a signal; the argument is its exit status."""


def run_name(recipe: Recipe) -> str:
    """Returns the name of a run's folder: the network, the seed, and a hash of the recipe."""
    digest = hashlib.sha256(recipe_to_toml(recipe).encode()).hexdigest()[:10]
    return f"{recipe.model.name}-{recipe.seed}-{digest}"


def _trial(study, label, recipe, run_dir, data_dir):
    """Reads a complete run, and measures its network unless that was done before."""
    metrics = read_metrics(run_dir / "metrics.jsonl")
    result = _read(run_dir / "result.json")
    path = run_dir / f"{study.name}.json"
    if study.measure is None:
        measured: dict[str, Any] = {}
    elif path.exists():
        measured = _read(path)
    else:
        model = keras.models.load_model(run_dir / "model.keras")
        measured = study.measure(model, study_images(recipe, data_dir))
        write_json(path, measured)
    return Trial(label, recipe.seed, metrics, result, measured)


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            "A run's folder must hold what its run has written; delete a damaged one, and it runs "
            f"again. Received: {str(path)!r} ({error})"
        ) from error


def study_images(recipe: Recipe, data_dir: Path | None) -> Images:
    """Returns the images that a recipe's finished network is measured on."""
    parts = []
    for split in (recipe.data.train_split, recipe.data.test_split):
        source = open_source(recipe.data, split, data_dir)
        if not isinstance(source, ArraySource):
            raise ValueError(
                "A study needs images of one size that fit into memory. "
                f"Received: data.source={recipe.data.source!r}"
            )
        most = MEASURED_IMAGES if split == recipe.data.train_split else source.size
        parts.append((source.images[:most].astype(np.float32), source.labels[:most]))
    return Images(*parts)
