"""From a model's outputs to scores, and from scores to names."""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from keras_resnets.arguments import check_choice, check_positive_int
from keras_resnets.layers.classifier import Classifier, check_class_names
from keras_resnets.layers.graph import origin, output_structure

# What a caller may say of outputs: what makes probabilities of them, or that they are such.
SCORES = ("softmax", "sigmoid", "probabilities")
PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "hardsigmoid", "sparsemax")
WAY_OUT = (
    "a classifier ends in a softmax, in sigmoids, or in logits straight from a layer; if these are "
    "logits all the same, `scores='softmax'` or `scores='sigmoid'` says so, and "
    "`scores='probabilities'` if they are probabilities"
)


def check_built(model):
    """Raises if a model has no inputs and outputs yet."""
    if isinstance(model, keras.Model) and not model.built:
        raise ValueError(
            "`model` must be built: build the model first, by calling it on a batch of images, or "
            f"begin it with `keras.Input`. Received: model={model.name!r}, which is not built"
        )


def number_of_classes(model):
    """Returns the number of a classifier's outputs."""
    check_built(model)
    # A subclass of `keras.Model` has no such attributes, or `None`.
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    shapes = [tuple(output.shape) for output in outputs]
    if len(inputs) != 1 or len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None:
        raise ValueError(
            "`model` must be a classifier, with one input and one row of scores an image. "
            f"Received: {model.name!r} with {len(inputs)} input{'' if len(inputs) == 1 else 's'} "
            f"and outputs of the shapes {shapes}"
        )
    check_no_dictionary(model)
    return shapes[0][1]


def check_no_dictionary(model):
    """Raises if a functional model returns a dictionary, even of one tensor."""
    structure = output_structure(model)
    if isinstance(structure, Mapping):
        raise ValueError(
            "`model` must return one tensor and no dictionary: build "
            f"`keras.Model(model.input, model.outputs[0])`. Received: {model.name!r} with the "
            f"outputs {list(structure)}"
        )


def score_function(model, scores=None):
    """Returns the name of the function from outputs to probabilities; `None` if they are such."""
    if scores is not None:
        check_choice("scores", scores, SCORES)
    units = number_of_classes(model)
    name, is_keras = _head(model)
    received = f"Received: model={model.name!r}, which ends in {name!r}"
    if units == 1 and "softmax" in (name, scores):
        raise ValueError(
            "A softmax of one number is always 1: a classifier of one unit ends in a sigmoid, or "
            f"in a logit. {received}, scores={scores!r}"
        )
    if scores == "probabilities":
        return None
    if name in PROBABILITIES:
        if scores is not None and not name.endswith(scores):
            raise ValueError(
                "`scores` must be None or what the model ends in, where that gives probabilities. "
                f"{received}, scores={scores!r}"
            )
        return None
    if scores is not None:
        return scores
    if name == "linear":
        return "sigmoid" if units == 1 else "softmax"
    if is_keras or units == 1:
        raise ValueError(
            f"The outputs of `model` must be probabilities or logits: {WAY_OUT}. {received}"
        )
    return None


def check_outputs(model, outputs, scores=None):
    """Raises if a classifier's outputs cannot be what they are taken for."""
    function = score_function(model, scores)
    # A logit may be infinite, as of a class that is masked out, but not all of a row's.
    likeliest = outputs.max(axis=-1) if outputs.size and function == "softmax" else 0.0
    if np.isnan(outputs).any() or not np.isfinite(likeliest).all():
        raise ValueError(
            "The outputs of `model` must be finite: its weights or the images hold NaN, "
            f"infinity or numbers too large. Received: model={model.name!r}"
        )
    if not outputs.size or function == "sigmoid":
        return
    tolerance = 0.01 if outputs.dtype.itemsize == 2 else 1e-3  # what 16 bits round, and 32
    outputs = outputs.astype("float64")
    name, _ = _head(model)
    received = f"model={model.name!r}, which ends in {name!r}"
    in_range = -tolerance <= outputs.min() <= outputs.max() <= 1 + tolerance
    sum_to_1 = np.abs(outputs.sum(axis=-1) - 1).max() <= tolerance
    if function == "softmax":
        if in_range and sum_to_1:
            raise ValueError(
                "A softmax must be taken of logits, and these outputs are probabilities already: "
                "`scores='probabilities'` takes them as they are. "
                f"Received: {received}, scores={scores!r}"
            )
        return
    need_no_sum = scores == "probabilities" or name in PROBABILITIES
    if not in_range or not (sum_to_1 or need_no_sum):
        raise ValueError(
            f"The outputs of `model` must be probabilities or logits: {WAY_OUT}. Received: "
            f"{received} and gives scores from {outputs.min():.3g} to {outputs.max():.3g}"
        )


def ends_in_probabilities(model):
    """Whether the last layer of a model of one output gives probabilities."""
    return _head(model)[0] in PROBABILITIES


def _head(model):
    """Returns what a model ends in, by name, and whether it is one of Keras's activations."""
    layer = _last_layer(model)
    activation = getattr(layer, "activation", None)
    if activation is None:  # a layer or an operation, such as `Softmax`
        name = type(layer).__name__
        return (name.lower() if name.lower() in PROBABILITIES else name), False
    name = getattr(activation, "__name__", type(activation).__name__)
    return name, getattr(keras.activations, name, None) is activation


def find_classifier(model):
    """Returns the `Classifier` whose scores a model gives in its order; `None` if there is none."""
    if len(getattr(model, "outputs", None) or ()) != 1:  # a subclass of `keras.Model`, for one
        return None
    layer = _last_layer(model, lambda layer: _is_identity(layer) or _keeps_order(layer))
    shape = model.outputs[0].shape
    is_its = isinstance(layer, Classifier) and len(shape) == 2 and shape[1] == layer.units
    return layer if is_its else None


def _last_layer(model, is_passed=None):
    """Looks within nested models, and before layers that change no value or `is_passed` names."""
    is_passed = is_passed or _is_identity
    output = model.outputs[0]
    while True:
        layer, inputs, index = origin(output)
        if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
            output = layer.outputs[index]
        elif is_passed(layer):
            [output] = inputs
        else:
            return layer


def _keeps_order(layer):
    """Whether it is a softmax, a sigmoid or the like, as a layer of its own."""
    known = [getattr(keras.activations, name, None) for name in PROBABILITIES]
    is_activation = isinstance(layer, keras.layers.Activation) and layer.activation in known
    return is_activation or isinstance(layer, keras.layers.Softmax)


def _is_identity(layer):
    if isinstance(layer, keras.layers.Activation):  # such as one that casts to float32
        return layer.activation is keras.activations.linear
    same_values = ("Identity", "Dropout", "Flatten", "Reshape")
    return isinstance(layer, tuple(getattr(keras.layers, name) for name in same_values))


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
    if scores.shape[1] == 1:  # of two classes, one of which may have no name
        if scores.size and not 0 <= scores.min() <= scores.max() <= 1:
            raise ValueError(
                "`preds` of one unit must be probabilities. "
                f"Received: values from {scores.min():.3g} to {scores.max():.3g}"
            )
        if len(classes) == 2:
            scores = np.concatenate([1 - scores, scores], axis=1)
    # Stable, so that equal scores keep the order of the classes.
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(classes[i][0], classes[i][1], float(row[i])) for i in indices]
        for row, indices in zip(scores, best, strict=True)
    ]


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Returns the (WordNet id, name) of ImageNet's 1000 classes, in the order of the outputs."""
    folder = importlib.resources.files("keras_resnets.preprocessing")
    text = (folder / "imagenet_classes.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple((line[:9], line[10:]) for line in lines)
