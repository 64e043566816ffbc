"""A run: complete, stopped, killed and gone on with."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_resnets
from tests.subprocesses import ROOT
from tests.training.forked import Command

pytest.importorskip("tyro")
pytest.importorskip("tensorflow")

from training.__main__ import main
from training.data.source import digits
from training.run.checkpoint import latest_checkpoint

# Ten epochs' worth of everything in fewer steps: evaluations and checkpoints fall on other steps,
# and the moving average, drop path and a batch that does not divide the data take part.
FLAGS = [
    *("--length", "40 steps", "--evaluation.every", "15 steps", "--checkpoint-every", "4 steps"),
    *("--batch", "50", "--ema", "0.9", "--model.drop-path-rate", "0.1", "--seed", "3"),
]


def start(run_dir, *flags):
    log = run_dir.with_name(f"{run_dir.name}.log")
    return Command(["train", "digits", "--run-dir", run_dir, *FLAGS, *flags], log)


def finish(run_dir, *flags):
    command = start(run_dir, *flags)
    return command.wait(), command.output


def result_of(run_dir):
    return json.loads((run_dir / "result.json").read_text())


def outcome(run_dir):
    """What a run comes to, with all variables at its end, without what a clock decides."""
    result = {name: value for name, value in result_of(run_dir).items() if "second" not in name}
    last, messages = latest_checkpoint(run_dir / "checkpoints")
    state = {name: value for name, value in last.facts["state"].items() if "second" not in name}
    hashes = {
        name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in last.arrays.items()
    }
    assert messages == []
    return result, metrics_of(run_dir), state, hashes


def metrics_of(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def wait_until(command, condition):
    while not condition():
        assert command.status is None, command.output
        time.sleep(0.002)


def has_step(run_dir, step):
    """Whether a checkpoint of that step or a later one is there."""
    names = [path.name for path in (run_dir / "checkpoints").glob("step-*[0-9]")]
    return any(int(name.removeprefix("step-")) >= step for name in names)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    status, output = finish(run_dir)
    assert status == 0, output
    return run_dir, output


@pytest.mark.slow
def test_a_run_writes_what_it_did(whole):
    run_dir, output = whole
    assert {path.name for path in run_dir.iterdir()} == {
        *("recipe.toml", "environment.json", "metrics.jsonl", "checkpoints", "run.lock"),
        *("model.keras", "result.json", "curves.png"),
    }
    result = result_of(run_dir)
    assert (result["steps"], result["examples"], result["seed"]) == (40, 2000, 3)
    assert len(result["accuracy_by_class"]) == 10
    assert [entry["step"] for entry in metrics_of(run_dir)] == [15, 30, 40]
    assert metrics_of(run_dir)[-1]["test_accuracy"] == result["test_accuracy"]
    assert "Test accuracy" in output


@pytest.mark.slow
def test_the_model_is_of_the_zoo_and_scores_as_the_result_says(whole):
    run_dir, _ = whole
    model = keras.models.load_model(run_dir / "model.keras")
    test = digits("test")
    assert keras_resnets.model_class_names(model) == test.class_names
    scores = model.predict(keras_resnets.preprocess_input(test.images, model), verbose=0)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-4)
    accuracy = np.mean(scores.argmax(axis=1) == test.labels)
    assert accuracy == pytest.approx(result_of(run_dir)["test_accuracy"], abs=1e-9)
    [[best, *_]] = keras_resnets.classify(model, test.images[0])
    assert best.name == test.class_names[scores[0].argmax()]


@pytest.mark.slow
def test_the_same_command_again_does_nothing_and_another_recipe_is_refused(whole, capfd):
    run_dir, _ = whole
    before = (run_dir / "result.json").read_bytes()
    arguments = ["train", "digits", "--run-dir", str(run_dir), *FLAGS]
    assert main(arguments) == 0
    assert "complete" in capfd.readouterr().out
    assert main([*arguments, "--optimizer.learning-rate", "0.05"]) == 2
    assert "optimizer.learning_rate" in capfd.readouterr().err
    assert (run_dir / "result.json").read_bytes() == before


@pytest.mark.soak
def test_sigterm_saves_and_the_run_goes_on_to_the_same_bits(whole, tmp_path):
    """Stopped before anything was imported, while it is built, and while it trains."""
    run_dir = tmp_path / "run"
    line = [sys.executable, "-m", "training", "train", "digits", "--run-dir", str(run_dir), *FLAGS]
    process = subprocess.Popen(line, cwd=ROOT)
    time.sleep(0.5)
    process.terminate()
    assert process.wait() == -signal.SIGTERM  # which a shell reports as 143
    command = start(run_dir)
    wait_until(command, (run_dir / "recipe.toml").exists)
    command.send(signal.SIGTERM)
    assert command.wait() == 143, command.output
    for step in (4, 20):
        command = start(run_dir)
        wait_until(command, lambda step=step: has_step(run_dir, step))
        command.send(signal.SIGTERM)
        command.send(signal.SIGTERM)
        assert command.wait() == 143, command.output
        assert "Stopped at step" in command.output
    status, output = finish(run_dir)
    assert status == 0, output
    assert "Resuming at step" in output
    assert "warning" not in output
    assert outcome(run_dir) == outcome(whole[0])


@pytest.mark.soak
def test_twenty_kills_at_random_moments(tmp_path):
    """Six of them while it starts, seven during a save, seven between saves."""
    flags = ["--length", "200 steps", "--evaluation.every", "70 steps"]
    flags += ["--checkpoint-every", "2 steps"]
    generator = np.random.default_rng(int(os.environ.get("SOAK_SEED", "0")))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    status, output = finish(whole, *flags)
    assert status == 0, output
    during_saves = 0
    for kill in range(20):
        checkpoints = set(killed.glob("checkpoints/step-*"))
        command = start(killed, *flags)
        if kill % 3 == 2:
            time.sleep(generator.uniform(0.0, 3.0))
        elif kill % 3 == 1:
            wait_until(command, lambda: list(killed.glob("checkpoints/*.writing")))
            time.sleep(generator.uniform(0.0, 0.02))
        else:
            wait_until(
                command, lambda known=checkpoints: set(killed.glob("checkpoints/step-*")) - known
            )
            time.sleep(generator.uniform(0.0, 0.1))
        command.send(signal.SIGKILL)
        assert command.wait() == -signal.SIGKILL, f"it ended before kill {kill}"
        during_saves += bool(list(killed.glob("checkpoints/*.writing")))
    assert during_saves > 1
    status, output = finish(killed, *flags)
    assert status == 0, output
    assert outcome(killed) == outcome(whole)
