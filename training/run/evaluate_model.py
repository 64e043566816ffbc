"""Measuring a finished model, and reporting it."""

import csv
import dataclasses
import functools
import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table
from rich.text import Text

from training.data.batches import bad_images_named, evaluation_batches
from training.data.source import Source
from training.data.sources import open_source
from training.loop.evaluate import Scores, evaluate, make_score_function
from training.recipe.files import load_recipe
from training.recipe.recipe import Augmentation, Data, Evaluation, Recipe
from training.run.checkpoint import weights_sha256


class ServedModel(NamedTuple):
    """A model from pixels of 0 to 255 to probabilities.

    Attributes:
        predict: From float32 `(batch, size, size, channels)` to `(batch, classes)`.
        image_size: Height and width of its images, in pixels.
        channels: Their channels.
        classes: Number of classes.
        weights_sha256: Over the bytes of all its variables, as in a run's `result.json`.
    """

    predict: Callable[..., tf.Tensor]
    image_size: int
    channels: int
    classes: int
    weights_sha256: str


def open_served_model(path: Path) -> ServedModel:
    """Opens the model of a run, or one in a file."""
    if (path / "model.keras").is_file():
        return _keras_model(path / "model.keras")
    if path.is_file() and path.suffix == ".keras":
        return _keras_model(path)
    if (path / "saved_model.pb").is_file():
        return _saved_model(path)
    raise ValueError(
        "`path` must be the folder of a complete run, a .keras file or the folder of a SavedModel. "
        f"Received: path={str(path)!r}"
    )


def _keras_model(path):
    import keras_resnets  # noqa: F401 (registers the layers)

    _check_whole(path)
    model = keras.models.load_model(path, compile=False)
    _, image_size, _, channels = model.input_shape
    sha256 = weights_sha256(model.variables)
    return ServedModel(model, image_size, channels, model.output_shape[-1], sha256)


def _check_whole(path):
    """Raises for a damaged archive, of which Keras says that it is not there, or nothing at all."""
    fault = ""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            missing = {"config.json", "model.weights.h5"}.difference(archive.namelist())
            if damaged or missing:
                fault = (
                    f"damaged: {damaged}" if damaged else f"without {', '.join(sorted(missing))}"
                )
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        fault = f"damaged: {error}"
    if fault:
        raise ValueError(
            "A .keras file must be whole, as Keras or a run has written it. "
            f"Received: {str(path)!r}, {fault}"
        )


def _saved_model(path):
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    inputs = function.structured_input_signature[1]
    (name, images), *others = inputs.items()
    ((_, outputs),) = function.structured_outputs.items()
    if others or images.shape.rank != 4 or not images.dtype.is_floating:
        raise ValueError(
            "The SavedModel's `serving_default` must take float images alone. "
            f"Received: {str(path)!r}, which takes {inputs}"
        )

    predict = functools.partial(_call_signature, loaded, name)
    variables = getattr(loaded, "variables", function.variables)
    sha256 = weights_sha256(variables)
    return ServedModel(predict, images.shape[1], images.shape[-1], outputs.shape[-1], sha256)


def _call_signature(loaded, name, pixels, training=False):
    """Calls `serving_default`. Without a reference to what was loaded its variables would go."""
    (probabilities,) = loaded.signatures["serving_default"](**{name: pixels}).values()
    return probabilities


@dataclasses.dataclass(frozen=True)
class Conditions:
    """All that an evaluation's figures depend on.

    Attributes:
        model: Path of the model, as it was given.
        weights_sha256: Over the bytes of all its variables, as in a run's `result.json`.
        data: The data set, as `data.source` of a recipe.
        split: Its split.
        image_size: Height and width of what the model gets, in pixels.
        crops: Views of each image, whose probabilities are averaged: 1 or 10.
        crop_ratio: Size of the central crop over the shorter side after resizing.
    """

    model: str
    weights_sha256: str
    data: str
    split: str
    image_size: int
    crops: int
    crop_ratio: float

    def name(self, usual_data: str, usual_crop_ratio: float) -> str:
        """Returns a name for files of this measurement: the split, and what is not as usual.

        Example:

        >>> conditions = Conditions("runs/1", "", "cifar10", "train[:90%]", 32, 10, 0.875)
        >>> conditions.name(usual_data="cifar10", usual_crop_ratio=0.875)
        'train-to90%-ten-crop'
        """
        path = Path(self.model)
        parts = [path.stem] if path.suffix == ".keras" and path.name != "model.keras" else []
        if self.data != usual_data:
            parts.append(self.data)
        parts.append(self.split)
        if self.crops == 10:
            parts.append("ten-crop")
        if self.crop_ratio != usual_crop_ratio:
            parts.append(f"crop-{self.crop_ratio:g}")
        # In a slice, [:90%] and [90%:] must stay two.
        return re.sub(r"[^\w.%-]+", "-", "-".join(parts).replace("]", "").replace("[:", "-to"))


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The scores of a model on a split.

    Attributes:
        scores: What it did with each example.
        class_names: Names of the classes.
        conditions: What was measured, and how.
        name: For the names of files, so that measurements of one model do not take each other's.
    """

    scores: Scores
    class_names: tuple[str, ...]
    conditions: Conditions
    name: str


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
    """Scores a run's model, or a model in a file, on a split of a data set."""
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


def measured_values(measurement: Measurement) -> dict[str, Any]:
    """Returns what was measured, how, and what came out, as JSON values.

    What is not a number, as the accuracy of a class without examples, is `None`.
    """
    scores, class_names = measurement.scores, measurement.class_names
    accuracies = map(_number, scores.accuracy_by_class().tolist())
    return dataclasses.asdict(measurement.conditions) | {
        "examples": len(scores.labels),
        "accuracy": scores.top1,
        "top5_accuracy": scores.top5,
        "loss": _number(scores.loss),
        "calibration_error": _number(scores.calibration_error()),
        "accuracy_by_class": dict(zip(class_names, accuracies, strict=True)),
        "classes": list(class_names),
        "confusion": scores.confusion().tolist(),
    }


def score_table(scores: Scores, class_names: tuple[str, ...], most: int = 20) -> Table:
    """Returns the figures of an evaluation as a table; of many classes, the worst."""
    table = Table(box=None, show_header=False)
    table.add_row("examples, each counted once", f"{len(scores.labels):,}")
    table.add_row("accuracy", f"{scores.top1:.2%}")
    if scores.classes > 5:
        table.add_row("among the five likeliest", f"{scores.top5:.2%}")
    table.add_row("cross-entropy", f"{scores.loss:.4f} nats")
    table.add_row("calibration error", f"{scores.calibration_error():.2%}")
    table.add_row()
    accuracies = scores.accuracy_by_class()
    matrix = scores.confusion()
    # A class without examples has no accuracy, and comes last.
    worst_first = np.argsort(accuracies, kind="stable")[:most]
    for label in worst_first:
        confusion = matrix[label].copy()
        confusion[label] = 0
        taken_for = ""
        if confusion.any():
            other = int(confusion.argmax())
            taken_for = f"most often taken for {class_names[other]} ({confusion[other]})"
        accuracy = "-" if math.isnan(accuracies[label]) else f"{accuracies[label]:.1%}"
        table.add_row(Text(class_names[label]), accuracy, Text(taken_for))
    if len(accuracies) > most:
        table.add_row(f"and {len(accuracies) - most} better classes")
    return table


def _number(value: float) -> float | None:
    """Returns a number, or `None` for what JSON has no number for."""
    return value if math.isfinite(value) else None


MOST_NAMED = 30  # classes that have their names and counts in the picture
MOST_PRINTED = 12  # classes that fit across a terminal
SHORTEST = 6  # letters of a name in a column's head
CORNER = "true \\ predicted"


def confusion_table(scores: Scores, class_names: tuple[str, ...], width: int = 80) -> Table | None:
    """Returns a table of the counts by true and predicted class; `None` for too many."""
    if len(class_names) > MOST_PRINTED:
        return None
    beside = max(map(len, (CORNER, *class_names)))
    room = (width - beside) // len(class_names) - 2  # between columns there is a space on each side
    table = Table(box=None)
    table.add_column(CORNER)
    for name in shortened(class_names, max(room, SHORTEST)):
        table.add_column(Text(name), justify="right")
    for label, counts in enumerate(scores.confusion()):
        cells = [f"[bold]{n}[/]" if label == other else str(n) for other, n in enumerate(counts)]
        table.add_row(Text(class_names[label]), *cells)
    return table


def shortened(names: Sequence[str], length: int) -> list[str]:
    """Returns names of some length at most, the shortened ones marked; longer, to stay distinct.

    Example:

    >>> shortened(["cat", "automobile", "automaton"], length=6)
    ['cat', 'automob…', 'automat…']
    """
    while True:
        short = [name if len(name) <= length else f"{name[: length - 1]}…" for name in names]
        if len(set(short)) == len(set(names)):
            return short
        length += 1


def write_confusion(scores: Scores, class_names: tuple[str, ...], path: Path) -> None:
    """Writes the counts as CSV: a row for each true class, a column for each predicted."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["true class", *class_names])
        for name, counts in zip(class_names, scores.confusion(), strict=True):
            writer.writerow([name, *counts])


def most_confused(
    scores: Scores, class_names: tuple[str, ...], most: int
) -> list[tuple[str, str, int]]:
    """Returns the most frequent mistakes: the true class, the predicted one, and how often."""
    counts = scores.confusion()
    np.fill_diagonal(counts, 0)
    places = np.argsort(-counts, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(places, counts.shape)
    return [
        (class_names[row], class_names[column], int(counts[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if counts[row, column]
    ]


def draw_confusion(scores: Scores, class_names: tuple[str, ...], path: Path) -> None:
    """Draws the confusion matrix: a row for each true class, its parts adding up to one."""
    from matplotlib.figure import Figure

    counts = scores.confusion()
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    are_few = len(class_names) <= MOST_NAMED
    side = 3.0 + 0.5 * len(class_names) if are_few else 10.0
    figure = Figure(figsize=(side + 1, side) if are_few else (14.0, side), layout="constrained")
    axes = figure.add_subplot()
    # The square root lets rare mistakes be seen: one in a hundred has a tenth of the colour's way.
    picture = axes.imshow(
        parts, cmap="cividis", norm="linear" if are_few else _square_root(), interpolation="nearest"
    )
    picture.set_clim(0, 1)
    figure.colorbar(picture, label="part of the true class", shrink=0.6)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{scores.top1:.2%} of {len(scores.labels):,} are right")
    if are_few:
        _write_counts(axes, counts, parts, class_names)
    else:
        mistakes = most_confused(scores, class_names, most=45)
        lines = [f"{n:>5}  {true[:28]} → {taken[:28]}" for true, taken, n in mistakes]
        text = "\n".join(["Most frequent mistakes", *lines])
        figure.text(1.0, 0.5, text, va="center", ha="left", size=8, family="monospace")
    figure.savefig(path, dpi=120, bbox_inches=None if are_few else "tight")


def _square_root():
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5)


def _write_counts(axes, counts, parts, class_names):
    """Writes the classes beside the matrix, and how many examples into each cell that has any."""
    labels = [name if len(name) <= 24 else f"{name[:23]}…" for name in class_names]
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "black" if parts[row, column] > 0.5 else "white"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=color, size=8)
