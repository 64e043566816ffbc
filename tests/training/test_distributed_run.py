"""Whole runs on two devices and by two workers: equal to one device's, stopped, killed, resumed."""

import json
import os
import signal
import time

import numpy as np
import pytest

from tests.training.workers import finish_workers, start_processes, start_workers

pytest.importorskip("tyro")

MODULE = "tests.training.small_training"
STEPS = 24
FLAGS = [
    *("train", "digits", "--batch", "40", "--length", f"{STEPS} steps"),
    *("--evaluation.every", "10 steps", "--checkpoint-every", "4 steps"),
    *("--schedule.warmup", "0 epochs", "--schedule.warmup-from", "0"),
    *("--optimizer.learning-rate", "0.01", "--model.sync-batch-norm", "--ema", "0.9"),
]

pytestmark = pytest.mark.soak


def arguments(run_dir, *flags):
    return [*FLAGS, "--run-dir", str(run_dir), *flags]


def start_two(run_dir, *flags):
    return start_workers(*[arguments(run_dir, *flags)] * 2, module=MODULE)


def finish_two(run_dir, *flags):
    return finish_workers(start_two(run_dir, *flags))


def result_of(run_dir):
    return json.loads((run_dir / "result.json").read_text())


def arrays_of(run_dir):
    with np.load(run_dir / "checkpoints" / f"step-{STEPS:08d}" / "variables.npz") as archive:
        return dict(archive)


def assert_same_run(one_dir, other_dir):
    """Compares all variables to 1e-5, and what the evaluations counted."""
    ones, others = arrays_of(one_dir), arrays_of(other_dir)
    assert ones.keys() == others.keys()
    for name, one in ones.items():
        np.testing.assert_allclose(one, others[name], rtol=1e-5, atol=1e-5, err_msg=name)
    one, other = result_of(one_dir), result_of(other_dir)
    assert one["test_accuracy"] == other["test_accuracy"]
    assert one["test_loss"] == pytest.approx(other["test_loss"], rel=1e-4)


def wait_for_step(run_dir, step):
    while not any(
        int(path.name.removeprefix("step-")) >= step
        for path in (run_dir / "checkpoints").glob("step-*[0-9]")
    ):
        time.sleep(0.02)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("one") / "run"
    [(status, _, errors)] = finish_workers(start_processes([arguments(run_dir)], [{}], MODULE))
    assert status == 0, errors
    return run_dir


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("two") / "run"
    return run_dir, finish_two(run_dir)


def test_two_devices_do_the_run_of_one(one_device, tmp_path):
    flags = arguments(tmp_path / "run", "--strategy", "mirrored", "--steps-per-call", "3")
    [(status, _, errors)] = finish_workers(
        start_processes([flags], [{"LOGICAL_CPUS": "2"}], MODULE)
    )
    assert status == 0, errors
    assert_same_run(one_device, tmp_path / "run")


def test_two_workers_do_the_run_of_one_device_and_only_the_chief_speaks(one_device, two_workers):
    run_dir, [(status, output, errors), (other_status, other_output, other_errors)] = two_workers
    assert status == 0, errors
    assert other_status == 0, other_errors
    assert_same_run(one_device, run_dir)
    assert "Test accuracy" in output
    assert other_output == ""
    assert {path.name for path in run_dir.iterdir()} == {path.name for path in one_device.iterdir()}


def test_workers_that_are_stopped_or_killed_go_on_to_the_same_bits(
    two_workers, tmp_path, monkeypatch
):
    whole_dir, _ = two_workers
    run_dir = tmp_path / "run"
    monkeypatch.setenv("SECONDS_AFTER_SAVES", "2")  # all 24 steps take less than half of one

    processes = start_two(run_dir)
    wait_for_step(run_dir, 4)
    processes[1].send_signal(signal.SIGTERM)  # one of them; both must stop, at the same step
    endings = finish_workers(processes)
    assert [status for status, _, _ in endings] == [143, 143], endings[0][2] + endings[1][2]
    assert "Stopped at step" in endings[0][1]

    processes = start_two(run_dir)
    wait_for_step(run_dir, 12)
    processes[1].kill()
    _, errors = processes[0].communicate()
    assert processes[0].returncode == 1
    assert errors.splitlines()[-1].startswith("error: Another worker is gone")
    assert "Traceback" not in errors
    processes[1].communicate()

    monkeypatch.delenv("SECONDS_AFTER_SAVES")
    endings = finish_two(run_dir)
    assert [status for status, _, _ in endings] == [0, 0], endings[0][2] + endings[1][2]
    assert "Resuming at step" in endings[0][1]
    assert result_of(run_dir)["weights_sha256"] == result_of(whole_dir)["weights_sha256"]


def test_a_worker_that_cannot_read_the_run_stops_all(two_workers, tmp_path):
    """As where the run's folder is on the chief's own disk."""
    whole_dir, _ = two_workers
    chief = tmp_path / "chief"
    os.makedirs(chief)
    (whole_dir / "checkpoints").rename(chief / "checkpoints")
    try:
        processes = start_workers(arguments(chief), arguments(tmp_path / "other"), module=MODULE)
        for status, _, errors in finish_workers(processes):
            assert status == 2
            assert "All workers must begin with the same variables" in errors
    finally:
        (chief / "checkpoints").rename(whole_dir / "checkpoints")


def test_what_diverges_stops_all_workers(tmp_path):
    for status, _, errors in finish_two(tmp_path / "run", "--optimizer.learning-rate", "1e38"):
        assert status == 1
        assert "is not a finite number" in errors
        assert "Traceback" not in errors
