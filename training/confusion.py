"""Which classes a model takes for which: on the terminal, as a table and as a picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from training.evaluate import Scores

MOST_NAMED = 30  # classes that have their names and counts in the picture
MOST_PRINTED = 12  # classes that fit across a terminal
SHORTEST = 6  # letters of a name in a column's head
CORNER = "true \\ predicted"


def confusion_table(scores: Scores, class_names: tuple[str, ...], width: int = 80) -> Table | None:
    """Returns the counts by true class (row) and predicted class; `None` where they are too many.

    Args:
        scores: Of an evaluation.
        class_names: Names of the classes.
        width: Characters in a line. Names that do not fit are shortened, with a mark.
    """
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

    Args:
        names: Names, all distinct.
        length: Letters that there is room for.

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
    """Writes the counts as a CSV file: a row for each true class, a column for each predicted one.

    Args:
        scores: Of an evaluation.
        class_names: Names of the classes.
        path: The CSV file to write.
    """
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["true class", *class_names])
        for name, counts in zip(class_names, scores.confusion(), strict=True):
            writer.writerow([name, *counts])


def most_confused(
    scores: Scores, class_names: tuple[str, ...], most: int
) -> list[tuple[str, str, int]]:
    """Returns the most frequent mistakes: the true class, the predicted one, and how often.

    Args:
        scores: Of an evaluation.
        class_names: Names of the classes.
        most: How many mistakes.
    """
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
    """Draws the confusion matrix: a row for each true class, its parts adding up to one.

    Args:
        scores: Of an evaluation.
        class_names: Names of the classes. Up to thirty are written beside the matrix; of more,
            only those that are taken for each other most often, in a list.
        path: The PNG file to write.
    """
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
