"""What makes scores of a model's outputs, one for each of its classes."""

import keras
import numpy as np

from keras_resnets.arguments import check_choice

FUNCTIONS = ("softmax", "sigmoid")
PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "hardsigmoid", "sparsemax")
# What a row of scores may lack to 1: what 16 bits round, and 32.
TOLERANCES = {"float16": 0.01, "bfloat16": 0.01}
TOLERANCE = 1e-3
WAY_OUT = (
    "a classifier ends in a softmax, in sigmoids, or in logits straight from a layer; if these are "
    "logits all the same, `scores='softmax'` or `scores='sigmoid'` says so"
)


def number_of_classes(model):
    """Returns the number of a classifier's outputs.

    Raises:
        ValueError: If it has several inputs or outputs, or gives no row of scores for an image.

    Example:

    >>> number_of_classes(keras_resnets.ResNet20(classes=7))
    7
    """
    # A subclass of `keras.Model` has no such attributes, or `None`.
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    shapes = [tuple(output.shape) for output in outputs]
    if len(inputs) != 1 or len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None:
        raise ValueError(
            "`model` must be a classifier, with one input and one row of scores an image. "
            f"Received: {model.name!r} with {len(inputs)} input{'' if len(inputs) == 1 else 's'} "
            f"and outputs of the shapes {shapes}"
        )
    return shapes[0][1]


def score_function(model, scores=None):
    """Returns the name of the function from a model's outputs to probabilities.

    `None` stands for outputs that are probabilities, as far as the last layer tells; what has no
    activation is yet to be held to `check_probabilities`.

    Args:
        model: A classifier.
        scores: `"softmax"` or `"sigmoid"`, if someone has chosen.

    Raises:
        ValueError: If the outputs are neither probabilities nor logits, or another choice than
            the model's.
    """
    if scores is not None:
        check_choice("scores", scores, FUNCTIONS)
    units = number_of_classes(model)
    name, is_keras = _head(model)
    received = f"Received: model={model.name!r}, which ends in {name!r}"
    if units == 1 and "softmax" in (name, scores):
        raise ValueError(
            "A softmax of one number is always 1: a classifier of one unit ends in a sigmoid, or "
            f"in a logit. {received}, scores={scores!r}"
        )
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


def check_probabilities(model, scores):
    """Raises if a classifier's outputs, taken for probabilities, cannot be such.

    Of a softmax or sigmoids only the range is looked at; of what has no activation, such as an
    operation or a `Lambda`, also whether each row's sum is 1.

    Args:
        model: The model, of which `score_function` returned `None`.
        scores: Array of its outputs.
    """
    tolerance = TOLERANCES.get(scores.dtype.name, TOLERANCE)
    scores = scores.astype("float64")
    if not scores.size:
        return
    name, _ = _head(model)
    in_range = -tolerance <= scores.min() <= scores.max() <= 1 + tolerance
    sums = np.ones(1) if name in PROBABILITIES else scores.sum(axis=-1)
    if not in_range or np.abs(sums - 1).max() > tolerance:
        raise ValueError(
            f"The outputs of `model` must be probabilities or logits: {WAY_OUT}. Received: "
            f"model={model.name!r}, which ends in {name!r} and gives scores from "
            f"{scores.min():.3g} to {scores.max():.3g}"
        )


def ends_in_probabilities(model):
    """Whether the last layer of a model of one output gives probabilities."""
    return _head(model)[0] in PROBABILITIES


def _head(model):
    """Returns what a model ends in, by name, and whether it is one of Keras's activations.

    It is looked for within nested models, and before layers that change no value.
    """
    layer = _last_layer(model)
    activation = getattr(layer, "activation", None)
    if activation is None:  # a layer or an operation, such as `Softmax`
        name = type(layer).__name__
        return (name.lower() if name.lower() in PROBABILITIES else name), False
    name = getattr(activation, "__name__", type(activation).__name__)
    return name, getattr(keras.activations, name, None) is activation


def _last_layer(model):
    output = model.outputs[0]
    while True:
        layer, node, index = output._keras_history
        if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
            output = layer.outputs[index]
        elif _is_identity(layer):
            [output] = layer._inbound_nodes[node].input_tensors
        else:
            return layer


def _is_identity(layer):
    if isinstance(layer, keras.layers.Activation):  # such as one that casts to float32
        return layer.activation is keras.activations.linear
    same_values = (
        keras.layers.Identity,
        keras.layers.Dropout,
        keras.layers.Flatten,
        keras.layers.Reshape,
    )
    return isinstance(layer, same_values)
