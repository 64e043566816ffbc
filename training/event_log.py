"""A run's metrics as TensorBoard reads them."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf


class EventLog:
    """Event files with a run's metrics: written without TensorBoard, shown by it.

    `tf.summary.scalar` needs the package tensorboard, `tf.summary.write` does not.

    Args:
        folder: Where the files are. Those of earlier sittings are replaced, for a killed run may
            have written steps that are done again.
        entries: The lines of `metrics.jsonl` so far.
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
