"""What learns: network, optimizer, loss and data under a strategy."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnets import freeze_backbone, unfreeze
from training.data.augment import normalization
from training.data.batches import bad_images_named, evaluation_batches, training_batches
from training.data.source import Source
from training.loop.evaluate import Scores, evaluate, make_score_function
from training.loop.loop import MovingAverage, Progress, make_train_function
from training.loop.network import build_network
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
        measured: The network that is evaluated, and in the end handed on: the moving average, or
            `model`.
        variables: All that changes in training, by name.
        mean_and_std: What the images are normalized with.
        observe: What `observer` gave.
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
        self.mean_and_std = normalization(train_source, recipe)
        self._train: Callable[[Any, tf.Tensor], Progress] | None = None
        self._is_head_only = False
        with strategy.scope():
            self.model = self._network(load_weights=not is_resumed)
            self.schedule = build_schedule(recipe, train_source.size)
            self.optimizer = build_optimizer(recipe, self.schedule, self.model)
            self.average = MovingAverage(self.model, recipe.ema) if recipe.ema else None
            self.measured = self._network(load_weights=False) if self.average else self.model
        self._score = make_score_function(strategy, self.measured)
        self.variables = named_variables(
            model=self.model.variables,
            optimizer=self.optimizer.variables,
            schedule=getattr(self.schedule, "variables", []),
            average=self.average.variables if self.average else [],
        )

        self.observe = None
        if observer is not None:
            batch = next(
                iter(evaluation_batches(train_source, recipe, mean_and_std=self.mean_and_std))
            )
            self.observe = observer(self.model, batch["image"].numpy(), batch["label"].numpy())

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.learning_rate)

    @property
    def loss_scale(self) -> float:
        """What the loss is multiplied by, which half precision needs; else 1."""
        is_scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return float(self.optimizer.dynamic_scale) if is_scaled else 1.0

    def batches_from(self, step: int) -> Iterator[Any]:
        """Returns distributed training batches, from that of a step on."""

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

    def observe_evaluation(self, scores: Scores) -> None:
        """Tells the schedule, if it watches, how an evaluation went."""
        if isinstance(self.schedule, WatchingSchedule):
            self.schedule.observe_evaluation(scores.top1)

    def evaluate(self, check: Callable[[], None], ten_crop: bool = False) -> Scores:
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
        size = self.test_source.size
        with bad_images_named(self.test_source, lambda: range(size)):
            return evaluate(self._score, _checked(batches, check), size, classes)

    def _network(self, load_weights):
        classes, channels = len(self.train_source.class_names), self.train_source.channels
        return build_network(self.recipe, classes, channels, load_weights)


def _checked(batches: Iterable[Any], check: Callable[[], None]) -> Iterator[Any]:
    for batch in batches:
        check()
        yield batch


def named_variables(**groups: Sequence[Any]) -> dict[str, Any]:
    """Returns the variables of all groups by unique names, in a stable order.

    The numbers with which Keras tells objects of one class apart are left out: they count what the
    process has made before, and a run may go on in another process.

    Example:

    >>> sorted(named_variables(model=[keras.Variable(0.0, name="scale_3")]))
    ['model/0000/scale']
    """
    named = {}
    for group, variables in groups.items():
        for index, variable in enumerate(variables):
            path = getattr(variable, "path", None) or variable.name.split(":")[0]
            named[f"{group}/{index:04d}/{_NUMBER.sub('', path)}"] = variable
    return named
