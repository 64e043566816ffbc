"""What a run and an evaluation show: a bar, event files, curves, tables."""

import collections
import csv
import datetime
import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from training.loop.evaluate import Scores

SECONDS_BETWEEN_LINES = 30
RECENT = 50  # updates over which the speed is measured


class StepProgress:
    """A bar over the steps of a run; without a terminal, a line every half minute."""

    def __init__(
        self,
        title: str,
        step: int,
        total: int,
        batch: int,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._step, self._total, self._batch = step, total, batch
        self._console, self._clock = console, clock
        self._last_line = clock()
        self._first: tuple[float, int] | None = None
        self._recent: collections.deque[tuple[int, float]] = collections.deque(maxlen=RECENT)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, completed=step, state="")

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *exception):
        self._bar.stop()

    def update(
        self, step: int, loss: float, accuracy: float, learning_rate: float, seconds: float
    ) -> None:
        """Shows where the run is."""
        now = self._clock()
        state = f"loss {loss:.3f} acc {accuracy:.1%} lr {learning_rate:.4f}"
        if self._first is None:  # the first steps include building the graph
            self._first = now, step
        else:
            self._recent.append((step - self._step, seconds))
            steps, took = map(sum, zip(*self._recent, strict=True))
            state += f" {steps * self._batch / took:.0f} img/s"
        self._step = step
        self._bar.update(self._task, completed=step, state=state)
        if not self._console.is_terminal and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.line(f"step {step:>6} of {self._total}  {state}{self._time_left(now)}")

    def line(self, text: str) -> None:
        """Prints a line above the bar."""
        self._console.print(Text(text), soft_wrap=True)

    def evaluation(self, entry: dict[str, Any], skipped: int) -> None:
        """Prints a line of the metrics above the bar."""
        self.line(
            f"step {entry['step']:>6}  epoch {entry['epoch']:6.2f}  "
            f"train {entry['train_loss']:.4f} {entry['train_accuracy']:.2%}  "
            f"test {entry['test_loss']:.4f} {entry['test_accuracy']:.2%}  "
            f"{entry['seconds']:.0f} s" + (f"  {skipped} bad images skipped" if skipped else "")
        )

    def _time_left(self, now):
        """Returns the time to the end at the pace so far, evaluations and checkpoints included."""
        if self._first is None or self._step == self._first[1]:
            return ""
        begin, first = self._first
        seconds = (self._total - self._step) * (now - begin) / (self._step - first)
        return f"  {datetime.timedelta(seconds=round(seconds))} left"


class EventLog:
    """Event files with a run's metrics: written without TensorBoard, shown by it.

    `tf.summary.scalar` needs the package tensorboard, `tf.summary.write` does not.
    """

    def __init__(self, folder: Path, entries: Iterable[dict[str, Any]]):
        if folder.exists():
            shutil.rmtree(folder)
        self._writer = tf.summary.create_file_writer(str(folder))
        for entry in entries:
            self.append(entry)

    def append(self, entry: dict[str, Any]) -> None:
        """Adds a line of `metrics.jsonl`, and writes it at once."""
        scalar = tf.compat.v1.SummaryMetadata()
        scalar.plugin_data.plugin_name = "scalars"
        with self._writer.as_default(entry["step"]):
            for name, value in entry.items():
                if name == "step" or not isinstance(value, (int, float)):
                    continue
                split, _, quantity = name.partition("_")  # `test_loss` becomes `loss/test`
                tag = f"{quantity}/{split}" if split in ("train", "test") else name
                tf.summary.write(tag, tf.constant(value, tf.float32), metadata=scalar)
        self._writer.flush()


# Okabe and Ito's palette, which colour-blind readers can tell apart.
TRAIN, TEST, RATE = "#0072B2", "#D55E00", "#009E73"


def draw_curves(entries: list[dict[str, Any]], path: Path) -> None:
    """Draws error, loss and learning rate over the epochs."""
    from matplotlib.figure import Figure

    epochs = [entry["epoch"] for entry in entries]
    figure = Figure(figsize=(7, 7), layout="constrained")
    error, loss, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1))
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


MOST_NAMED = 30  # classes that have their names and counts in the picture
MOST_PRINTED = 12  # classes that fit across a terminal
SHORTEST = 6  # letters of a name in a column's head
CORNER = "true \\ predicted"
WIDE = 10_000  # columns, in which nothing is cut


def confusion_table(scores: Scores, class_names: tuple[str, ...], width: int = 80) -> Table | None:
    """Returns a table of the counts by true and predicted class; `None` if it is too wide."""
    if len(class_names) > MOST_PRINTED:
        return None
    beside = max(map(len, (CORNER, *class_names)))
    room = (width - beside) // len(class_names) - 2  # between columns there is a space on each side
    table = Table(CORNER, box=None)
    for name in shortened(class_names, max(room, SHORTEST)):
        table.add_column(Text(name), justify="right")
    for label, counts in enumerate(scores.confusion()):
        cells = [f"[bold]{n}[/]" if label == other else str(n) for other, n in enumerate(counts)]
        table.add_row(Text(class_names[label]), *cells)
    return table if Console(width=WIDE, height=1).measure(table).maximum <= width else None


def shortened(names: Sequence[str], length: int) -> list[str]:
    """Returns names of some length at most, the shortened ones marked; longer, to stay distinct."""
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
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    counts = scores.confusion()
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    are_few = len(class_names) <= MOST_NAMED
    side = 3.0 + 0.5 * len(class_names) if are_few else 10.0
    figure = Figure(figsize=(side + 1 if are_few else 14.0, side), layout="constrained")
    axes = figure.add_subplot()
    # The square root lets rare mistakes be seen: one in a hundred has a tenth of the colour's way.
    norm = PowerNorm(1.0 if are_few else 0.5, vmin=0, vmax=1)
    picture = axes.imshow(parts, cmap="cividis", norm=norm, interpolation="nearest")
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
        figure.text(
            1.0, 0.5, text, va="center", ha="left", size=8, family="monospace", parse_math=False
        )
    figure.savefig(path, dpi=120, bbox_inches=None if are_few else "tight")


def _write_counts(axes, counts, parts, class_names):
    """Writes the classes beside the matrix, and how many examples into each cell that has any."""
    labels = [name if len(name) <= 24 else f"{name[:23]}…" for name in class_names]
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "black" if parts[row, column] > 0.5 else "white"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=color, size=8)
