"""What came of a run, as plain JSON values."""

from typing import Any

import keras

from keras_resnets.analysis import count_parameters
from training.checkpoint import weights_sha256
from training.evaluate import Scores
from training.recipe import Recipe
from training.state import State


def describe_result(
    recipe: Recipe,
    state: State,
    scores: Scores,
    class_names: tuple[str, ...],
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
    """
    accuracies = scores.accuracy_by_class().tolist()
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
        "images_per_second": round(state.step * recipe.batch / state.seconds, 1),
        "weights_sha256": weights_sha256(model.variables),
    }
