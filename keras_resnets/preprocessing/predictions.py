"""What a model's answers mean."""

import functools
import importlib.resources
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import keras
import numpy as np

from keras_resnets.arguments import check_positive_int


class Prediction(NamedTuple):
    """A class and its score; it unpacks as what `keras.applications` gives.

    `class_id` is ImageNet's WordNet id, such as `"n02099601"`; with class names of one's own, the
    class's index as text.

    Example:

    >>> class_id, name, score = keras_resnets.Prediction("n02099601", "golden retriever", 0.75)
    >>> score
    0.75
    """

    class_id: str
    name: str
    score: float


def decode_predictions(preds, top=5, class_names=None):
    """Returns the best classes of each row of scores, the best first.

    Args:
        preds: Scores `(batch, classes)`, an array or tensor, as `model.predict` gives them.
        top: How many classes to return of each row, at most.
        class_names: Name of each class; `None` for ImageNet's 1000. Two names of a single score,
            the probability of the second class, give both.

    Returns:
        For each row a list of `top` times `Prediction(class_id, name, score)`, or of as many as
        there are classes.

    Raises:
        ValueError: If the scores are not one row of numbers an image, or not one number a class.
        TypeError: If `class_names` are no names in an order.

    Example:

    >>> scores = np.eye(1000)[[207]]
    >>> keras_resnets.decode_predictions(scores, top=1)
    [[Prediction(class_id='n02099601', name='golden retriever', score=1.0)]]
    """
    top = check_positive_int("top", top)
    scores = np.asarray(keras.ops.convert_to_numpy(preds))
    if scores.ndim != 2 or (class_names is None and scores.shape[1] != 1000):
        raise ValueError(
            f"`preds` must have the shape (batch, {'1000' if class_names is None else 'classes'}), "
            f"one score a class{' of ImageNet' if class_names is None else ''}. "
            f"Received: preds.shape={scores.shape}"
        )
    if scores.dtype.kind not in "iuf" and scores.dtype.name != "bfloat16":
        raise ValueError(f"`preds` must be numbers. Received: preds.dtype={scores.dtype}")
    scores = scores.astype("float64")  # the least of integers has no opposite of its type
    if np.isnan(scores).any():
        raise ValueError("`preds` must be numbers. Received: NaN among them")
    classes = imagenet_classes()
    if class_names is not None:
        names = check_class_names(class_names, scores.shape[1])
        classes = tuple((str(index), name) for index, name in enumerate(names))
    if len(classes) == 2 and scores.shape[1] == 1:
        if scores.size and not 0 <= scores.min() <= scores.max() <= 1:
            raise ValueError(
                "`preds` of one unit must be probabilities, for two `class_names`. "
                f"Received: values from {scores.min():.3g} to {scores.max():.3g}"
            )
        scores = np.concatenate([1 - scores, scores], axis=1)
    # Stable, so that equal scores keep the order of the classes.
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(classes[i][0], classes[i][1], float(row[i])) for i in indices]
        for row, indices in zip(scores, best, strict=True)
    ]


def check_class_names(class_names, classes) -> list[str]:
    """Returns the names of so many classes as texts, or raises if they are not in an order."""
    without_order = (set, frozenset, Mapping)
    if not isinstance(class_names, Iterable) or isinstance(class_names, without_order):
        raise TypeError(
            "`class_names` must be a list of names in the order of the classes. "
            f"Received: class_names={class_names!r}"
        )
    names = [str(name) for name in class_names]
    if len(names) != classes and (len(names), classes) != (2, 1):
        rule = (
            "one name for one unit, or two: the negative class's and the positive's"
            if classes == 1
            else f"a name for each of the {classes} classes"
        )
        raise ValueError(f"`class_names` must hold {rule}. Received: {len(names)} names")
    return names


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Returns the (WordNet id, name) of ImageNet's 1000 classes, in the order of the outputs."""
    folder = importlib.resources.files("keras_resnets.preprocessing")
    text = (folder / "imagenet_classes.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple((line[:9], line[10:]) for line in lines)
