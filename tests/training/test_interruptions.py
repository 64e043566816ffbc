"""Wherever a run is killed, asked to stop or fails to write, it ends as if nothing had been."""

import contextlib
import dataclasses
import errno
import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("tensorflow")

from tests.training.dying import Dying, Killed
from tests.training.pretended_learner import (
    RECIPE,
    SOURCE,
    PretendedLearner,
    pretend,  # noqa: F401
)
from tests.training.test_checkpoint import as_once_written
from training.options import RunOptions
from training.process import Diverged
from training.recipe.recipe import Data
from training.run import checkpoint, session
from training.run.checkpoint import State, latest_checkpoint
from training.run.folder import MEASURED, RunFolder

pytestmark = pytest.mark.usefixtures("pretend")


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C is not ignored, whoever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


ONE_DEVICE = RunOptions(strategy="one-device")
ACCEPTING = RunOptions(strategy="one-device", accept_changed_data=True)
WHOLE = []


def train(folder, recipe=RECIPE, console=None, observer=None, options=ONE_DEVICE):
    console = console or Console(quiet=True)
    return session.Session(recipe, folder, options, console, observer).run()


def outcome(folder):
    """All that a run leaves, but for what a clock decides."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    result = json.loads((folder / "result.json").read_text())
    found, messages = latest_checkpoint(folder / "checkpoints")
    state = found.facts["state"]
    for entry in [*metrics, result, state]:
        for name in [name for name in entry if "second" in name]:
            del entry[name]
    arrays = {name: array.tobytes() for name, array in found.arrays.items()}
    names = {path.name for path in folder.iterdir()}
    assert (folder / "model.keras").read_bytes() == b"a model"
    assert (folder / "curves.png").read_bytes() == b"curves"
    assert messages == []
    return metrics, result, state, found.facts["data"], arrays, names


def resumed(folder):
    """Does what is left of a run, and returns all that it leaves."""
    assert train(folder) == 0
    return outcome(folder)


@pytest.fixture
def whole(tmp_path):
    """The outcome of an uninterrupted run, which is the same for every test."""
    if not WHOLE:
        WHOLE.append(resumed(tmp_path / "whole"))
    return WHOLE[0]


@contextlib.contextmanager
def doing(at):
    """Calls `at` with a word and the step wherever a signal may come."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretendedLearner, "at", staticmethod(at))
        yield


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def stopped(tmp_path):
    """The folder of a run that was stopped at step 4, after its evaluation at step 3."""
    folder = tmp_path / "run"
    with doing(lambda *what: what == ("train", 4) and terminate()):
        assert train(folder) == 143
    return folder


def test_an_uninterrupted_run_is_what_the_arithmetic_says(whole):
    metrics, result, state, _, arrays, _ = whole
    weight, observed = 0.0, 0.0
    for step in range(1, 8):
        weight = np.float32(weight * 1.25 + step + observed)
        if step in (3, 6, 7):
            observed = observed * 3 + step
    assert np.frombuffer(arrays["model/0000/weights"], "float32")[0] == weight
    assert [entry["step"] for entry in metrics] == [3, 6, 7]
    # Of a loss of 1, 2, … a step of 10 examples; the sums begin anew after each evaluation.
    assert [entry["train_loss"] for entry in metrics] == [6 / 30, 15 / 30, 7 / 10]
    best = max(metrics, key=lambda entry: entry["test_accuracy"])
    assert best["step"] < 7
    assert (state["best_accuracy"], state["best_step"]) == (best["test_accuracy"], best["step"])
    assert result["best_step"] == best["step"]
    assert result["skipped_images"] == 7  # one a step


@pytest.mark.parametrize("before", [True, False])
def test_killed_at_any_change_of_the_file_system(whole, tmp_path, monkeypatch, before):
    moment, is_complete = 0, False
    while not is_complete:
        moment += 1
        folder = tmp_path / f"killed{moment}"
        with monkeypatch.context() as patch:
            Dying(patch, moment, before)
            try:
                train(folder)
                is_complete = True
            except Killed:
                pass
        assert resumed(folder) == whole, moment
    assert moment > (80 if before else 30)  # or they were not counted


def test_killed_again_and_again_while_it_goes_on(whole, tmp_path, monkeypatch):
    folder, starts, status = tmp_path / "run", 0, None
    while status is None:
        starts += 1
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            # Long enough for the next checkpoint, at another moment each time.
            Dying(patch, 40 + 7 * starts % 31)
            status = train(folder)
        assert starts < 50, "it makes no headway"
    assert starts > 2
    assert outcome(folder) == whole


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_at_any_moment(whole, tmp_path, number):
    moment, status = 0, None
    while status != 0:
        moment += 1
        folder, seen = tmp_path / f"stopped{moment}", []

        def at(what, step, moment=moment, seen=seen):
            seen.append((what, step))
            if len(seen) >= moment:  # and again and again
                os.kill(os.getpid(), number)

        with doing(at):
            try:
                status = train(folder)
            except SystemExit as stopped:
                assert seen == [("start", 0)]
                status = stopped.code
        assert status in (0, 128 + number)
        if status:
            assert len(seen) == moment, "it went on after it was asked to stop"
            what, step = seen[-1]
            if what != "start":
                assert latest_checkpoint(folder / "checkpoints")[0].step == step
            assert not (folder / "result.json").exists()
        assert resumed(folder) == whole, moment
    # At the start, in a step, and in an evaluation of two batches; in the second one of the last
    # evaluation, with all done, it comes too late.
    assert moment == 1 + 7 + 3 * 2


def moved(folder):
    folder.rename(folder.with_name("moved"))


def replaced_by_another_run(folder):
    moved(folder)
    folder.mkdir()
    (folder / "run.lock").touch()


# While it starts, before a save, while it measures, and while it measures for the last time; while
# a checkpoint is written, and when it has just come to its place.
MOMENTS = [("start", 0), ("train", 1), ("train", 5), ("evaluate", 6), ("evaluate", 7)]


@pytest.mark.parametrize("change", [shutil.rmtree, moved, replaced_by_another_run])
@pytest.mark.parametrize("moment", [*MOMENTS, ("write", 1), ("rename", 1)], ids=str)
def test_a_folder_that_is_taken_away_ends_the_run(whole, tmp_path, monkeypatch, change, moment):
    folder, seen = tmp_path / "run", []
    other = folder / "checkpoints" / "step-00000009"
    savez, to_disk = np.savez, checkpoint.folder_to_disk

    def at(*what):
        if what == moment and what not in seen:
            change(folder)
            if change is replaced_by_another_run:
                other.mkdir(parents=True)
        seen.append(what)

    def saved(file, **arrays):
        savez(file, **arrays)
        at("write", 1)

    def brought_to_disk(path):
        to_disk(path)
        if path.name == "checkpoints":
            at("rename", 1)

    monkeypatch.setattr(np, "savez", saved)
    monkeypatch.setattr(checkpoint, "folder_to_disk", brought_to_disk)
    words = r"^The run's folder must stay where it is.* Received: run_dir="
    with doing(at), pytest.raises(FileNotFoundError, match=words):
        train(folder)
    assert max(step for _, step in seen) <= moment[1] + 1  # it ended before the next save
    if change is replaced_by_another_run:
        assert {path.name for path in folder.iterdir()} == {"run.lock", "checkpoints"}
        assert [*other.parent.iterdir()] == [other]
    else:
        assert not folder.exists()
    if change is moved:
        assert resumed(tmp_path / "moved") == whole


@pytest.mark.parametrize("name", ["[bold]x", "a[/b]{}", ":cat:"])
def test_a_path_is_printed_as_it_is(tmp_path, name):
    folder = tmp_path / name / "run"
    for words in ("Test accuracy", "This run is complete"):
        console = Console(file=io.StringIO(), force_terminal=True, width=500, color_system=None)
        assert train(folder, console=console) == 0
        (line,) = [line for line in console.file.getvalue().splitlines() if words in line]
        assert f"{folder / 'result.json'}" in line


def test_a_run_with_checkpoints_of_an_older_version_is_resumed(whole, stopped):
    for path in (stopped / "checkpoints").iterdir():
        as_once_written(path)
    assert resumed(stopped) == whole


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *((("facts", "state", "step"), value) for value in (3, 5, "4", 4.0, None)),
        *((("facts", "state", "evaluated"), value) for value in (5, -1, True)),
        *((("facts", "state", "best_accuracy"), value) for value in (1.5, None, 1e999)),
        *((("facts", "state", "correct"), value) for value in (0.5, [1])),
        *((("facts", "state", "extra"), 1), (("facts", "state"), None), (("facts",), None)),
        *((("facts", name), 3) for name in ("environment", "environment_changes", "data")),
        *((("facts", "environment_changes"), [3]), (("step",), 3), (("step",), True)),
    ],
    ids=str,
)
def test_a_state_that_cannot_be_is_passed_over_by_name(whole, stopped, where, value):
    """In a checkpoint of an older version, whose hash says nothing about it."""
    path = stopped / "checkpoints" / "step-00000004"
    as_once_written(path)
    description = json.loads((path / "checkpoint.json").read_text())
    *parents, name = where
    functools.reduce(dict.__getitem__, parents, description)[name] = value
    (path / "checkpoint.json").write_text(json.dumps(description))
    console = Console(file=io.StringIO(), width=500)
    assert train(stopped, console=console) == 0
    warning, going_on, *_ = console.file.getvalue().splitlines()
    assert warning.startswith(f"warning: skipped: The checkpoint {path} is damaged: ")
    assert going_on.startswith("Resuming at step 3 of 7")
    assert outcome(stopped) == whole


@pytest.mark.parametrize("is_killed_before", [False, True])
@pytest.mark.parametrize(("step", "saved"), [(3, 2), (6, 4), (7, 6)])
def test_outputs_that_are_not_finite_are_a_divergence_and_get_into_no_file(
    whole, tmp_path, step, saved, is_killed_before
):
    folder, error = tmp_path / "run", Killed()

    def at(what, now):
        if (what, now) == ("evaluate", step):
            raise error

    with doing(at):
        if is_killed_before:
            with pytest.raises(Killed):
                train(folder)
            assert latest_checkpoint(folder / "checkpoints")[0].step == step
        error = Diverged("the model's outputs are not finite numbers")
        for _ in range(2):
            with pytest.raises(
                Diverged,
                match=f"^Step {step} of 7: the model's outputs are not finite numbers. Its "
                f"checkpoint was removed. The checkpoint of step {saved} stays. Most often",
            ):
                train(folder)
            lines = (folder / "metrics.jsonl").read_text().splitlines()
            assert all(json.loads(line)["step"] < step for line in lines)
            assert latest_checkpoint(folder / "checkpoints")[0].step == saved
            assert not (folder / "model.keras").exists()
    assert resumed(folder) == whole


def test_what_is_observed_must_be_finite_before_it_is_written(tmp_path):
    def observer(model, images, labels):
        return lambda: {"gradient_norms": {"kernel": float("inf")}}

    with pytest.raises(
        Diverged, match=r"^Step 3 of 7: the measured values .*checkpoint of step 2"
    ) as error:
        train(tmp_path, observer=observer)
    assert "examples" not in str(error.value)  # those of the step's batch are not at fault
    assert (tmp_path / "metrics.jsonl").read_text() == ""
    assert latest_checkpoint(tmp_path / "checkpoints")[0].step == 2


def test_ten_crops_that_diverge_in_the_end_leave_no_checkpoint_of_the_last_step(
    whole, tmp_path, monkeypatch
):
    evaluation = dataclasses.replace(RECIPE.evaluation, ten_crop=True, crop_ratio=0.875)
    recipe = dataclasses.replace(RECIPE, evaluation=evaluation)
    evaluate = PretendedLearner.evaluate

    def diverged(learner, check, ten_crop=False):
        if ten_crop:
            raise Diverged("the model's outputs are not finite numbers")
        return evaluate(learner, check)

    with monkeypatch.context() as patch:
        patch.setattr(PretendedLearner, "evaluate", diverged)
        with pytest.raises(Diverged, match=r"^Step 7 of 7: .*checkpoint of step 6 stays\. Most"):
            train(tmp_path / "run", recipe)
    assert latest_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 6
    assert train(tmp_path / "run", recipe) == 0
    assert outcome(tmp_path / "run") == whole


@pytest.mark.parametrize(("ten_crop", "evaluations"), [(False, 1), (True, 2)])
def test_the_end_is_measured_once_and_ten_crops_once_more(
    tmp_path, monkeypatch, ten_crop, evaluations
):
    evaluation = dataclasses.replace(
        RECIPE.evaluation, ten_crop=ten_crop, crop_ratio=0.875 if ten_crop else 1.0
    )
    seen, evaluate = [], PretendedLearner.evaluate

    def counted(learner, check, ten_crop=False):
        seen.append((learner.step, ten_crop))
        return evaluate(learner, check, ten_crop)

    monkeypatch.setattr(PretendedLearner, "evaluate", counted)
    assert train(tmp_path, dataclasses.replace(RECIPE, evaluation=evaluation)) == 0
    assert seen == [(3, False), (6, False), (7, False), (7, True)][: 2 + evaluations]
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["test_accuracy"] == last["test_accuracy"]
    assert result["test_loss"] == last["test_loss"]


def test_asked_to_stop_during_a_save(whole, tmp_path, monkeypatch):
    savez = np.savez

    def interrupted(file, **arrays):
        for _ in range(3):
            terminate()
        savez(file, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", interrupted)
        assert train(tmp_path / "run") == 143
    assert latest_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 2
    assert resumed(tmp_path / "run") == whole


def test_only_a_run_without_checkpoints_begins_with_the_recipes_weights(tmp_path):
    seen = []
    (tmp_path / "checkpoints" / "step-00000002.writing").mkdir(parents=True)  # as a kill leaves it
    with doing(lambda *what: seen.append(what) or (what == ("train", 2) and terminate())):
        assert train(tmp_path) == 143
        assert train(tmp_path) == 0
    assert seen[:5] == [*(("start", 0), ("train", 1), ("train", 2)), *(("resume", 0), ("train", 3))]


def test_what_cannot_be_a_run_is_refused_by_name_and_stays_as_it_is(tmp_path, monkeypatch):
    file, checkpoints = tmp_path / "file", tmp_path / "checkpoints"
    file.write_text("a text")
    with pytest.raises(
        ValueError, match=r"`run_dir` must be a folder\. Received: run_dir='.*file'"
    ):
        train(file)
    assert file.read_text() == "a text"
    checkpoints.symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"in a folder: .* Received: '.*/checkpoints', which is"):
        train(tmp_path)
    with pytest.raises(ValueError, match=r"at least 0. Received: steps_per_call=-1"):
        RunOptions(steps_per_call=-1)
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(ValueError, match=r"keras\.json\. Received: .*='channels_first'"):
        train(tmp_path / "run")
    assert {*tmp_path.iterdir()} == {file, checkpoints}


@pytest.mark.parametrize("exists", [False, True])
def test_what_cannot_begin_leaves_nothing(tmp_path, monkeypatch, exists):
    folder = tmp_path / "run"
    if exists:
        folder.mkdir()

    def missing(*arguments):
        raise ValueError("no such data set")

    with monkeypatch.context() as patch:
        patch.setattr("training.run.session.open_source", missing)
        with pytest.raises(ValueError, match="no such data set"):
            train(folder)
    assert [*tmp_path.iterdir()] == ([folder] if exists else [])
    assert not exists or not [*folder.iterdir()]


def test_the_pace_is_that_without_the_first_call_of_each_start(tmp_path, monkeypatch):
    """The first call builds the graph: here it takes 100 s, and each other one half a second."""
    now, starts = 0.0, []

    def at(what, step):
        nonlocal now
        if what in ("start", "resume"):
            starts.append(0)
        if what == "train":
            now += 0.5 if starts[-1] else 100.0
            starts[-1] += 1
        if (what, step) == ("train", 4) and len(starts) == 1:
            terminate()

    monkeypatch.setattr("time.perf_counter", lambda: now)
    with doing(at):
        assert train(tmp_path) == 143
        assert train(tmp_path) == 0
    assert starts == [4, 3]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["seconds"] == 2 * 100 + 5 * 0.5
    assert result["images_per_second"] == 10 / 0.5
    # Where every call built the graph, the pace is that of all.
    assert State(step=6, seconds=3.0).steps_per_second == 2.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_is_to_be_ignored_does_not_stop_a_run(whole, tmp_path, number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with doing(lambda *what: os.kill(os.getpid(), number)):
            assert train(tmp_path / "run") == 0
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert outcome(tmp_path / "run") == whole


def test_the_handlers_are_as_they_were_after_a_run(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    train(tmp_path)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "model.keras", "curves.png", "result.json"])
def test_a_full_disk_is_named_and_the_last_checkpoint_stays(whole, tmp_path, monkeypatch, name):
    """A device that is always full stands in for one of the files."""
    folder = tmp_path / "run"
    opened = open

    def full(file, mode="r", *arguments, **options):
        # At first, metrics.jsonl is written with nothing in it.
        modes = ("a",) if name == "metrics.jsonl" else ("w", "wb")
        is_it = str(file).endswith(name) and mode in modes
        return opened("/dev/full" if is_it else file, mode, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("io.open", full)
        patch.setattr("builtins.open", full)
        with pytest.raises(OSError, match=f"{name} could not be written: No space left") as error:
            train(folder)
    assert error.value.errno == errno.ENOSPC
    assert not (folder / "result.json").exists()
    last = latest_checkpoint(folder / "checkpoints")[0]
    assert last.step == (3 if name == "metrics.jsonl" else 7)
    assert resumed(folder) == whole


@pytest.mark.parametrize("error", [OSError, Killed])
@pytest.mark.parametrize("step", [3, 6, 7])
def test_what_stops_it_while_it_measures_costs_no_step(whole, tmp_path, step, error):
    """A kill, or an image of the test split that cannot be read until somebody repairs it."""
    folder, seen = tmp_path / "run", []

    def at(what, now):
        seen.append((what, now))
        if (what, now) == ("evaluate", step):
            raise error("b/001.jpg cannot be read")

    with doing(at):
        for _ in range(2):
            with pytest.raises(error, match="001"):
                train(folder)
    assert latest_checkpoint(folder / "checkpoints")[0].step == step
    assert [now for what, now in seen if what == "train"] == [*range(1, step + 1)]  # once each
    assert resumed(folder) == whole


def on_other_data(monkeypatch, **changes):
    other = SimpleNamespace(**vars(SOURCE) | {"identifier": "other"} | changes)
    monkeypatch.setattr(session, "open_source", lambda *arguments: other)


def test_on_changed_images_a_run_is_resumed_only_if_that_is_accepted(whole, stopped, monkeypatch):
    """As after an image that could not be read was repaired: the outcome is that of a whole run."""
    on_other_data(monkeypatch)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"'train' have changed.*pass --accept-changed-data"):
            train(stopped)
    with doing(lambda *what: what == ("train", 6) and terminate()):
        assert train(stopped, options=ACCEPTING) == 143
    metrics, result, state, data, *others = resumed(stopped)  # accepted once and for all
    lines = [f"step 4: the images of {split!r} have changed" for split in ("train", "test")]
    assert (result.pop("environment_changes"), data) == (lines, ["other", "other"])
    expected = {name: value for name, value in whole[1].items() if name != "environment_changes"}
    assert (metrics, result, state, *others) == (whole[0], expected, whole[2], *whole[4:])


def test_the_best_of_other_images_is_forgotten_also_right_after_an_evaluation(
    tmp_path, monkeypatch
):
    seen = []

    def at(*what):
        seen.append(what)
        if seen.count(("evaluate", 3)) == 2:  # the last of this evaluation
            terminate()

    def state():
        return latest_checkpoint(tmp_path / "checkpoints")[0].facts["state"]

    with doing(at):
        assert train(tmp_path) == 143
    assert (state()["step"], state()["evaluated"], state()["best_step"]) == (3, 3, 3)
    on_other_data(monkeypatch)
    with doing(lambda *what: what == ("train", 4) and terminate()):
        assert train(tmp_path, options=ACCEPTING) == 143
    assert (state()["step"], state()["best_step"], state()["best_accuracy"]) == (4, 0, 0)


def test_the_best_of_other_images_is_forgotten_where_the_last_evaluation_failed(
    tmp_path, monkeypatch
):
    """As on an image that is then repaired: all evaluations but the last were on others."""

    def at(*what):
        if what == ("evaluate", 7):
            raise OSError("b/001.jpg cannot be read")

    recipe = dataclasses.replace(RECIPE, keep="best")
    with doing(at), pytest.raises(OSError, match="001"):
        train(tmp_path, recipe)
    on_other_data(monkeypatch)
    assert train(tmp_path, recipe, options=ACCEPTING) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["best_step"], result["kept_step"]) == (7, 7)


def test_one_class_is_nothing_to_learn(tmp_path, monkeypatch):
    on_other_data(monkeypatch, class_names=("cat",))
    with pytest.raises(ValueError, match=r"at least two classes to tell apart.*with cat alone"):
        train(tmp_path)


def test_other_classes_never_resume_a_run(stopped, monkeypatch):
    on_other_data(monkeypatch, class_names=("b", "a"))
    with pytest.raises(ValueError, match=r"classes must be those.*'a'\], before \['a', 'b'\]"):
        train(stopped, options=ACCEPTING)


def test_fewer_images_may_end_a_run_at_once(tmp_path, monkeypatch):
    """Of 40 images, 2 epochs are 8 steps; of 10 they are 2."""
    recipe = dataclasses.replace(RECIPE, length="2 epochs")
    with doing(lambda *what: what == ("train", 5) and terminate()):
        assert train(tmp_path, recipe) == 143
    on_other_data(monkeypatch, size=10)
    assert train(tmp_path, recipe, options=ACCEPTING) == 0
    assert json.loads((tmp_path / "result.json").read_text())["steps"] == 5


@pytest.mark.parametrize(
    "rest", ['{"ste', "\0\0", '{"step": 4, "epoch": 1.0}\n', '{"step": 6}', '{"step": 6}\n{"st']
)
def test_what_a_killed_run_wrote_after_its_checkpoint_is_taken_out(whole, stopped, rest):
    with open(stopped / "metrics.jsonl", "a") as file:
        file.write(rest)
    assert resumed(stopped) == whole


def test_a_line_of_the_metrics_that_no_run_writes_is_refused_when_the_run_is_resumed(stopped):
    text = '{"step": 1, "note": "best"}\n' + (stopped / "metrics.jsonl").read_text()
    (stopped / "metrics.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"^Line 1 of metrics.jsonl must have .*`epoch`.*Received"):
        train(stopped)
    assert (stopped / "metrics.jsonl").read_text() == text


ENTRY = {"step": 3, **dict.fromkeys(MEASURED, 0.5)}
BEFORE = json.dumps(ENTRY | {"step": 2})


@pytest.mark.parametrize(
    "line",
    [
        *("3", "null", "[1]", '"text"', "{}", "", "# best", '{"step": null}', '{"step": "3"}'),
        *('{"step": 3.0}', '{"step": true}', '{"step": 0}', '{"step": 3}', "[" * 100_000),
        *(
            json.dumps(ENTRY | {name: value})
            for name in MEASURED
            for value in (None, "0.5", True, float("nan"), float("inf"), [0.5], 10**400)
        ),
    ],
)
def test_a_line_of_the_metrics_is_refused_by_its_number(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    for number, lines in enumerate(([line], [BEFORE, line, "{}"]), 1):
        path.write_text("".join(f"{each}\n" for each in lines))
        kind = Diverged if re.search("NaN|Infinity|0{400}", line) else ValueError
        with pytest.raises(kind, match=rf"^Line {number} of metrics.jsonl .*Received: "):
            RunFolder(tmp_path).open_metrics(3)


def test_metrics_that_are_a_pipe_are_refused_before_they_are_read(tmp_path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match=r"metrics.jsonl must be a regular file. Received: "):
        RunFolder(tmp_path).open_metrics(3)


def test_metrics_without_an_evaluation_that_was_made_are_refused(stopped):
    (stopped / "metrics.jsonl").unlink()
    with pytest.raises(
        ValueError, match=r"metrics.jsonl must hold .* step 3:.*Received: .* step 0"
    ):
        train(stopped)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_what_decoders_say_is_shown_unless_bad_images_are_skipped_or_a_run_fails(
    tmp_path, capfd, on_bad_image, fails
):
    data = Data(source="folder:any", image_size=8, on_bad_image=on_bad_image)

    def at(what, step):
        if what == "train":
            os.write(2, b"x" * 5000 + f" complaint {step}\n".encode())
        if fails and (what, step) == ("train", 7):
            raise OSError("our own error")

    recipe = dataclasses.replace(RECIPE, data=data)
    error = pytest.raises(OSError, match="our own") if fails else contextlib.nullcontext()
    with doing(at), error:
        assert train(tmp_path, recipe) == 0
    shown = capfd.readouterr().err
    assert ("complaint 1\n" in shown) == (on_bad_image == "error")
    assert ("complaint 7\n" in shown) == (on_bad_image == "error" or fails)


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize(("step", "saved"), [(1, 0), (2, 0), (3, 2), (4, 3), (5, 4), (7, 6)])
def test_what_is_not_finite_is_named_and_gets_into_no_file(
    tmp_path, monkeypatch, step, saved, shows
):
    """Whether the loss shows it, or a weight alone after a step with a finite gradient."""
    folder = tmp_path / "run"
    monkeypatch.setattr(PretendedLearner, "not_finite", (step, shows))
    noticed = step if shows or step in (2, 3, 4, 6, 7) else step + 1
    with pytest.raises(Diverged, match=f"^Step {noticed} of 7: ") as error:
        train(folder)
    examples = json.loads(str(error.value).partition("the examples ")[2].partition(" of ")[0])
    assert len(examples) == 10
    epoch = set(range(40))
    assert set(examples) <= epoch
    found, messages = latest_checkpoint(folder / "checkpoints")
    assert (found.step if found else 0) == saved
    assert messages == []
    assert f"checkpoint of step {saved} stays" in str(error.value) or not saved
    assert "NaN" not in (folder / "metrics.jsonl").read_text()
    assert not (folder / "model.keras").exists()
    if found:
        assert all(np.all(np.isfinite(array)) for array in found.arrays.values())


def test_steps_that_half_precision_leaves_out_for_ever_end_the_run(tmp_path, monkeypatch):
    scales = iter([2.0**-9, 2.0**-9, 2.0**-9, 2.0**-11])
    monkeypatch.setattr(PretendedLearner, "loss_scale", property(lambda learner: next(scales)))
    with pytest.raises(
        Diverged, match=r"^Step 4 of 7: a gradient.* The checkpoint of step 3 stays"
    ):
        train(tmp_path)


def test_two_processes_cannot_write_to_one_run(tmp_path):
    code = (
        "import fcntl, os, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('process', os.getpid(), 'on', file=file, flush=True); print('held', flush=True);"
        "sys.stdin.read()"
    )
    lock = tmp_path / "run.lock"
    line = [sys.executable, "-c", code, str(lock)]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"in use by process {other.pid} on"):
            train(tmp_path)
        other.kill()
    assert train(tmp_path) == 0  # the lock went with the process
    assert lock.read_text().startswith(f"process {os.getpid()} on ")


def test_another_version_or_thread_count_is_warned_about_by_name(tmp_path, monkeypatch):
    describe = session.describe_environment

    def before(strategy):
        environment = describe(strategy)
        assert environment.pop("jpeg") == "INTEGER_ACCURATE"  # which older versions did not record
        return environment

    def after(strategy):
        environment = describe(strategy)
        environment["versions"]["tensorflow"] = "2.99"
        return environment | {"cores": 77, "tensor_float_32": "off"}

    monkeypatch.setattr(session, "describe_environment", before)
    with doing(lambda *what: what == ("train", 2) and terminate()):
        assert train(tmp_path) == 143
    monkeypatch.setattr(session, "describe_environment", after)
    output = io.StringIO()
    assert train(tmp_path, console=Console(file=output, width=500)) == 0
    changes = json.loads((tmp_path / "result.json").read_text())["environment_changes"]
    names = ("versions.tensorflow", "cores", "tensor_float_32", "jpeg")
    assert [change.split(": ")[:2] for change in changes] == [["step 2", name] for name in names]
    assert changes[-1] == "step 2: jpeg: None before, 'INTEGER_ACCURATE' now"
    for change in changes:
        assert f"uninterrupted run's: {change.removeprefix('step 2: ')}\n" in output.getvalue()
