"""A progress bar for `fit`."""

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class EpochProgress(keras.callbacks.Callback):
    """One bar for a whole `fit`, with the running loss and accuracy beside it.

    Args:
        title: What stands in front of the bar.
        console: The `rich.console.Console` to draw on. Where it is no terminal, only the
            finished bar is printed.
    """

    def __init__(self, title, console):
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
