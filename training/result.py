"""What comes of a run: the model to hand on, the curves, and the figures."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_resnets.analysis import count_parameters
from training.checkpoint import weights_sha256
from training.curves import draw_curves
from training.evaluate import Scores
from training.learner import Learner
from training.network import serving_model
from training.recipe import Recipe
from training.run_directory import write_json
from training.state import State
from training.whole_file import written_whole

RESULT = "result.json"


def write_result(
    folder: Path,
    learner: Learner,
    state: State,
    scores: Scores,
    metrics: list[dict[str, Any]],
    environment_changes: list[str],
) -> Path:
    """Writes `model.keras`, `curves.png` and, as the last one, `result.json`: the run is complete.

    Args:
        folder: The run's folder.
        learner: What learned.
        state: Where the run ended.
        scores: Of the test split, in the end.
        metrics: The lines of `metrics.jsonl`.
        environment_changes: What was no longer as before where the run was gone on with.

    Returns:
        The path of `result.json`.

    Raises:
        OSError: If one of them cannot be written.
    """
    with written_whole(folder / "model.keras") as path:
        serving_model(learner.recipe, learner.measured, *learner.mean_and_std).save(path)
    with written_whole(folder / "curves.png") as path:
        draw_curves(metrics, path)
    class_names = learner.test_source.class_names
    result = describe_result(learner.recipe, state, scores, class_names, learner.model)
    last = metrics[-1]
    result |= {name: last[name] for name in ("train_loss", "train_accuracy", "learning_rate")}
    write_json(folder / RESULT, result | {"environment_changes": environment_changes})
    return folder / RESULT


def describe_result(
    recipe: Recipe,
    state: State,
    scores: Scores,
    class_names: Sequence[str],
    model: keras.Model,
) -> dict[str, Any]:
    """Returns a finished run's result.

    Args:
        recipe: All that determined the run.
        state: Where it ended.
        scores: Of the test split, in the end.
        class_names: Names of the classes.
        model: The network as it was trained. `weights_sha256` is taken over the bytes of all its
            variables, in the order of `model.variables`.

    Returns:
        JSON values by name. `seconds` and `images_per_second` are as `State` has time and pace.
    """
    accuracies = [
        None if math.isnan(accuracy) else accuracy  # a class without test examples
        for accuracy in scores.accuracy_by_class().tolist()
    ]
    return {
        "model": recipe.model.name,
        "data": recipe.data.source,
        "classes": list(class_names),
        "test_accuracy": scores.top1,
        "test_top5_accuracy": scores.top5,
        "test_loss": scores.loss,
        "calibration_error": scores.calibration_error(),
        "accuracy_by_class": dict(zip(class_names, accuracies, strict=True)),
        "best_test_accuracy": state.best_accuracy,
        "best_step": state.best_step,
        "parameters": count_parameters(model).trainable,
        "seed": recipe.seed,
        "steps": state.step,
        "examples": state.step * recipe.batch,
        "skipped_images": state.skipped,
        "seconds": round(state.seconds, 1),
        "images_per_second": round(state.steps_per_second * recipe.batch, 1),
        "weights_sha256": weights_sha256(model.variables),
    }
