"""A run: train by a recipe, measure, and write it all down; or resume it."""

import contextlib
import dataclasses
import functools
import json
import math
import time
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.text import Text

from keras_resnets.analysis import count_macs, count_parameters
from training.data.batches import bad_images_named, indices_of_steps
from training.data.prepared import check_classes
from training.data.sources import open_source
from training.loop.evaluate import Scores
from training.loop.learner import Learner, Observer
from training.loop.network import finished_model
from training.loop.strategy import (
    check_shares,
    is_chief,
    lost_workers_named,
    make_gather,
    make_strategy,
)
from training.options import RunOptions
from training.process import Diverged, Stopped, StopSignals, held_stderr, keep_freed_memory
from training.recipe.fields import to_steps
from training.recipe.files import differences, recipe_for
from training.recipe.recipe import Recipe
from training.run.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    State,
    check_facts,
    checkpoint_of,
    has_checkpoints,
    latest_checkpoint,
    remove_checkpoint,
    restore,
    save_checkpoint,
    step_before,
    weights_sha256,
)
from training.run.folder import RunFolder, describe_environment
from training.run.reports import EventLog, StepProgress, draw_curves

# In half precision a step whose gradient is not finite is left out, and the scale is halved. Where
# that happens again and again, the scale is not to blame.
LEAST_LOSS_SCALE = 2.0**-10


class Session:
    """One process's part of a run: from its start or its last checkpoint to its end or a signal."""

    def __init__(
        self,
        recipe: Recipe,
        run_dir: Path,
        options: RunOptions | None = None,
        console: Console | None = None,
        observer: Observer | None = None,
    ):
        self.recipe, self.folder = recipe, RunFolder(run_dir)
        self.options, self.observer = options or RunOptions(), observer
        self.console = console or Console()
        self.signals = StopSignals()
        self.state, self._saved = State(), State()  # at step 0 there is nothing to save
        self.environment_changes: list[str] = []
        self.events: EventLog | None = None
        self._built: bool | None = None  # the graph of the last call: whether of the head alone
        self._scores: Scores | None = None  # of the last evaluation in this process
        self.kept_step = 0  # of the weights that are handed on, if not the last

    def run(self) -> int:
        """Does the run, or what is left of it; returns the exit status."""
        if keras.config.image_data_format() != "channels_last":
            raise ValueError(
                "Keras's `image_data_format` must be 'channels_last' to train: edit keras.json. "
                f"Received: image_data_format={keras.config.image_data_format()!r}"
            )
        if self._is_complete():
            return 0
        keep_freed_memory()
        self.strategy = make_strategy(self.options.strategy, self.options.cluster)
        check_shares(self.recipe, self.strategy.num_replicas_in_sync)
        self._gather = make_gather(self.strategy)
        self.is_chief = is_chief(self.strategy)  # the others write and print nothing
        self.console.quiet |= not self.is_chief
        # After the strategy: that of several workers handles SIGTERM itself.
        with self.signals, self.folder.locked() if self.is_chief else contextlib.nullcontext():
            if self._is_complete():  # now that no other process can write
                return 0
            with lost_workers_named(self.strategy):
                self._build()
                self._resume()
                self.signals.hold()
                # Decoders complain of each image that is skipped, without naming it.
                skips = self.recipe.data.on_bad_image == "skip"
                with self._bar, held_stderr() if skips else contextlib.nullcontext():
                    status = self._train()
                self._gather(0)  # until the chief has written, the others wait
                return status

    def _is_complete(self):
        """Returns whether the run is complete; raises if the folder has a run by another recipe."""
        self.recipe = recipe_for(self.folder.path, self.recipe)
        is_complete = self.folder.result_file.exists()
        if is_complete:
            self._print(f"This run is complete: {self.folder.result_file}")
        return is_complete

    def _build(self):
        """Makes the learner, and converts the durations to steps."""
        recipe = self.recipe
        tf.config.experimental.enable_op_determinism()
        keras.config.set_dtype_policy(recipe.precision)
        keras.utils.set_random_seed(recipe.seed)
        train, test = (
            open_source(recipe.data, split, self.options.data_dir, self.options.download)
            for split in (recipe.data.train_split, recipe.data.test_split)
        )
        check_classes(recipe.data.source, train.class_names)
        if recipe.batch > train.size:
            self._print(
                f"warning: a batch of {recipe.batch} is larger than the training split of "
                f"{train.size} images, so that some of them are in it more than once"
            )
        self.data = [train.identifier, test.identifier]
        is_resumed = has_checkpoints(self.folder.checkpoints)
        self.learner = Learner(recipe, self.strategy, train, test, is_resumed, self.observer)
        self.recipe = self.learner.recipe
        self.environment = describe_environment(self.strategy)

        def steps(duration):
            return to_steps(duration, recipe.batch, train.size)

        self.total, self.head_only = steps(recipe.length), steps(recipe.head_only)
        self.evaluate_every = steps(recipe.evaluation.every)
        self.checkpoint_every = steps(recipe.checkpoint_every)
        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        self.steps_per_call = self.options.steps_per_call or (20 if has_gpu else 1)

    def _resume(self):
        """Goes to the latest whole checkpoint, if there is one, and opens the run's files."""
        folder = self.folder
        if self.is_chief:  # not before everything that the recipe names was found
            folder.write_recipe(self.recipe)
        checkpoint, messages = latest_checkpoint(folder.checkpoints, check_facts)
        for message in messages:
            self._print(f"warning: skipped: {message}")
        if checkpoint is not None:
            self._restore(checkpoint)
        for line in self.learner.initial_weights:
            self._print(line)
        self._check_that_workers_agree()
        if self.is_chief:
            folder.write_json(folder.environment_file, self.environment)
            folder.open_metrics(self.state.evaluated)
            if self.options.tensorboard:
                self.events = EventLog(folder.events, folder.metrics)
        name, step = self.recipe.model.name, self.state.step
        self._bar = StepProgress(name, step, self.total, self.recipe.batch, self.console)

    def _restore(self, checkpoint: Checkpoint):
        """Takes over a checkpoint, and notes what has changed since."""
        facts = checkpoint.facts
        changed = self._changed_data(facts)
        restore(self.learner.variables, checkpoint)
        self.state = State.from_values(facts["state"])
        self._saved = dataclasses.replace(self.state)
        self.environment_changes = facts["environment_changes"]
        self.environment_changes += [f"step {self.state.step}: {line}" for line in changed]
        is_over = self.state.step >= self.total and self.state.evaluated == self.state.step
        if facts["data"][1] != self.data[1] and not is_over:  # the best was of other images
            self.state.best_accuracy, self.state.best_step = 0.0, 0
        for line in changed:
            self._print(f"warning: {line}")
        self._print(f"Resuming at step {self.state.step} of {self.total}, from {self.folder.path}")
        for line in differences(facts["environment"], self.environment):
            self._print(f"warning: the bits may differ from an uninterrupted run's: {line}")
            self.environment_changes.append(f"step {self.state.step}: {line}")

    def _changed_data(self, facts):
        """Returns a line for each split that is not as in a checkpoint; raises unless accepted."""
        names = (self.recipe.data.train_split, self.recipe.data.test_split)
        changed = [
            f"the images of {name!r} have changed"
            for name, before, now in zip(names, facts["data"], self.data, strict=True)
            if before != now
        ]
        source = self.recipe.data.source
        if changed and not self.options.accept_changed_data:
            raise ValueError(
                f"The run in {self.folder.path} was started on other data: {', '.join(changed)}. "
                "Restore them. Where an image could not be read and was repaired or removed, pass "
                "--accept-changed-data: the run resumes on the images as they are now, and its "
                f"result records it. Received: data.source={source!r}"
            )
        classes = list(self.learner.train_source.class_names)
        if facts.get("classes", classes) != classes:
            raise ValueError(
                "The classes must be those that the run was started with. "
                f"Received: data.source={source!r}, with {classes}, before {facts['classes']}"
            )
        return changed

    def _check_that_workers_agree(self):
        """Raises if a worker differs from the others, as when it reads another folder."""
        digest = int(weights_sha256([*self.learner.variables.values()])[:15], 16)
        if len(set(self._gather(digest))) > 1:
            raise ValueError(
                "All workers must begin with the same variables: all of them must read the same "
                f"folder. Received: run_dir={str(self.folder.path)!r}, which is at step "
                f"{self.state.step} for this worker and at another for others"
            )

    def _train(self):
        """Trains to the end, or until a signal; returns the exit status."""
        try:
            batches = self.learner.batches_from(self.state.step)
            self._do_what_is_due()
            while self.state.step < self.total:
                self._train_until(self._next_stop(), batches)
                self._do_what_is_due()
            self._finish()
        except Stopped as stopped:
            self.save()
            self._bar.line(f"Stopped at step {self.state.step}; the same command resumes.")
            return stopped.status
        return 0

    def _next_stop(self):
        """Returns the next step at which something is due."""
        step = self.state.step
        every = (self.evaluate_every, self.checkpoint_every)
        head_end = self.head_only if step < self.head_only else self.total
        return min(self.total, head_end, *(step - step % steps + steps for steps in every))

    def _train_until(self, end, batches):
        """Trains up to a step at which something is due."""
        state, learner = self.state, self.learner
        is_head_only = state.step < self.head_only
        train = learner.train_function(is_head_only)
        while state.step < end:
            self._stop_if_asked()
            steps = min(self.steps_per_call, end - state.step)
            started = time.perf_counter()
            read = functools.partial(self._indices, state.step, steps)
            can_skip = self.recipe.data.on_bad_image == "error"
            with bad_images_named(learner.train_source, read, can_skip):
                progress = train(batches, tf.constant(steps, tf.int64))
            loss, taken = float(progress.loss), int(progress.steps)
            seconds = time.perf_counter() - started
            if not (progress.finite and math.isfinite(loss)):
                self._diverge(state.step + taken, "the loss or a gradient is not a finite number")
            if learner.loss_scale < LEAST_LOSS_SCALE:
                self._diverge(state.step + taken, "a gradient is infinite with any loss scale")
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
            loss, accuracy = state.loss_sum / state.examples, state.correct / state.examples
            self._bar.update(state.step, loss, accuracy, learner.learning_rate, seconds)

    def _do_what_is_due(self):
        """Saves and measures the test split, whichever is due at this step and not done."""
        state = self.state
        is_due = state.step >= self.total or state.step % self.evaluate_every == 0
        measures = is_due and state.evaluated != state.step
        if measures or state.step % self.checkpoint_every == 0:
            self.save()  # first: no step is lost, whatever stops the evaluation
        if measures:
            self._measure()

    def save(self) -> None:
        """Writes a checkpoint of the step reached, unless there is one already."""
        if self.state == self._saved:
            return
        state, variables = self.state, self.learner.variables
        for name, variable in variables.items():  # a finite gradient may make a weight infinite
            if not np.all(np.isfinite(np.asarray(variable))):
                self._diverge(state.step, f"the variable {name} is not a finite number after it")
        if self.is_chief:
            self.folder.check()
            facts = {
                "state": dataclasses.asdict(state),
                "environment": self.environment,
                "environment_changes": self.environment_changes,
                "data": self.data,
                "classes": self.learner.train_source.class_names,
            }
            keep = state.best_step if self.recipe.keep == "best" else 0
            try:
                save_checkpoint(self.folder.checkpoints, state.step, variables, facts, keep)
            finally:  # if the folder was replaced meanwhile, that is the error to name
                self.folder.check()
        self._saved = dataclasses.replace(state)

    def _measure(self):
        """Measures the test split, and adds the outcome to the state and the metrics."""
        state, learner = self.state, self.learner
        scores = self._evaluate()
        entry: dict[str, Any] = {
            "step": state.step,
            "epoch": state.step * self.recipe.batch / learner.train_source.size,
            "train_loss": state.loss_sum / state.examples,
            "train_accuracy": state.correct / state.examples,
            "test_loss": scores.loss,
            "test_accuracy": scores.top1,
            "learning_rate": learner.learning_rate,
            "seconds": round(state.seconds, 3),
        }
        if self.recipe.data.on_bad_image == "skip":
            entry["skipped_images"] = state.skipped
        if learner.observe is not None:
            entry["observed"] = learner.observe()
        try:
            json.dumps(entry, allow_nan=False)
        except ValueError as error:
            self._diverge_in_evaluation(f"the measured values are not all finite: {entry}", error)
        if self.is_chief:
            self.folder.append_metrics(entry)
        # From here on it is done: after an error above, a resumed run measures again.
        self._scores = scores
        learner.observe_evaluation(scores)
        if scores.top1 > state.best_accuracy:
            state.best_accuracy, state.best_step = scores.top1, state.step
        state.evaluated = state.step
        state.loss_sum, state.correct, state.examples = 0.0, 0, 0
        if self.events is not None:
            self.events.append(entry)
        self._bar.evaluation(entry, state.skipped)

    def _finish(self):
        """Measures with ten crops if the recipe says so, and writes the model and the result."""
        if self.recipe.keep == "best" and self.state.best_step not in (0, self.state.step):
            self._go_back_to_the_best()
        # The last step's evaluation was the same, unless it was made before the run was resumed.
        scores, ten_crop = self._scores, self.recipe.evaluation.ten_crop
        if scores is None or ten_crop:
            scores = self._evaluate(ten_crop)
        if not self.is_chief:
            return
        folder, learner = self.folder, self.learner
        names = learner.train_source.class_names
        model = finished_model(self.recipe, learner.measured, *learner.mean_and_std, names)
        with folder.writing(folder.model_file) as path:
            model.save(path)
        with folder.writing(folder.curves_file) as path:
            draw_curves(folder.metrics, path)
        result = self._result(scores, count_macs(model))
        folder.write_json(folder.result_file, result)  # last: the run is complete
        self._print(
            f"Test accuracy {scores.top1:.2%} after {self.state.step} steps and "
            f"{self.state.seconds:.0f} s: {folder.result_file}"
        )
        self._print_whether_the_best_was_better(scores)

    def _go_back_to_the_best(self):
        """Takes the variables of the best evaluation; where its checkpoint is damaged, the last."""
        try:
            best = checkpoint_of(self.folder.checkpoints, self.state.best_step)
        except DamagedCheckpoint as error:
            self._print(f"warning: the last weights are kept instead of the best: {error}")
            return
        restore(self.learner.variables, best)
        self._scores, self.kept_step = None, self.state.best_step

    def _print_whether_the_best_was_better(self, scores):
        """Prints it if the difference is more than two standard errors of the accuracy."""
        best, images = self.state.best_accuracy, len(scores.labels)
        if self.recipe.keep == "best":
            self._print(f"The weights are those of step {self.kept_step or self.state.step}.")
        elif best - scores.top1 > 2 * math.sqrt(best * (1 - best) / images):
            self._print(
                f"It was {best:.2%} at step {self.state.best_step}. `--keep best`, in a new run, "
                "hands on the weights of the best evaluation; the test images then choose them."
            )

    def _result(self, scores: Scores, multiply_adds: int) -> dict[str, Any]:
        recipe, state = self.recipe, self.state
        kept = self.kept_step or state.step
        last = next(entry for entry in self.folder.metrics if entry["step"] == kept)
        class_names = self.learner.test_source.class_names
        return {
            "model": recipe.model.name,
            "data": recipe.data.source,
            "classes": list(class_names),
            "test_accuracy": scores.top1,
            "test_top5_accuracy": scores.top5,
            "test_loss": scores.loss,
            "calibration_error": scores.calibration_error(),
            "accuracy_by_class": scores.named_accuracies(class_names),
            "best_test_accuracy": state.best_accuracy,
            "best_step": state.best_step,
            "kept_step": kept,
            "parameters": count_parameters(self.learner.model).trainable,
            "multiply_adds": multiply_adds,
            "seed": recipe.seed,
            "steps": state.step,
            "examples": state.step * recipe.batch,
            "skipped_images": state.skipped,
            "seconds": round(state.seconds, 1),
            "images_per_second": round(state.steps_per_second * recipe.batch, 1),
            "weights_sha256": weights_sha256(self.learner.model.variables),
            **{name: last[name] for name in ("train_loss", "train_accuracy", "learning_rate")},
            "environment_changes": self.environment_changes,
        }

    def _evaluate(self, ten_crop: bool = False) -> Scores:
        try:
            return self.learner.evaluate(self._stop_if_asked, ten_crop)
        except Diverged as error:
            self._diverge_in_evaluation(str(error), error)

    def _stop_if_asked(self):
        """Raises `Stopped` if any worker has received a signal: in all of them at one step."""
        number = max(self._gather(self.signals.received or 0))
        if number:
            raise Stopped(number)

    def _diverge(self, step: int, what: str) -> NoReturn:
        """Raises `Diverged` with the step, counted from 1, and the examples of its batch."""
        raise Diverged(
            f"Step {step} of {self.total}: {what}. {_what_stays(self._saved.step)}. {ADVICE} The "
            f"step's batch holds the examples {self._indices(step - 1, 1).tolist()} of "
            f"{self.recipe.data.train_split!r}."
        )

    def _diverge_in_evaluation(self, what: str, cause: Exception) -> NoReturn:
        """Removes the checkpoint of the step reached, and raises `Diverged` with the step."""
        step, checkpoints = self.state.step, self.folder.checkpoints
        if self.is_chief:
            self.folder.check()
            remove_checkpoint(checkpoints, step)
        raise Diverged(
            f"Step {step} of {self.total}: {what}. Its checkpoint was removed. "
            f"{_what_stays(step_before(checkpoints, step))}. {ADVICE}"
        ) from cause

    def _indices(self, step, steps):
        """Returns the indices of the examples of some steps."""
        return indices_of_steps(self.learner.train_source, self.recipe, step, steps)

    def _print(self, text):
        self.console.print(Text(text), soft_wrap=True)


ADVICE = (
    "Most often the learning rate is too high: begin again with a lower "
    "--optimizer.learning-rate, or with --optimizer.clip-norm."
)


def _what_stays(step):
    return f"The checkpoint of step {step} stays" if step else "There is no checkpoint yet"
