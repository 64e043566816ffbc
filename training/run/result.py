"""What a finished run says of itself."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_resnets.analysis import count_parameters
from training.loop.evaluate import Scores
from training.loop.learner import Learner
from training.loop.loop import State
from training.loop.network import serving_model
from training.recipe.recipe import Recipe
from training.run.checkpoint import weights_sha256
from training.run.folder import write_json, written_whole

# Okabe and Ito's palette, which colour-blind readers can tell apart.
TRAIN, TEST, RATE = "#0072B2", "#D55E00", "#009E73"


def draw_curves(entries: list[dict[str, Any]], path: Path) -> None:
    """Draws error and loss over the epochs, and the learning rate beneath."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    epochs = [entry["epoch"] for entry in entries]
    figure, (error, loss, rate) = plt.subplots(
        3, 1, figsize=(7, 7), sharex=True, height_ratios=(3, 3, 1), layout="constrained"
    )
    for split, color in (("train", TRAIN), ("test", TEST)):
        errors = [100 * (1 - entry[f"{split}_accuracy"]) for entry in entries]
        error.plot(epochs, errors, ".-", color=color, label=split)
        loss.plot(epochs, [entry[f"{split}_loss"] for entry in entries], ".-", color=color)
    rate.plot(epochs, [entry["learning_rate"] for entry in entries], ".-", color=RATE)
    error.set_ylabel("error (%)")
    loss.set_ylabel("loss (nats)")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("epochs")
    error.legend(frameon=False)
    for axes in (error, loss, rate):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})
    plt.close(figure)


RESULT = "result.json"


def write_result(
    folder: Path,
    learner: Learner,
    state: State,
    scores: Scores,
    metrics: list[dict[str, Any]],
    environment_changes: list[str],
) -> Path:
    """Writes `model.keras`, `curves.png`, and `result.json` last: the run is complete."""
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
    """Returns a finished run's result."""
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
