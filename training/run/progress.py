"""What a run shows while it trains."""

import collections
import datetime
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


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
        """Adds a line of `metrics.jsonl`, and brings it to the file at once."""
        with self._writer.as_default(entry["step"]):
            for name, value in entry.items():
                if name != "step" and isinstance(value, (int, float)):
                    tf.summary.write(_tag(name), tf.constant(value, tf.float32), metadata=_scalar())
        self._writer.flush()


def _tag(name):
    """Puts the curves of one quantity into one group: `test_loss` becomes `loss/test`."""
    split, _, quantity = name.partition("_")
    return f"{quantity}/{split}" if split in ("train", "test") else name


def _scalar():
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    return metadata


SECONDS_BETWEEN_LINES = 30
RECENT = 50  # updates over which the speed is measured


class EpochProgress(keras.callbacks.Callback):
    """One bar for a whole `fit`, with the running loss and accuracy beside it."""

    def __init__(self, title: str, console: Console):
        super().__init__()
        self._bar = Progress(
            TextColumn(f"{title:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs  loss {task.fields[loss]:.4f}"),
            TextColumn("accuracy {task.fields[accuracy]:.2%}"),
            TimeRemainingColumn(),
            console=console,
        )

    def on_train_begin(self, logs=None):
        epochs = self.params["epochs"]
        self._task = self._bar.add_task("", total=epochs, loss=float("nan"), accuracy=0.0)
        self._bar.start()

    def on_epoch_end(self, epoch, logs=None):
        self._bar.update(
            self._task, completed=epoch + 1, loss=logs["loss"], accuracy=logs["accuracy"]
        )

    def on_train_end(self, logs=None):
        self._bar.stop()


class StepProgress:
    """A bar over the steps of a run; a line every half minute where there is no terminal."""

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
        if self._first is None:  # the first steps include building the graph
            self._first = now, step
        else:
            self._recent.append((step - self._step, seconds))
        self._step = step
        state = f"loss {loss:.3f} acc {accuracy:.1%} lr {learning_rate:.4f}"
        if self._recent:
            steps, took = map(sum, zip(*self._recent, strict=True))
            state += f" {steps * self._batch / took:.0f} img/s"
        self._bar.update(self._task, completed=step, state=state)
        if not self._console.is_terminal and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.line(f"step {step:>6} of {self._total}  {state}{self._time_left(now)}")

    def line(self, text: str) -> None:
        """Prints a line above the bar."""
        self._console.print(Text(text), soft_wrap=True)

    def _time_left(self, now):
        """Returns the time to the end at the pace so far, evaluations and checkpoints included."""
        if self._first is None or self._step == self._first[1]:
            return ""
        begin, first = self._first
        seconds = (self._total - self._step) * (now - begin) / (self._step - first)
        return f"  {datetime.timedelta(seconds=round(seconds))} left"
