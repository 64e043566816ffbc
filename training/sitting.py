"""One sitting of a run: from its start, or where it was stopped, to its end or the next stop."""

import dataclasses
import functools
import signal
import time

import numpy as np
import tensorflow as tf

from keras_resnets import freeze_backbone, unfreeze
from training.checkpoint import (
    latest_checkpoint,
    named_variables,
    restore,
    save_checkpoint,
)
from training.curves import draw_curves
from training.data.bad_images import bad_images_named
from training.data.batches import evaluation_batches, indices_of_steps, training_batches
from training.data.normalization import normalization
from training.duration import to_steps
from training.evaluate import Scores, evaluate, make_score_function
from training.event_log import EventLog
from training.initial_weights import describe_initial_weights
from training.loop import MovingAverage, make_train_function
from training.losses import build_loss
from training.network import build_network, serving_model
from training.optimizers import build_optimizer
from training.progress import StepProgress
from training.recipe_files import recipe_to_toml
from training.result import describe_result
from training.run_directory import MetricsFile, describe_environment, differences, write_json
from training.schedules import build_schedule
from training.state import Diverged, State
from training.strategy import is_chief
from training.watching_schedules import WatchingSchedule

COMPLETE = 0
RECIPE, RESULT = "recipe.toml", "result.json"


class Sitting:
    """A run between its start, or its resumption, and its end or interruption.

    Args:
        recipe: All that determines the run.
        folder: The run's folder.
        strategy: Where to compute.
        train_source: The examples to train on.
        test_source: The examples to evaluate on.
        console: Where to print.
        tensorboard: Whether event files for TensorBoard are written too.
    """

    def __init__(
        self, recipe, folder, strategy, train_source, test_source, console, tensorboard=False
    ):
        self.recipe, self.folder, self.strategy = recipe, folder, strategy
        self.train_source, self.test_source = train_source, test_source
        self.console = console
        self.state = State()
        self.mean_and_std = normalization(train_source, recipe)
        self.total = self._steps(recipe.length)
        self.evaluate_every = self._steps(recipe.evaluation.every)
        self.checkpoint_every = self._steps(recipe.checkpoint_every)
        self.head_only = self._steps(recipe.head_only)
        self.metrics: MetricsFile | None = None
        self.events: EventLog | None = None
        self.tensorboard = tensorboard
        self._train = None
        self._is_head_only = False
        with strategy.scope():
            self.model = self._network()
            self.schedule = build_schedule(recipe, train_source.size)
            self.optimizer = build_optimizer(recipe, self.schedule, self.model)
            self.average = MovingAverage(self.model, recipe.ema) if recipe.ema else None
            # What is evaluated, and in the end handed on.
            self.measured = self._network() if self.average else self.model
        self.score = make_score_function(strategy, self.measured)
        self.variables = named_variables(
            model=self.model.variables,
            optimizer=self.optimizer.variables,
            schedule=getattr(self.schedule, "variables", []),
            average=self.average.variables if self.average else [],
        )

    def resume(self):
        """Goes to the latest whole checkpoint, if there is one, and opens the folder."""
        environment = describe_environment(self.strategy)
        checkpoint, messages = latest_checkpoint(self.folder / "checkpoints")
        for message in messages:
            self._print(f"warning: {message}")
        if checkpoint is not None:
            restore(self.variables, checkpoint)
            self.state = State(**checkpoint.facts["state"])
            if checkpoint.facts["data"] != self._data_identifiers():
                raise ValueError(
                    f"The run in {self.folder} was begun on other data, and can only go on with "
                    f"those. Received: data.source={self.recipe.data.source!r}"
                )
            self._print(f"Going on at step {self.state.step} of {self.total}, from {self.folder}")
            for line in differences(checkpoint.facts["environment"], environment):
                self._print(f"warning: the bits may differ from an uninterrupted run's: {line}")
        elif self.recipe.model.weights:
            classes = len(self.train_source.class_names)
            self._print(describe_initial_weights(self.recipe.model.weights, classes))
        self.environment = environment
        if is_chief(self.strategy):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / RECIPE).write_text(recipe_to_toml(self.recipe), encoding="utf-8")
            write_json(self.folder / "environment.json", environment)
            self.metrics = MetricsFile(self.folder / "metrics.jsonl", self.state.step)
            if self.tensorboard:
                self.events = EventLog(self.folder / "tensorboard", self.metrics.entries)

    def train(self, steps_per_call):
        """Trains to the end, or until a signal; returns the exit status."""
        received = []
        handlers = {
            number: signal.signal(number, lambda number, frame: received.append(number))
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            with StepProgress(
                self.recipe.model.name, self.state.step, self.total, self.console
            ) as bar:
                iterator = self._iterator()
                while self.state.step < self.total:
                    self._train_stretch(iterator, self._next_stop(), steps_per_call, bar, received)
                    if received:
                        self.save()
                        bar.line(f"Stopped at step {self.state.step}; the same command goes on.")
                        return 128 + received[0]
                    self._at_stop(bar)
            self._finish()
            return COMPLETE
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def save(self):
        """Writes a checkpoint of the step reached."""
        if not is_chief(self.strategy):
            return
        facts = {
            "state": dataclasses.asdict(self.state),
            "environment": self.environment,
            "data": self._data_identifiers(),
        }
        save_checkpoint(self.folder / "checkpoints", self.state.step, self.variables, facts)

    def evaluate(self, ten_crop=False) -> Scores:
        """Scores the test split with the weights, or with their moving average."""
        if self.average is not None:
            self.average.copy_to(self.measured)
        batches = self.strategy.distribute_datasets_from_function(
            lambda context: evaluation_batches(
                self.test_source,
                self.recipe,
                worker=context.input_pipeline_id,
                workers=context.num_input_pipelines,
                ten_crop=ten_crop,
                mean_and_std=self.mean_and_std,
            ).rebatch(self.recipe.evaluation.batch // self.strategy.num_replicas_in_sync)
        )
        classes = len(self.test_source.class_names)
        with bad_images_named(self.test_source, lambda: range(self.test_source.size)):
            return evaluate(self.score, batches, self.test_source.size, classes)

    def _train_stretch(self, iterator, end, steps_per_call, bar, received):
        """Trains up to a step at which something is due, or until a signal."""
        train = self._train_function()
        while self.state.step < end and not received:
            steps = min(steps_per_call, end - self.state.step)
            started = time.perf_counter()
            with bad_images_named(self.train_source, functools.partial(self._indices, steps)):
                progress = train(iterator, tf.constant(steps, tf.int64))
            loss, taken = float(progress.loss), int(progress.steps)
            seconds = time.perf_counter() - started
            if not progress.finite:
                raise Diverged(self._what_diverged(self.state.step + taken - 1))
            state = self.state
            state.step += taken
            state.seconds += seconds
            state.loss_sum += loss
            state.correct += int(progress.correct)
            state.examples += taken * self.recipe.batch
            state.skipped += int(progress.skipped)
            bar.update(
                state.step,
                state.loss_sum / state.examples,
                state.correct / state.examples,
                float(self.optimizer.learning_rate),
                taken * self.recipe.batch / seconds,
            )

    def _at_stop(self, bar):
        """Evaluates and saves, whichever is due at the step reached."""
        state = self.state
        if state.step % self.evaluate_every == 0 or state.step == self.total:
            scores = self.evaluate()
            if scores.top1 > state.best_accuracy:
                state.best_accuracy, state.best_step = scores.top1, state.step
            entry = {
                "step": state.step,
                "epoch": state.step * self.recipe.batch / self.train_source.size,
                "train_loss": state.loss_sum / state.examples,
                "train_accuracy": state.correct / state.examples,
                "test_loss": scores.loss,
                "test_accuracy": scores.top1,
                "learning_rate": float(self.optimizer.learning_rate),
                "seconds": round(state.seconds, 3),
            }
            if self.recipe.data.on_bad_image == "skip":
                entry["skipped_images"] = state.skipped
            state.loss_sum, state.correct, state.examples = 0.0, 0, 0
            if isinstance(self.schedule, WatchingSchedule):
                self.schedule.observe_evaluation(scores.top1)
            if self.metrics is not None:
                self.metrics.append(entry)
            if self.events is not None:
                self.events.append(entry)
            bar.line(
                f"step {state.step:>6}  epoch {entry['epoch']:6.2f}  "
                f"train {entry['train_loss']:.4f} {entry['train_accuracy']:.2%}  "
                f"test {entry['test_loss']:.4f} {entry['test_accuracy']:.2%}  "
                f"{state.seconds:.0f} s"
                + (f"  {state.skipped} bad images skipped" if state.skipped else "")
            )
        if state.step % self.checkpoint_every == 0 or state.step == self.total:
            self.save()

    def _finish(self):
        """Evaluates once more, as the recipe wants it in the end, and writes what came of it."""
        scores = self.evaluate(self.recipe.evaluation.ten_crop)
        state = self.state
        result = describe_result(
            self.recipe, state, scores, self.test_source.class_names, self.model
        )
        if not is_chief(self.strategy):
            return
        mean, std = self.mean_and_std
        if mean.ndim == 3:
            std = np.broadcast_to(std, mean.shape)
        serving_model(self.recipe, self.measured, mean, std).save(self.folder / "model.keras")
        draw_curves(self.metrics.entries if self.metrics else [], self.folder / "curves.png")
        write_json(self.folder / RESULT, result)
        self.console.print(
            f"Test accuracy {scores.top1:.2%} after {state.step} steps and {state.seconds:.0f} s: "
            f"{self.folder / RESULT}",
            highlight=False,
            soft_wrap=True,
        )

    def _train_function(self):
        """Returns the train function for the step reached: for the head only, or for all."""
        is_head_only = self.state.step < self.head_only
        if self._train is not None and is_head_only == self._is_head_only:
            return self._train
        self._is_head_only = is_head_only
        unfreeze(self.model)
        if is_head_only:
            freeze_backbone(self.model)
        is_watching = isinstance(self.schedule, WatchingSchedule)
        self._train = make_train_function(
            self.strategy,
            self.model,
            self.optimizer,
            build_loss(self.recipe.loss),
            self.recipe.batch,
            self.recipe.optimizer.accumulate,
            self.recipe.optimizer.clip_norm,
            self.average,
            self.schedule.observe_step if is_watching else None,
        )
        return self._train

    def _iterator(self):
        """Returns distributed batches from the step reached on."""
        replicas = self.strategy.num_replicas_in_sync

        def batches(context):
            dataset = training_batches(
                self.train_source,
                self.recipe,
                start_step=self.state.step,
                worker=context.input_pipeline_id,
                workers=context.num_input_pipelines,
                mean_and_std=self.mean_and_std,
            )
            return dataset.rebatch(self.recipe.batch // replicas)

        return iter(self.strategy.distribute_datasets_from_function(batches))

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

    def _print(self, text):
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _data_identifiers(self):
        return [self.train_source.identifier, self.test_source.identifier]

    def _network(self):
        classes = len(self.train_source.class_names)
        return build_network(self.recipe, classes, self.train_source.channels)

    def _steps(self, duration):
        return to_steps(duration, self.recipe.batch, self.train_source.size)

    def _indices(self, steps):
        """Returns the indices of the next steps' examples."""
        return indices_of_steps(self.train_source, self.recipe, self.state.step, steps)

    def _what_diverged(self, step):
        indices = indices_of_steps(self.train_source, self.recipe, step, 1)
        return (
            f"The loss or a gradient of step {step} is not a finite number. Its batch holds the "
            f"examples {indices.tolist()} of {self.recipe.data.train_split!r}. The "
            "checkpoint before it stays."
        )
