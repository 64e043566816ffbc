"""Measuring a model on every example of a split."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.data.batches import bad_images_named, evaluation_batches
from training.data.source import Source
from training.process import Diverged
from training.recipe.recipe import Recipe

BINS = 15


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a model did with each example of a split, in the order of the split."""

    labels: np.ndarray
    predictions: np.ndarray  # the likeliest classes
    confidences: np.ndarray  # their probabilities
    in_top5: np.ndarray
    losses: np.ndarray  # cross-entropy in nats
    classes: int  # their number

    @property
    def top1(self) -> float:
        """Share of the examples whose likeliest class is right."""
        return float(np.mean(self.predictions == self.labels))

    @property
    def top5(self) -> float:
        """Share of the examples whose class is among the five likeliest."""
        return float(np.mean(self.in_top5))

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(np.mean(self.losses))

    def confusion(self) -> np.ndarray:
        """Counts of examples by true class (row) and predicted class (column)."""
        pairs = self.labels * self.classes + self.predictions
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def accuracy_by_class(self) -> np.ndarray:
        """Accuracy on each class's examples; NaN for a class without examples."""
        confusion = self.confusion()
        with np.errstate(invalid="ignore"):
            return np.diag(confusion) / confusion.sum(axis=1)

    def named_accuracies(self, class_names: Sequence[str]) -> dict[str, float | None]:
        """Returns each class's accuracy by its name; `None`, as JSON needs it, for NaN."""
        pairs = zip(class_names, self.accuracy_by_class().tolist(), strict=True)
        return {name: None if math.isnan(accuracy) else accuracy for name, accuracy in pairs}

    def calibration_error(self) -> float:
        """Expected calibration error over 15 equal bins (Guo et al., 2017)."""
        right = self.predictions == self.labels
        bins = np.minimum((self.confidences * BINS).astype(int), BINS - 1)
        hits, expected = (np.bincount(bins, each, BINS) for each in (right, self.confidences))
        return float(np.abs(hits - expected).sum() / len(right))


def make_score_function(
    strategy: tf.distribute.Strategy, model: keras.Model, puts_out_logits: bool = True
) -> Callable[[Any], dict[str, tf.Tensor]]:
    """Returns a function that scores the examples of a batch, one by one."""

    def probabilities_of(images):
        outputs = tf.cast(model(images, training=False), tf.float32)
        return tf.nn.softmax(outputs) if puts_out_logits else outputs

    def replica_step(batch):
        images = batch["image"]
        if images.shape.rank == 5:
            crops = tf.shape(images)[1]
            each = probabilities_of(tf.reshape(images, [-1, *images.shape[2:]]))
            each = tf.reshape(each, [-1, crops, each.shape[-1]])
            probabilities = tf.reduce_mean(each, axis=1)
        else:
            probabilities = probabilities_of(images)
        labels = batch["label"]
        of_label = tf.gather(probabilities, labels, batch_dims=1)
        top = min(5, probabilities.shape[-1])
        is_finite = tf.reduce_all(tf.math.is_finite(probabilities), axis=-1)
        return {
            "index": tf.where(batch["weight"] > 0, batch["index"], -1),
            "label": labels,
            "prediction": tf.argmax(probabilities, axis=-1),
            "confidence": tf.reduce_max(probabilities, axis=-1),
            # Workers cannot exchange truth values.
            "is_finite": tf.cast(is_finite, tf.int32),
            "in_top5": tf.cast(tf.math.in_top_k(labels, probabilities, top), tf.int32),
            "loss": -tf.math.log(tf.maximum(of_label, 1e-30)),
        }

    @tf.function
    def score(batch):
        results = strategy.run(replica_step, (batch,))
        return {name: strategy.gather(value, axis=0) for name, value in results.items()}

    return score


def evaluate_source(
    score: Callable[[Any], dict[str, tf.Tensor]],
    strategy: tf.distribute.Strategy,
    source: Source,
    recipe: Recipe,
    check: Callable[[], None] = lambda: None,
    **options: Any,
) -> Scores:
    """Scores a split, calling `check` before each batch; `evaluation_batches` has the options."""
    share = recipe.evaluation.batch // strategy.num_replicas_in_sync
    batches = strategy.distribute_datasets_from_function(
        lambda context: evaluation_batches(
            source,
            recipe,
            worker=context.input_pipeline_id,
            workers=context.num_input_pipelines,
            **options,
        ).rebatch(share)
    )

    def checked():
        for batch in batches:
            check()
            yield batch

    with bad_images_named(source, lambda: range(source.size)):
        return evaluate(score, checked(), source.size, len(source.class_names))


def evaluate(
    score: Callable[[Any], dict[str, tf.Tensor]], dataset: Any, size: int, classes: int
) -> Scores:
    """Scores a split, and checks that every example is counted exactly once."""
    batches = [tf.nest.map_structure(np.asarray, score(batch)) for batch in dataset]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(columns["index"], kind="stable")
    order = order[columns["index"][order] >= 0]  # without what fills the last batch
    columns = {name: column[order] for name, column in columns.items()}
    if not np.array_equal(columns["index"], np.arange(size)):
        counted = len(np.unique(columns["index"]))
        raise RuntimeError(
            f"Every example must be counted exactly once. Of {size}, {counted} were counted, in "
            f"{len(order)} answers"
        )
    (not_finite,) = np.nonzero(columns["is_finite"] == 0)
    if len(not_finite):
        raise Diverged(
            f"the model's outputs for {len(not_finite)} of the split's {size} examples are not "
            f"finite numbers, the first of them for example {not_finite[0]}"
        )
    return Scores(
        labels=columns["label"],
        predictions=columns["prediction"],
        confidences=columns["confidence"].astype(np.float64),
        in_top5=columns["in_top5"].astype(bool),
        losses=columns["loss"],
        classes=classes,
    )
