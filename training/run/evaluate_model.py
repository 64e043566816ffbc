"""Measuring a finished model, of a run or in a file, on a split of a data set."""

import dataclasses
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_resnets import Preprocessing, model_class_names
from keras_resnets.arguments import check_pair
from keras_resnets.preprocessing.model import (
    GREY_LEVELS,
    required_preprocessing,
    stem_convolution,
)
from keras_resnets.preprocessing.predictions import score_function
from keras_resnets.preprocessing.preprocessing import normalize, prepared_size
from training.data.sources import open_source
from training.loop.evaluate import Scores, evaluate_source, make_score_function
from training.options import EvaluationOptions
from training.recipe.files import load_recipe
from training.recipe.recipe import Data, Evaluation, Recipe
from training.run.checkpoint import weights_sha256


class Measurement(NamedTuple):
    """The scores of a model on a split."""

    scores: Scores
    class_names: tuple[str, ...]
    conditions: dict[str, Any]  # what the figures depend on, as JSON values
    name: str  # for files, so that no measurement of a model overwrites another

    def values(self) -> dict[str, Any]:
        """Returns what was measured, how, and the outcome, as JSON values."""
        scores = self.scores
        return self.conditions | {
            "examples": len(scores.labels),
            "accuracy": scores.top1,
            "top5_accuracy": scores.top5,
            "loss": scores.loss,
            "calibration_error": scores.calibration_error(),
            "accuracy_by_class": scores.named_accuracies(self.class_names),
            "classes": list(self.class_names),
            "confusion": scores.confusion().tolist(),
        }


def evaluate_model(
    path: Path, strategy: tf.distribute.Strategy, options: EvaluationOptions | None = None
) -> Measurement:
    """Scores a run's model, or a model in a file, on a split of a data set."""
    options = options or EvaluationOptions()
    if not path.exists():
        raise ValueError(f"There must be a model at the path. Received: path={str(path)!r}")
    run = load_recipe(path / "recipe.toml") if (path / "recipe.toml").is_file() else None
    if run is None and not options.dataset:
        raise ValueError(
            "`data.source` must name the images for a model in a file. "
            f"Received: data.source={options.dataset!r}"
        )
    if run is None or (path / "saved_model.pb").is_file():  # not under the scope, to run eagerly
        _check_probabilities(path, open_served_model(path))
    with strategy.scope():
        model = open_served_model(path)
    usual = run or Recipe(
        data=Data(source=options.dataset, mean=(0.0,), std=(1.0,)),
        evaluation=_evaluation_of(model.preprocessing),
    )
    recipe = _recipe(model, usual, options)
    data, evaluation = recipe.data, recipe.evaluation
    view = None if run else _noted_view(model, options)
    split = options.split or data.test_split
    source = open_source(data, split, options.data_dir, options.download)
    _check_fit(model, source, data.source, model.class_names or _classes_of_run(path))
    replicas = strategy.num_replicas_in_sync
    if evaluation.batch % replicas:
        raise ValueError(
            f"`batch` must be a multiple of the number of replicas, {replicas}. "
            f"Received: batch={evaluation.batch}"
        )
    mean, std = np.zeros(source.channels, "float32"), np.full(source.channels, 1 / 255, "float32")
    scores = evaluate_source(
        make_score_function(strategy, model.predict, puts_out_logits=False),
        strategy,
        source,
        recipe,
        ten_crop=options.ten_crop,
        mean_and_std=(mean, std),
        view=view,
    )
    conditions = {
        "model": str(path),
        "weights_sha256": model.weights_sha256,
        "data": data.source,
        "split": split,
        "image_size": model.image_size,
        "crops": 10 if options.ten_crop else 1,
        "crop_ratio": evaluation.crop_ratio,
        "view": view and view.to_dict(),
        "test_share": data.test_share,
    }
    usual_data = run.data.source if run else ""
    name = measurement_name(conditions, usual_data, usual.evaluation.crop_ratio)
    return Measurement(scores, source.class_names, conditions, name)


def _recipe(model, usual, options):
    """Returns the recipe to evaluate by: the usual one with the options that are given."""
    data, evaluation = usual.data, usual.evaluation
    name, share = options.dataset or data.source, options.test_share
    if name == data.source and data.test_share:  # the run's own images
        if share not in (0.0, data.test_share):
            raise ValueError(
                "`data.test_share` must be the run's for its own images, of which it has trained "
                f"on the others. Received: data.test_share={share}, not {data.test_share}"
            )
        share = data.test_share
    # `model.predict` normalizes grey levels itself.
    data = dataclasses.replace(
        data,
        source=name,
        test_share=share,
        image_size=model.image_size,
        per_pixel_mean=False,
        mean=(0.0,),
        std=(1.0,),
    )
    evaluation = dataclasses.replace(
        evaluation,
        image_size=0,
        ten_crop=options.ten_crop,
        crop_ratio=options.crop_ratio or evaluation.crop_ratio,
        batch=options.batch or evaluation.batch,
    )
    return Recipe(data=data, evaluation=evaluation)


def _noted_view(model, options):
    """Returns the view that a model notes; `None` if the options or their defaults decide."""
    view = dataclasses.replace(model.preprocessing, **GREY_LEVELS)
    if options.crop_ratio or options.ten_crop or (view.resize, view.crop) == (None, None):
        return None
    if view.crop is None and isinstance(view.resize, int):
        view = dataclasses.replace(view, crop=model.image_size)
    return view


def measurement_name(conditions: dict[str, Any], usual_data: str, usual_crop_ratio: float) -> str:
    """Returns the name of a measurement in `evaluation-<name>.json`, a different one for each.

    It is the split, with what is not as usual: the file if it is not `model.keras`, and the data
    set before it, the share of a flat folder and the crops after it. `docs/training.md` has a table
    of examples.
    """
    path = Path(conditions["model"])
    is_saved_model = (path / "saved_model.pb").is_file()
    is_other = is_saved_model or (path.suffix == ".keras" and path.name != "model.keras")
    parts = [path.name.removesuffix(".keras")] if is_other else []
    if conditions["data"] != usual_data:
        parts.append(conditions["data"])
    parts.append(conditions["split"])
    # A run's own images have the run's share.
    if conditions["data"] != usual_data and conditions.get("test_share"):
        parts.append(f"share-{conditions['test_share']:g}")
    if conditions["crops"] == 10:
        parts.append("ten-crop")
    if conditions["crop_ratio"] != usual_crop_ratio:
        parts.append(f"crop-{conditions['crop_ratio']:g}")
    # The slices [:90%] and [90%:] must have different names.
    return re.sub(r"[^\w.%-]+", "-", "-".join(parts).replace("]", "").replace("[:", "-to"))


def _classes_of_run(path):
    """Returns the class names of the run or published model that a path is in, if it has any."""
    result = (path.parent if path.name in ("model.keras", "saved_model") else path) / "result.json"
    if not result.is_file():
        return None
    return json.loads(result.read_text(encoding="utf-8")).get("classes")


def _check_fit(model, source, name, classes):
    if (model.channels, model.classes) != (source.channels, len(source.class_names)):
        raise ValueError(
            "The model and the data set must have the same channels and classes. Received: a model "
            f"of {model.channels} channels and {model.classes} classes, and {name!r} with "
            f"{source.channels} and {len(source.class_names)}"
        )
    for was, now in zip(classes or source.class_names, source.class_names, strict=True):
        if was != now:
            raise ValueError(
                "The data set must have the classes that the model was trained on, in the same "
                f"order. Received: {name!r}, whose first different one is {was!r}, {now!r}"
            )


# What a sum of probabilities may lack to 1, also in 16 bits.
TOLERANCE = 0.01


class ServedModel(NamedTuple):
    """A model from pixels of 0 to 255 to probabilities."""

    predict: Callable[..., tf.Tensor]  # from (batch, size, size, channels) to (batch, classes)
    image_size: int
    channels: int
    classes: int
    weights_sha256: str  # over the bytes of all its variables, as in a run's `result.json`
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None = None


def open_served_model(path: Path) -> ServedModel:
    """Opens the model of a run, or one in a file."""
    if (path / "saved_model.pb").is_file():
        return _saved_model(path)
    if (path / "model.keras").is_file():
        path = path / "model.keras"
    if (path / "recipe.toml").is_file():
        raise ValueError(
            "The run must be complete; the command that began it resumes it. "
            f"Received: path={str(path)!r}"
        )
    if not (path.is_file() and path.suffix == ".keras"):
        raise ValueError(
            "`path` must be the folder of a complete run, a .keras file or the folder of a "
            f"SavedModel. Received: path={str(path)!r}"
        )
    _check_whole(path)
    model = keras.models.load_model(path, compile=False)
    function = score_function(model)
    try:
        stem_convolution(model)
    except ValueError:  # not of this package: it takes pixels
        preprocessing = Preprocessing(**GREY_LEVELS)
    else:
        preprocessing = required_preprocessing(model)

    def predict(pixels, training=False):
        outputs = model(normalize(pixels, preprocessing, -1), training=training)
        outputs = tf.cast(outputs, tf.float32)
        return outputs if function is None else getattr(tf.nn, function)(outputs)

    _, *size, channels = model.input_shape
    height, width = size if any(size) else prepared_size(preprocessing, None, None)
    if height is None or height != width:
        raise ValueError(
            "To be measured, a model must take square images, or images of any size with a "
            "preprocessing that crops a square. "
            f"Received: model={model.name!r}, which takes {size}, and {preprocessing}"
        )
    return ServedModel(
        predict,
        height,
        channels,
        model.output_shape[-1],
        weights_sha256(model.variables),
        preprocessing,
        model_class_names(model),
    )


def _evaluation_of(preprocessing):
    """Returns the crop ratio and the interpolation that a preprocessing notes."""
    if not isinstance(preprocessing.resize, int) or preprocessing.interpolation == "nearest":
        return Evaluation()
    crop = max(check_pair("crop", preprocessing.crop or preprocessing.resize))
    return Evaluation(
        crop_ratio=crop / preprocessing.resize, interpolation=preprocessing.interpolation
    )


def _check_whole(path):
    """Raises for a damaged archive, for which Keras's own error names no reason."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            missing = {"config.json", "model.weights.h5"}.difference(archive.namelist())
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        damaged, missing = str(error) or type(error).__name__, set()
    if damaged or missing:
        fault = f"damaged: {damaged}" if damaged else f"without {', '.join(sorted(missing))}"
        raise ValueError(
            "A .keras file must be whole, as Keras or a run has written it. "
            f"Received: {str(path)!r}, {fault}"
        )


def _saved_model(path):
    loaded = tf.saved_model.load(str(path))
    # Of a model that `export_model` wrote, what the model itself reads; of others, pixels.
    signature = "tensor" if "tensor" in loaded.signatures else "serving_default"
    function = loaded.signatures[signature]
    (name, images), *others = function.structured_input_signature[1].items()
    ((_, outputs),) = function.structured_outputs.items()
    if others or images.shape.rank != 4 or not images.dtype.is_floating:
        raise ValueError(
            f"The SavedModel's {signature!r} must take float images alone. "
            f"Received: {str(path)!r}, which takes {function.structured_input_signature[1]}"
        )
    preprocessing, names = Preprocessing(**GREY_LEVELS), None
    if signature == "tensor":
        preprocessing, names = _notes_beside(path)

    def predict(pixels, training=False):
        # The variables live only as long as what was loaded.
        images = normalize(pixels, preprocessing, -1)
        (outputs,) = loaded.signatures[signature](**{name: images}).values()
        return outputs

    return ServedModel(
        predict,
        images.shape[1],
        images.shape[-1],
        outputs.shape[-1],
        weights_sha256(getattr(loaded, "variables", function.variables)),
        preprocessing,
        names,
    )


def _notes_beside(path):
    """Returns the preprocessing and the class names that an export has beside its SavedModel."""
    try:
        described = json.loads((path / "preprocessing.json").read_text(encoding="utf-8"))
        names = (path / "labels.txt").read_text(encoding="utf-8").splitlines()
        return Preprocessing.from_dict(described), tuple(names)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(
            "A SavedModel of `export_model` must have its preprocessing.json and labels.txt beside "
            f"it. Received: {str(path)!r} ({error})"
        ) from error


def _check_probabilities(path, model):
    """Raises if a model gives logits, or several labels' probabilities."""
    image = tf.zeros((1, model.image_size, model.image_size, model.channels))
    total = float(tf.reduce_sum(model.predict(image)))
    if abs(total - 1) > TOLERANCE and model.classes > 1:  # `_check_fit` refuses one class
        raise ValueError(
            "The model's outputs must be probabilities that sum to 1, as after a softmax. "
            f"Received: {str(path)!r}, whose sum to {total:.3g}"
        )
