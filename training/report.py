"""What an evaluation showed: as a table and as JSON."""

import dataclasses
import math
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from training.evaluate import Scores
from training.measurement import Measurement


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
