"""Evaluating a model that was handed on: from pixels to probabilities."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from training.data.batches import evaluation_batches
from training.data.sources import open_source
from training.evaluate import Scores, evaluate, make_score_function
from training.recipe import Data, Recipe
from training.recipe_files import load_recipe


def evaluate_model(
    path: Path,
    dataset: str = "",
    split: str = "",
    data_dir: Path | None = None,
    download: bool = False,
    ten_crop: bool = False,
) -> tuple[Scores, tuple[str, ...]]:
    """Scores a run's model, or a model in a file, on a split of a data set.

    Args:
        path: The folder of a complete run, or a `.keras` file that takes pixels of 0 to 255 and
            puts out probabilities, as `model.keras` of a run does.
        dataset: A source as in a recipe; by default that of the run.
        split: By default the run's test split, and `"test"` for a file.
        data_dir: Folder with prepared TFDS data sets.
        download: Whether a missing data set may be downloaded.
        ten_crop: Whether the probabilities of ten views are averaged.

    Returns:
        The scores, and the names of the classes.

    Raises:
        ValueError: If there is no such model, no data set is named, or they do not fit.
    """
    import keras_resnets  # noqa: F401 (registers the layers)

    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            "`path` must be a .keras file, or the folder of a complete run. "
            f"Received: path={str(path)!r}"
        )
    recipe = Recipe(data=Data(source=dataset)) if dataset else None
    if (path / "recipe.toml").exists():
        begun = load_recipe(path / "recipe.toml")
        recipe = begun if recipe is None else _with_source(begun, dataset)
    if recipe is None:
        raise ValueError(
            f"`dataset` must name the images for a model in a file. Received: dataset={dataset!r}"
        )
    model = keras.models.load_model(file)
    size = model.input_shape[1]
    data = dataclasses.replace(recipe.data, image_size=size, per_pixel_mean=False)
    settings = dataclasses.replace(recipe.evaluation, image_size=0, ten_crop=ten_crop)
    recipe = Recipe(data=data, evaluation=settings)
    source = open_source(data, split or data.test_split, data_dir, download)
    if len(source.class_names) != model.output_shape[-1]:
        raise ValueError(
            f"The model and the data set must have the same classes. Received: a model with "
            f"{model.output_shape[-1]}, and {data.source!r} with {len(source.class_names)}"
        )
    as_pixels = (np.zeros(source.channels, "float32"), np.full(source.channels, 1 / 255, "float32"))
    strategy = tf.distribute.get_strategy()
    batches = evaluation_batches(source, recipe, ten_crop=ten_crop, mean_and_std=as_pixels)
    score = make_score_function(strategy, model, puts_out_logits=False)
    scores = evaluate(score, batches, source.size, len(source.class_names))
    return scores, source.class_names


def _with_source(recipe: Recipe, dataset: str) -> Recipe:
    """Returns a run's recipe with another source of images."""
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, source=dataset))
