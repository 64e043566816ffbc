"""What an evaluation showed: as a table, as JSON and as a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from training.evaluate import Scores


def score_values(scores: Scores, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the figures of an evaluation as JSON values."""
    accuracies = scores.accuracy_by_class().tolist()
    return {
        "examples": len(scores.labels),
        "accuracy": scores.top1,
        "top5_accuracy": scores.top5,
        "loss": scores.loss,
        "calibration_error": scores.calibration_error(),
        "accuracy_by_class": dict(zip(class_names, accuracies, strict=True)),
        "confusion": scores.confusion().tolist(),
    }


def score_table(scores: Scores, class_names: tuple[str, ...], most: int = 20) -> Table:
    """Returns the figures of an evaluation as a table; of many classes, the worst."""
    table = Table(box=None, show_header=False)
    table.add_row("examples, each counted once", f"{len(scores.labels):,}")
    table.add_row("accuracy", f"{scores.top1:.2%}")
    table.add_row("among the five likeliest", f"{scores.top5:.2%}")
    table.add_row("cross-entropy", f"{scores.loss:.4f} nats")
    table.add_row("calibration error", f"{scores.calibration_error():.2%}")
    table.add_row()
    accuracies = scores.accuracy_by_class()
    worst_first = np.argsort(accuracies)[:most]
    for label in worst_first:
        confusion = scores.confusion()[label].copy()
        confusion[label] = 0
        taken_for = ""
        if confusion.any():
            other = int(confusion.argmax())
            taken_for = f"most often taken for {class_names[other]} ({confusion[other]})"
        table.add_row(class_names[label], f"{accuracies[label]:.1%}", taken_for)
    if len(accuracies) > most:
        table.add_row(f"and {len(accuracies) - most} better classes")
    return table


def draw_confusion(scores: Scores, class_names: tuple[str, ...], path: Path) -> None:
    """Draws the confusion matrix: a row for each true class, its parts adding up to one.

    Args:
        scores: Of an evaluation.
        class_names: Names of the classes; written beside the matrix where they fit.
        path: The PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    confusion = scores.confusion()
    with np.errstate(invalid="ignore"):
        parts = confusion / confusion.sum(axis=1, keepdims=True)
    classes = len(class_names)
    side = min(12.0, 3.0 + 0.5 * classes)
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(parts, cmap="cividis", vmin=0, vmax=1)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{scores.top1:.2%} of {len(scores.labels):,} are right")
    if classes <= 30:
        axes.set_xticks(range(classes), class_names, rotation=45, ha="right")
        axes.set_yticks(range(classes), class_names)
        for row in range(classes):
            for column in range(classes):
                if confusion[row, column]:
                    color = "black" if parts[row, column] > 0.5 else "white"
                    count = str(confusion[row, column])
                    axes.text(column, row, count, ha="center", va="center", color=color, size=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)
