"""What learns: network, optimizer, loss and data under a strategy."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnets import freeze_backbone, unfreeze
from training.data.augment import normalization
from training.data.batches import evaluation_batches, training_batches
from training.data.source import Source
from training.loop.evaluate import Scores, evaluate_source, make_score_function
from training.loop.loop import MovingAverage, Progress, make_train_function
from training.loop.network import build_network, load_initial_weights, open_initial_weights
from training.optim.losses import build_loss
from training.optim.optimizers import build_optimizer
from training.optim.schedules import WatchingSchedule, build_schedule
from training.recipe.recipe import Recipe

_NUMBER = re.compile(r"_\d+(?=/|$)")

Observer = Callable[[keras.Model, np.ndarray, np.ndarray], Callable[[], dict[str, Any]]]


class Learner:
    """A network, its optimizer, schedule and moving average, and the two splits.

    Attributes:
        model: The network that is trained.
        measured: The network that is evaluated and handed on: the moving average, or `model`.
        variables: All that changes in training, by name.
        recipe: The recipe, with what only its initial weights decide.
        initial_weights: What the network begins with, in lines, if the recipe names weights.
    """

    def __init__(
        self,
        recipe: Recipe,
        strategy: tf.distribute.Strategy,
        train_source: Source,
        test_source: Source,
        is_resumed: bool = False,
        observer: Observer | None = None,
    ):
        self.recipe, self.strategy = recipe, strategy
        self.train_source, self.test_source = train_source, test_source
        self.initial_weights: list[str] = []
        self._train: Callable[[Any, tf.Tensor], Progress] | None = None
        self._is_head_only = False
        begins_with = recipe.model.weights if not is_resumed else ""
        with strategy.scope():
            if begins_with:
                self.recipe, load = open_initial_weights(recipe)
            self.model = self._network()
            if begins_with:
                self.recipe, notes = load_initial_weights(
                    self.recipe, self.model, load, train_source.class_names
                )
                self.initial_weights = [f"Initial weights: {begins_with}", *notes]
            recipe = self.recipe
            self.schedule = build_schedule(recipe, train_source.size)
            self.optimizer = build_optimizer(recipe, self.schedule, self.model)
            self.average = MovingAverage(self.model, recipe.ema) if recipe.ema else None
            self.measured = self._network() if self.average else self.model
        self.mean_and_std = normalization(train_source, recipe)
        self._score = make_score_function(strategy, self.measured)
        self.variables = named_variables(
            model=self.model.variables,
            optimizer=self.optimizer.variables,
            schedule=getattr(self.schedule, "variables", []),
            average=self.average.variables if self.average else [],
        )

        self.observe = None
        if observer is not None:
            batches = evaluation_batches(train_source, recipe, mean_and_std=self.mean_and_std)
            batch = next(batches.as_numpy_iterator())
            self.observe = observer(self.model, batch["image"], batch["label"])

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.learning_rate)

    @property
    def loss_scale(self) -> float:
        """What the loss is multiplied by: in half precision more than 1."""
        is_scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return float(self.optimizer.dynamic_scale) if is_scaled else 1.0

    def batches_from(self, step: int) -> Iterator[Any]:
        """Returns the distributed training batches from a step on."""

        def batches(context):
            dataset = training_batches(
                self.train_source,
                self.recipe,
                start_step=step,
                worker=context.input_pipeline_id,
                workers=context.num_input_pipelines,
                mean_and_std=self.mean_and_std,
                replicas=self.strategy.num_replicas_in_sync,
            )
            return dataset.rebatch(self.recipe.batch // self.strategy.num_replicas_in_sync)

        return iter(self.strategy.distribute_datasets_from_function(batches))

    def train_function(self, is_head_only: bool) -> Callable[[Any, tf.Tensor], Progress]:
        """Returns what `make_train_function` gives, for the classifier alone or for all."""
        if self._train is not None and is_head_only == self._is_head_only:
            return self._train
        self._is_head_only = is_head_only
        unfreeze(self.model)
        if is_head_only or self.recipe.from_stage:
            freeze_backbone(self.model)
        stages = len(self.recipe.model.architecture.repeats)
        if 1 <= self.recipe.from_stage <= stages and not is_head_only:
            unfreeze(self.model, self.recipe.from_stage)
        is_watching = isinstance(self.schedule, WatchingSchedule)
        self._train = make_train_function(
            self.strategy,
            self.model,
            self.optimizer,
            build_loss(self.recipe.loss),
            self.recipe.batch,
            accumulate=self.recipe.optimizer.accumulate,
            clip_norm=self.recipe.optimizer.clip_norm,
            average=self.average,
            observe_accuracy=self.schedule.observe_step if is_watching else None,
        )
        return self._train

    def observe_evaluation(self, scores: Scores) -> None:
        """Tells the schedule the accuracy of an evaluation, if it depends on that."""
        if isinstance(self.schedule, WatchingSchedule):
            self.schedule.observe_evaluation(scores.top1)

    def evaluate(self, check: Callable[[], None], ten_crop: bool = False) -> Scores:
        """Scores the test split with the weights, or with their moving average."""
        if self.average is not None:
            self.average.copy_to(self.measured)
        return evaluate_source(
            self._score,
            self.strategy,
            self.test_source,
            self.recipe,
            check,
            ten_crop=ten_crop,
            mean_and_std=self.mean_and_std,
        )

    def _network(self):
        source = self.train_source
        return build_network(self.recipe, len(source.class_names), source.channels)


def named_variables(**groups: Sequence[Any]) -> dict[str, Any]:
    """Returns the variables of all groups by unique names, in a stable order."""
    # Without the numbers by which Keras tells objects of one class apart: they count what the
    # process has made before, and a run may be resumed in another process.
    named = {}
    for group, variables in groups.items():
        for index, variable in enumerate(variables):
            path = getattr(variable, "path", None) or variable.name.split(":")[0]
            named[f"{group}/{index:04d}/{_NUMBER.sub('', path)}"] = variable
    return named
