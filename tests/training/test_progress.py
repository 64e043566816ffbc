"""What a run shows while it lasts: a bar or lines, and event files."""

import io

import pytest
import tensorflow as tf
from rich.console import Console

from training.run.reports import SECONDS_BETWEEN_LINES, EventLog, StepProgress


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def lines_of(updates, step=0, total=100, batch=10):
    """Returns the lines that updates at some seconds print where there is no terminal."""
    clock, output = Clock(), io.StringIO()
    with StepProgress("net", step, total, batch, Console(file=output, width=60), clock) as bar:
        for second, done, seconds in updates:
            clock.now = 1000.0 + second
            bar.update(done, 1.25, 0.5, 0.1, seconds)
    return output.getvalue().splitlines()


def test_a_line_every_half_minute_where_there_is_no_terminal():
    updates = [(20, 1, 20.0), *((20 + n, 1 + n, 0.5) for n in range(1, 80))]
    lines = lines_of(updates)
    assert SECONDS_BETWEEN_LINES == 30
    # The first step took 20 s, which do not count; the others take a second each, half of which
    # is training: 10 images in 0.5 s. At 30 s, 11 steps are done, and 89 are left.
    assert lines == [
        "step     11 of 100  loss 1.250 acc 50.0% lr 0.1000 20 img/s  0:01:29 left",
        "step     41 of 100  loss 1.250 acc 50.0% lr 0.1000 20 img/s  0:00:59 left",
        "step     71 of 100  loss 1.250 acc 50.0% lr 0.1000 20 img/s  0:00:29 left",
    ]


def test_before_a_second_update_there_is_no_speed():
    assert lines_of([(45, 61, 40.0)], step=60) == [
        "step     61 of 100  loss 1.250 acc 50.0% lr 0.1000"
    ]


def test_steps_of_a_call_count_together():
    (line,) = lines_of([(1, 40, 1.0), (41, 60, 4.0)], step=20)
    assert "50 img/s" in line  # 20 steps of 10 images in 4 s
    assert "0:01:20 left" in line  # 40 steps at 20 in 40 s


def test_on_a_terminal_a_bar_with_all_of_it():
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120)
    with StepProgress("net", 0, 100, 10, console) as bar:
        bar.update(1, 1.25, 0.5, 0.1, 9.0)
        bar.update(50, 1.0, 0.625, 0.05, 9.8)
        bar.line("above")
    text = output.getvalue()
    for part in ("net", "50/100", "loss 1.000", "acc 62.5%", "lr 0.0500", "50 img/s", "above"):
        assert part in text


@pytest.mark.parametrize("text", ["[bold]x", "a[/b]", "{x}", ":cat:"])
def test_a_title_and_a_line_are_shown_as_they_are(text):
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, color_system=None, width=120)
    with StepProgress(f"net{text}", 0, 9, 1, console) as bar:
        bar.line(f"line{text}")
    assert f"net{text} " in output.getvalue()
    assert f"line{text}\n" in output.getvalue()


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
