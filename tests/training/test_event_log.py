"""Event files, read back with TensorFlow's own reader."""

import tensorflow as tf

from training.run.reports import EventLog


def scalars(folder):
    """Returns {step: {tag: value}} of all event files in a folder."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(event.step, {})[value.tag] = number
    return found


def test_entries_are_scalars_grouped_by_what_they_measure(tmp_path):
    log = EventLog(tmp_path / "tensorboard", [{"step": 5, "train_loss": 1.5}])
    log.append({"step": 10, "train_loss": 0.5, "test_loss": 0.75, "learning_rate": 0.25})
    assert scalars(tmp_path / "tensorboard") == {
        5: {"loss/train": 1.5},
        10: {"loss/train": 0.5, "loss/test": 0.75, "learning_rate": 0.25},
    }


def test_a_resumed_run_has_no_step_twice(tmp_path):
    EventLog(tmp_path / "log", [{"step": 5, "epoch": 1.0}, {"step": 10, "epoch": 2.0}])
    log = EventLog(tmp_path / "log", [{"step": 5, "epoch": 1.0}])
    log.append({"step": 10, "epoch": 3.0})
    assert scalars(tmp_path / "log") == {5: {"epoch": 1.0}, 10: {"epoch": 3.0}}
