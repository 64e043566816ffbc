"""A learner that computes next to nothing, so that a whole run takes a few hundredths of a second.

Everything else of a run is real: checkpoints, metrics, results, signals.
"""

import functools
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.loop.evaluate import Scores
from training.loop.learner import named_variables
from training.loop.loop import Progress
from training.recipe.recipe import Data, Evaluation, Recipe
from training.run import session

# Evaluations and checkpoints fall on the same step once, at 6, and there is one left at the end.
RECIPE = Recipe(
    data=Data(source="digits", image_size=8, mean=(0.3,), std=(0.4,)),
    evaluation=Evaluation(every="3 steps"),
    checkpoint_every="2 steps",
    length="7 steps",
    batch=10,
)
SOURCE = SimpleNamespace(size=40, class_names=("a", "b"), identifier="pretended")


class PretendedLearner:
    """Weights that follow from the steps taken and the evaluations observed, in their order.

    Where it is resumed it begins with other weights. `at` is called with a word and the step
    wherever a signal may come.
    """

    def __init__(
        self, recipe, strategy, train_source, test_source, is_resumed=False, observer=None
    ):
        self.recipe, self.strategy = recipe, strategy
        self.train_source, self.test_source = train_source, test_source
        self.mean_and_std = np.zeros(1), np.ones(1)
        self.model = self.measured = small_model()
        self.weights = keras.Variable(np.zeros(300, "float32"), name="weights")
        self.schedule = keras.Variable(0.0, name="observed")
        self.variables = named_variables(model=[self.weights], schedule=[self.schedule])
        if is_resumed:  # as nothing was loaded; a checkpoint takes the place of these
            self.weights.assign(np.full(300, 99.0))
        self.initial_weights: list[str] = []
        self.observe = observer and observer(self.model, None, None)
        self.at("resume" if is_resumed else "start", 0)

    learning_rate = 0.1
    loss_scale = 1.0
    step = 0
    not_finite = None  # a step, and whether it shows in the loss

    @staticmethod
    def at(what, step):
        pass

    def batches_from(self, step):
        self.step = step
        return self

    def train_function(self, is_head_only):
        def train(batches, steps):
            self.step += 1
            value = np.asarray(self.weights) * 1.25 + self.step + float(np.asarray(self.schedule))
            is_finite = True
            if self.not_finite and self.not_finite[0] == self.step:
                value = value * np.inf
                is_finite = not self.not_finite[1]
            self.weights.assign(value)
            self.at("train", self.step)
            loss, correct, skipped = float(self.step), 5, 1
            return Progress(loss, correct, steps, is_finite, skipped)

        return train

    def observe_evaluation(self, scores):
        self.schedule.assign(np.asarray(self.schedule) * 3 + self.step)

    def evaluate(self, check, ten_crop=False):
        for _ in range(2):
            check()
            self.at("evaluate", self.step)
        right = int(np.asarray(self.weights)[0]) % 5 + 1  # a best one before the last
        labels = np.zeros(6, int)
        return Scores(
            labels=np.arange(6) % 2,
            predictions=np.where(np.arange(6) < right, np.arange(6) % 2, 1 - np.arange(6) % 2),
            confidences=np.full(6, 0.75),
            in_top5=labels == 0,
            losses=np.full(6, 0.5 + self.step),
            classes=2,
        )


@functools.cache
def small_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])


class PretendedModel:
    def save(self, path):
        path.write_bytes(b"a model")


@pytest.fixture
def pretend(monkeypatch):
    """Lets a `Session` use the pretended learner."""
    monkeypatch.setattr(session, "Learner", PretendedLearner)
    monkeypatch.setattr(session, "open_source", lambda *arguments: SOURCE)
    monkeypatch.setattr(session, "finished_model", lambda *arguments: PretendedModel())
    monkeypatch.setattr(session, "count_macs", lambda model: 0)
    monkeypatch.setattr(session, "draw_curves", lambda entries, path: path.write_bytes(b"curves"))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # takes most of the time
    # It cannot be undone, and nothing here depends on it.
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    return monkeypatch
