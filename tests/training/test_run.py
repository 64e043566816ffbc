"""A run: complete, stopped, killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.subprocesses import ROOT

pytest.importorskip("tyro")

# Ten epochs' worth of everything in fewer steps: evaluations and checkpoints fall on other steps,
# and the moving average, drop path and a batch that does not divide the data take part.
FLAGS = [
    *("--length", "40 steps", "--evaluation.every", "15 steps", "--checkpoint-every", "4 steps"),
    *("--batch", "50", "--ema", "0.9", "--model.drop-path-rate", "0.1", "--seed", "3"),
]


def command(run_dir, *flags):
    return [sys.executable, "-m", "training", "train", "digits", "--run-dir", str(run_dir), *flags]


def start(run_dir, *flags):
    return subprocess.Popen(
        command(run_dir, *FLAGS, *flags),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(run_dir, *flags):
    process = start(run_dir, *flags)
    output, errors = process.communicate(timeout=280)
    return process.returncode, output, errors


def result_of(run_dir):
    return json.loads((run_dir / "result.json").read_text())


def comparable(result):
    """A result without what a clock decides."""
    return {key: value for key, value in result.items() if "second" not in key}


def metrics_of(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def wait_for_step(run_dir, step, timeout=120):
    """Waits until a checkpoint of that step or a later one is there."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        names = [path.name for path in (run_dir / "checkpoints").glob("step-*[0-9]")]
        if any(int(name.removeprefix("step-")) >= step for name in names):
            return
        time.sleep(0.02)
    raise AssertionError(f"No checkpoint of step {step} within {timeout} s")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    status, output, errors = finish(run_dir)
    assert status == 0, errors
    return run_dir, output


@pytest.mark.slow
def test_a_run_writes_what_it_did(whole):
    run_dir, output = whole
    names = {path.name for path in run_dir.iterdir()}
    assert names == {
        "recipe.toml",
        "environment.json",
        "metrics.jsonl",
        "checkpoints",
        "model.keras",
        "result.json",
        "curves.png",
        "run.lock",
    }
    result = result_of(run_dir)
    assert result["steps"] == 40
    assert result["examples"] == 2000
    assert result["seed"] == 3
    assert len(result["accuracy_by_class"]) == 10
    assert [entry["step"] for entry in metrics_of(run_dir)] == [15, 30, 40]
    assert metrics_of(run_dir)[-1]["test_accuracy"] == result["test_accuracy"]
    assert "Test accuracy" in output


@pytest.mark.slow
def test_the_model_reads_pixels_and_scores_as_the_result_says(whole):
    import keras

    import keras_resnets  # noqa: F401 (registers the layers)
    from training.data.bundled import digits

    run_dir, _ = whole
    model = keras.models.load_model(run_dir / "model.keras")
    test = digits("test")
    scores = model.predict(test.images.astype("float32"), verbose=0)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-4)
    accuracy = np.mean(scores.argmax(axis=1) == test.labels)
    assert accuracy == pytest.approx(result_of(run_dir)["test_accuracy"], abs=1e-9)


@pytest.mark.slow
def test_the_same_command_again_says_that_the_run_is_complete(whole):
    run_dir, _ = whole
    before = (run_dir / "result.json").read_bytes()
    status, output, _ = finish(run_dir)
    assert status == 0
    assert "complete" in output
    assert (run_dir / "result.json").read_bytes() == before


@pytest.mark.slow
def test_another_recipe_is_refused_by_the_name_of_the_field(whole):
    run_dir, _ = whole
    status, _, errors = finish(run_dir, "--optimizer.learning-rate", "0.05")
    assert status == 2
    assert "optimizer.learning_rate" in errors
    assert "Traceback" not in errors


@pytest.mark.soak
def test_sigterm_saves_and_the_run_goes_on_to_the_same_bits(whole, tmp_path):
    run_dir, _ = whole
    process = start(tmp_path / "run")
    wait_for_step(tmp_path / "run", 4)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "Stopped at step" in output
    status, output, errors = finish(tmp_path / "run")
    assert status == 0, errors
    assert "Going on at step" in output
    assert comparable(result_of(tmp_path / "run")) == comparable(result_of(run_dir))
    assert metrics_of(tmp_path / "run") == metrics_of(run_dir)


@pytest.mark.soak
def test_a_killed_run_goes_on_to_the_same_bits(whole, tmp_path):
    run_dir, _ = whole
    for step in (4, 20):
        process = start(tmp_path / "run")
        wait_for_step(tmp_path / "run", step)
        process.kill()
        process.communicate()
    latest = max((tmp_path / "run" / "checkpoints").glob("step-*[0-9]"))
    (latest / "variables.npz").write_bytes(b"damaged after the fact")
    status, output, errors = finish(tmp_path / "run")
    assert status == 0, errors
    assert latest.name in output
    assert "damaged" in output
    assert comparable(result_of(tmp_path / "run")) == comparable(result_of(run_dir))
    assert metrics_of(tmp_path / "run") == metrics_of(run_dir)


@pytest.mark.soak
def test_what_diverges_stops_with_step_and_examples_and_keeps_the_checkpoint(tmp_path):
    run_dir = tmp_path / "run"
    status, _, errors = finish(run_dir, "--optimizer.learning-rate", "1e38", "--ema", "0")
    assert status == 1
    assert "is not a finite number" in errors
    assert "examples [" in errors
    assert "Traceback" not in errors
    assert not (run_dir / "result.json").exists()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_moments(tmp_path):
    """A third of them while the process starts, a third during a save, a third between saves."""
    flags = ["--length", "200 steps", "--evaluation.every", "70 steps"]
    flags += ["--checkpoint-every", "2 steps", "--batch", "20"]
    generator = np.random.default_rng(int(os.environ.get("SOAK_SEED", "0")))
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def begin(run_dir):
        devnull = subprocess.DEVNULL
        line = command(run_dir, *flags)
        return subprocess.Popen(line, cwd=ROOT, stdout=devnull, stderr=devnull)

    def wait_until(process, condition):
        deadline = time.monotonic() + 120
        while not condition():
            assert process.poll() is None, "the run ended before it was killed twenty times"
            assert time.monotonic() < deadline

    assert begin(whole).wait(timeout=300) == 0
    during_saves = 0
    for kill in range(20):
        checkpoints = set(killed.glob("checkpoints/step-*"))
        process = begin(killed)
        if kill % 3 == 0:
            time.sleep(generator.uniform(0.2, 5.0))
        elif kill % 3 == 1:
            wait_until(process, lambda: list(killed.glob("checkpoints/*.writing")))
            time.sleep(generator.uniform(0.0, 0.02))
        else:
            wait_until(
                process, lambda known=checkpoints: set(killed.glob("checkpoints/step-*")) - known
            )
            time.sleep(generator.uniform(0.0, 0.3))
        assert process.poll() is None, "the run ended before it was killed twenty times"
        process.kill()
        process.wait()
        during_saves += bool(list(killed.glob("checkpoints/*.writing")))
    assert during_saves > 0
    assert begin(killed).wait(timeout=300) == 0
    assert comparable(result_of(killed)) == comparable(result_of(whole))
    assert metrics_of(killed) == metrics_of(whole)
