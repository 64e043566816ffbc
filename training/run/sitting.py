"""What one process does of a run."""

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.text import Text

from training.data.batches import bad_images_named, indices_of_steps
from training.loop.evaluate import Scores
from training.loop.learner import Learner
from training.loop.loop import State
from training.loop.network import describe_initial_weights
from training.loop.strategy import is_chief, make_gather
from training.recipe.duration import to_steps
from training.recipe.recipe import Recipe
from training.run.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    remove_checkpoint,
    restore,
    save_checkpoint,
    step_before,
    weights_sha256,
)
from training.run.folder import MetricsFile, describe_environment, differences, write_json
from training.run.progress import EventLog, StepProgress
from training.run.result import write_result
from training.stopping import Diverged, Stopped, StopSignals

CHECKPOINTS = "checkpoints"
COMPLETE = 0
# In half precision a step whose gradient is not finite is left out, and the scale halved. Where
# that happens again and again, it is not the scale's fault.
LEAST_LOSS_SCALE = 2.0**-10


class Sitting:
    """A run between its start, or its resumption, and its end or interruption."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        learner: Learner,
        signals: StopSignals,
        console: Console,
        tensorboard: bool = False,
        check_folder: Callable[[], None] = lambda: None,
    ):
        self.recipe, self.folder, self.learner = recipe, folder, learner
        self.signals, self.console = signals, console
        self.is_chief = is_chief(learner.strategy)
        self._gather = make_gather(learner.strategy)
        self.state = State()
        self._built: bool | None = None  # the graph of the last call: whether of the head alone
        self._saved = State()  # at step 0 there is nothing to save
        self._scores: Scores | None = None  # of the last evaluation of this sitting
        self._check_folder = check_folder
        self.total = self._steps(recipe.length)
        self.evaluate_every = self._steps(recipe.evaluation.every)
        self.checkpoint_every = self._steps(recipe.checkpoint_every)
        self.head_only = self._steps(recipe.head_only)
        self.metrics: MetricsFile | None = None
        self.events: EventLog | None = None
        self.tensorboard = tensorboard
        self.environment = describe_environment(learner.strategy)
        self.environment_changes: list[str] = []

    def resume(self) -> None:
        """Goes to the latest whole checkpoint, if there is one, and opens the run's files."""
        checkpoint, messages = latest_checkpoint(self.folder / CHECKPOINTS, _check_facts)
        for message in messages:
            self._print(f"warning: skipped: {message}")
        if checkpoint is not None:
            self._go_to(checkpoint)
        elif self.recipe.model.weights:
            classes = len(self.learner.train_source.class_names)
            self._print(describe_initial_weights(self.recipe.model.weights, classes))
        self._check_that_workers_agree()
        if self.is_chief:
            self._check_folder()
            write_json(self.folder / "environment.json", self.environment)
            self.metrics = MetricsFile(self.folder / "metrics.jsonl", self.state.evaluated)
            if self.tensorboard:
                self.events = EventLog(self.folder / "tensorboard", self.metrics.entries)

    def train(self, steps_per_call: int) -> int:
        """Trains to the end, or until a signal; returns the exit status."""
        self.signals.hold()
        title, step = self.recipe.model.name, self.state.step
        with StepProgress(title, step, self.total, self.recipe.batch, self.console) as bar:
            try:
                batches = self.learner.batches_from(step)
                self._do_what_is_due(bar)
                while self.state.step < self.total:
                    self._train_stretch(batches, self._next_stop(), steps_per_call, bar)
                    self._do_what_is_due(bar)
                self._finish()
            except Stopped as stopped:
                self.save()
                bar.line(f"Stopped at step {self.state.step}; the same command goes on.")
                self._gather(0)  # until the chief has written, the others wait
                return stopped.status
        self._gather(0)
        return COMPLETE

    def save(self) -> None:
        """Writes a checkpoint of the step reached, unless it is written already."""
        if self.state == self._saved:
            return
        self._check_variables()
        if self.is_chief:
            self._check_folder()
            facts = {
                "state": dataclasses.asdict(self.state),
                "environment": self.environment,
                "environment_changes": self.environment_changes,
                "data": self._data_identifiers(),
            }
            folder, variables = self.folder / CHECKPOINTS, self.learner.variables
            try:
                save_checkpoint(folder, self.state.step, variables, facts)
            finally:  # if the folder was replaced meanwhile, that is what is wrong
                self._check_folder()
        self._saved = dataclasses.replace(self.state)

    def _go_to(self, checkpoint: Checkpoint) -> None:
        """Takes over a checkpoint's values, and says what is not as it was."""
        facts = checkpoint.facts
        if facts["data"] != self._data_identifiers():
            raise ValueError(
                f"The run in {self.folder} was begun on other data, and can only go on with "
                f"those. Received: data.source={self.recipe.data.source!r}"
            )
        restore(self.learner.variables, checkpoint)
        self.state = State.from_values(facts["state"])
        self._saved = dataclasses.replace(self.state)
        self.environment_changes = facts["environment_changes"]
        self._print(f"Going on at step {self.state.step} of {self.total}, from {self.folder}")
        for line in differences(facts["environment"], self.environment):
            self._print(f"warning: the bits may differ from an uninterrupted run's: {line}")
            self.environment_changes.append(f"step {self.state.step}: {line}")

    def _next_stop(self):
        """Returns the next step at which something is due."""
        step = self.state.step
        stops = [self.total]
        stops += [
            step - step % every + every for every in (self.evaluate_every, self.checkpoint_every)
        ]
        if step < self.head_only:
            stops.append(self.head_only)
        return min(stops)

    def _train_stretch(self, batches, end, steps_per_call, bar):
        """Trains up to a step at which something is due."""
        state = self.state
        is_head_only = state.step < self.head_only
        train = self.learner.train_function(is_head_only)
        while state.step < end:
            self._stop_if_asked()
            steps = min(steps_per_call, end - state.step)
            started = time.perf_counter()
            with bad_images_named(
                self.learner.train_source, functools.partial(self._indices, steps)
            ):
                progress = train(batches, tf.constant(steps, tf.int64))
            loss, taken = float(progress.loss), int(progress.steps)
            seconds = time.perf_counter() - started
            if not (progress.finite and math.isfinite(loss)):
                self._diverge(state.step + taken, "the loss or a gradient is not a finite number")
            if self.learner.loss_scale < LEAST_LOSS_SCALE:
                what = "a gradient, however the loss is scaled, is not a finite number"
                self._diverge(state.step + taken, what)
            state.step += taken
            state.seconds += seconds
            if self._built == is_head_only:
                state.steady_seconds += seconds
                state.steps_of_steady_seconds += taken
            self._built = is_head_only
            state.loss_sum += loss
            state.correct += int(progress.correct)
            state.examples += taken * self.recipe.batch
            state.skipped += int(progress.skipped)
            bar.update(
                state.step,
                state.loss_sum / state.examples,
                state.correct / state.examples,
                self.learner.learning_rate,
                seconds,
            )

    def _do_what_is_due(self, bar):
        """Saves and measures the test split, whichever is due at the step reached and not done.

        It saves before it measures, so that no step is lost whatever stops the evaluation; a run
        that is resumed there measures again. Should the evaluation diverge, that checkpoint goes.
        """
        state = self.state
        is_last = state.step == self.total
        is_measured = state.evaluated == state.step
        measures = not is_measured and (is_last or state.step % self.evaluate_every == 0)
        if measures or state.step % self.checkpoint_every == 0:
            self.save()
        if measures:
            self._measure(bar)

    def _measure(self, bar):
        """Measures the test split, and notes what came of it in the state and in the metrics."""
        state = self.state
        scores = self._evaluate()
        entry: dict[str, Any] = {
            "step": state.step,
            "epoch": state.step * self.recipe.batch / self.learner.train_source.size,
            "train_loss": state.loss_sum / state.examples,
            "train_accuracy": state.correct / state.examples,
            "test_loss": scores.loss,
            "test_accuracy": scores.top1,
            "learning_rate": self.learner.learning_rate,
            "seconds": round(state.seconds, 3),
        }
        if self.recipe.data.on_bad_image == "skip":
            entry["skipped_images"] = state.skipped
        if self.learner.observe is not None:
            entry["observed"] = self.learner.observe()
        if not _is_json(entry):
            self._diverge_in_evaluation(f"what was measured is not all finite numbers: {entry}")
        if self.metrics is not None:
            self._check_folder()
            self.metrics.append(entry)
        # From here on it is done: what fails above, a resumed run does again.
        self._scores = scores
        self.learner.observe_evaluation(scores)
        if scores.top1 > state.best_accuracy:
            state.best_accuracy, state.best_step = scores.top1, state.step
        state.evaluated = state.step
        state.loss_sum, state.correct, state.examples = 0.0, 0, 0
        if self.events is not None:
            self.events.append(entry)
        bar.line(
            f"step {state.step:>6}  epoch {entry['epoch']:6.2f}  "
            f"train {entry['train_loss']:.4f} {entry['train_accuracy']:.2%}  "
            f"test {entry['test_loss']:.4f} {entry['test_accuracy']:.2%}  "
            f"{state.seconds:.0f} s"
            + (f"  {state.skipped} bad images skipped" if state.skipped else "")
        )

    def _finish(self):
        """Measures as the recipe wants it in the end, and writes what came of it."""
        ten_crop = self.recipe.evaluation.ten_crop
        # The last step's evaluation was the same, unless it was made before the run was resumed.
        scores = self._scores
        if scores is None or ten_crop:
            scores = self._evaluate(ten_crop)
        if self.metrics is None:
            return
        self._check_folder()
        changes, entries = self.environment_changes, self.metrics.entries
        path = write_result(self.folder, self.learner, self.state, scores, entries, changes)
        self._print(
            f"Test accuracy {scores.top1:.2%} after {self.state.step} steps and "
            f"{self.state.seconds:.0f} s: {path}"
        )

    def _evaluate(self, ten_crop: bool = False) -> Scores:
        """Measures the test split; raises `Diverged` with the step."""
        try:
            return self.learner.evaluate(self._stop_if_asked, ten_crop)
        except Diverged as error:
            self._diverge_in_evaluation(f"{error}", error)

    def _stop_if_asked(self):
        """Raises `Stopped` if a signal has come: to any worker, and in all of them at one place."""
        number = max(self._gather(self.signals.received or 0))
        if number:
            raise Stopped(number)

    def _check_that_workers_agree(self):
        """Raises if a worker is not where the others are, as when it reads another folder."""
        digest = int(weights_sha256([*self.learner.variables.values()])[:15], 16)
        if len(set(self._gather(digest))) > 1:
            raise ValueError(
                "All workers must begin with the same variables: the run's folder must be one that "
                f"all of them read. Received: run_dir={str(self.folder)!r}, and here step "
                f"{self.state.step}, elsewhere another"
            )

    def _check_variables(self):
        """Raises `Diverged` if a value is not finite, so that none is ever saved.

        A step with a finite gradient may still take a weight beyond all numbers.
        """
        for name, variable in self.learner.variables.items():
            if not np.all(np.isfinite(np.asarray(variable))):
                self._diverge(
                    self.state.step, f"the variable {name} afterwards is not a finite number"
                )

    def _diverge(self, step: int, what: str) -> NoReturn:
        """Raises `Diverged` with the step, counted from 1, and the examples of its batch."""
        indices = indices_of_steps(self.learner.train_source, self.recipe, step - 1, 1).tolist()
        raise Diverged(
            f"Step {step} of {self.total}: {what}. The step's batch holds "
            f"the examples {indices} of {self.recipe.data.train_split!r}. "
            f"{_what_stays(self._saved.step)}"
        )

    def _diverge_in_evaluation(self, what: str, cause: Exception | None = None) -> NoReturn:
        """Removes the checkpoint of the step reached, and raises `Diverged` with the step."""
        step, folder = self.state.step, self.folder / CHECKPOINTS
        if self.is_chief:
            self._check_folder()
            remove_checkpoint(folder, step)
        raise Diverged(
            f"Step {step} of {self.total}: {what}. Its checkpoint was removed. "
            f"{_what_stays(step_before(folder, step))}"
        ) from cause

    def _indices(self, steps):
        """Returns the indices of the next steps' examples."""
        return indices_of_steps(self.learner.train_source, self.recipe, self.state.step, steps)

    def _data_identifiers(self):
        return [self.learner.train_source.identifier, self.learner.test_source.identifier]

    def _steps(self, duration):
        return to_steps(duration, self.recipe.batch, self.learner.train_source.size)

    def _print(self, text):
        self.console.print(Text(text), soft_wrap=True)


def _check_facts(checkpoint):
    """Raises `ValueError` if a checkpoint does not hold what `Sitting.save` puts into it."""
    facts = checkpoint.facts
    if State.from_values(facts.get("state")).step != checkpoint.step:
        raise ValueError(f"its state is that of step {facts['state']['step']}")
    kinds = {"environment": dict, "environment_changes": list, "data": list}
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"its `{name}` is {facts.get(name)!r}")
    for line in facts["environment_changes"]:
        if not isinstance(line, str):
            raise ValueError(f"its `environment_changes` hold {line!r}")


def _what_stays(step):
    return f"The checkpoint of step {step} stays" if step else "There is no checkpoint yet"


def _is_json(value):
    """Returns whether all its numbers are finite."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
