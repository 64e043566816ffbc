"""Evaluating a model that was handed on: from pixels to probabilities."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data.bad_images import bad_images_named
from training.data.batches import evaluation_batches
from training.data.source import Source
from training.data.sources import open_source
from training.evaluate import evaluate, make_score_function
from training.measurement import Conditions, Measurement
from training.recipe import Augmentation, Data, Evaluation, Recipe
from training.recipe_files import load_recipe
from training.served_model import ServedModel, open_served_model


def evaluate_model(
    path: Path,
    strategy: tf.distribute.Strategy,
    dataset: str = "",
    split: str = "",
    data_dir: Path | None = None,
    download: bool = False,
    ten_crop: bool = False,
    crop_ratio: float = 0.0,
    batch: int = 0,
) -> Measurement:
    """Scores a run's model, or a model in a file, on a split of a data set.

    Args:
        path: As for `open_served_model`.
        strategy: Where to compute.
        dataset: A source as in a recipe; by default that of the run.
        split: By default the run's test split, and `"test"` for a file.
        data_dir: Folder with prepared TFDS data sets.
        download: Whether a missing data set may be downloaded.
        ten_crop: Whether the probabilities of ten views are averaged.
        crop_ratio: Size of the central crop over the shorter side after resizing; 0 for the run's,
            and 1 for a file.
        batch: Images at a time, over all replicas; 0 for the run's.

    Returns:
        The scores, the names of the classes, and what was measured.

    Raises:
        ValueError: If there is no such model, no data set is named, or they do not fit.
        BadImage: If an image cannot be read.
    """
    if not path.exists():
        raise ValueError(f"There must be a model at the path. Received: path={str(path)!r}")
    begun = load_recipe(path / "recipe.toml") if (path / "recipe.toml").is_file() else None
    if begun is None and not dataset:
        raise ValueError(
            f"`dataset` must name the images for a model in a file. Received: dataset={dataset!r}"
        )
    with strategy.scope():
        model = open_served_model(path)
    data = Data(source=dataset) if begun is None else begun.data
    data = dataclasses.replace(
        data, source=dataset or data.source, image_size=model.image_size, per_pixel_mean=False
    )
    split = split or data.test_split
    source = open_source(data, split, data_dir, download)
    _check_fit(model, source, data.source, _classes_of_run(path))
    evaluation = _evaluation(begun, ten_crop, crop_ratio, batch)
    replicas = strategy.num_replicas_in_sync
    if evaluation.batch % replicas:
        raise ValueError(
            f"The batch must divide by the number of replicas, {replicas}. "
            f"Received: batch={evaluation.batch}"
        )
    # The model normalizes for itself.
    mean, std = np.zeros(source.channels, "float32"), np.full(source.channels, 1 / 255, "float32")
    recipe = Recipe(
        data=dataclasses.replace(data, mean=(0.0,), std=(1.0,)),
        augmentation=Augmentation(),
        evaluation=evaluation,
    )
    batches = strategy.distribute_datasets_from_function(
        lambda context: evaluation_batches(
            source,
            recipe,
            worker=context.input_pipeline_id,
            workers=context.num_input_pipelines,
            ten_crop=ten_crop,
            mean_and_std=(mean, std),
        ).rebatch(evaluation.batch // replicas)
    )
    score = make_score_function(strategy, model.predict, puts_out_logits=False)
    with bad_images_named(source, lambda: range(source.size)):
        scores = evaluate(score, batches, source.size, len(source.class_names))
    conditions = Conditions(
        model=str(path),
        weights_sha256=model.weights_sha256,
        data=data.source,
        split=split,
        image_size=model.image_size,
        crops=10 if ten_crop else 1,
        crop_ratio=evaluation.crop_ratio,
    )
    usual_data = "" if begun is None else begun.data.source
    usual_crop_ratio = (Evaluation() if begun is None else begun.evaluation).crop_ratio
    name = conditions.name(usual_data, usual_crop_ratio)
    return Measurement(scores, source.class_names, conditions, name)


def _evaluation(begun: Recipe | None, ten_crop, crop_ratio, batch) -> Evaluation:
    """Returns how the images are seen: as the run saw them, where nothing else is asked for."""
    run = Evaluation() if begun is None else begun.evaluation
    return dataclasses.replace(
        run,
        image_size=0,
        ten_crop=ten_crop,
        crop_ratio=crop_ratio or run.crop_ratio,
        batch=batch or run.batch,
    )


def _classes_of_run(path: Path) -> list[str] | None:
    """Returns the names of the classes that a run was trained on, where they are known.

    A run's or a published model may be named by its folder, or by what stands in it.
    """
    result = (path.parent if path.name in ("model.keras", "saved_model") else path) / "result.json"
    if not result.is_file():
        return None
    return json.loads(result.read_text(encoding="utf-8")).get("classes")


def _check_fit(model: ServedModel, source: Source, name: str, classes: list[str] | None) -> None:
    if (model.channels, model.classes) != (source.channels, len(source.class_names)):
        raise ValueError(
            "The model and the data set must have the same channels and classes. Received: a model "
            f"of {model.channels} channels and {model.classes} classes, and {name!r} with "
            f"{source.channels} and {len(source.class_names)}"
        )
    if classes is not None and classes != list(source.class_names):
        differing = [
            f"{was!r}, {now!r}"
            for was, now in zip(classes, source.class_names, strict=True)
            if was != now
        ]
        raise ValueError(
            "The data set must have the classes that the model was trained on, in the same order. "
            f"Received: {name!r}, whose first other one is {differing[0]}"
        )
