"""From a checkpoint's arrays to the values of a model's variables: each used exactly once."""

from collections.abc import Mapping

import numpy as np

from keras_resnets.layers import BatchNormalization
from keras_resnets.models import ResNetSpec
from keras_resnets.weights.problems import Problems
from keras_resnets.weights.recognition import Checkpoint
from keras_resnets.weights.stem import adapt_channels

STEM = "stem_conv/conv/kernel"
HEAD = ("predictions/kernel", "predictions/bias")


def match(
    checkpoint: Checkpoint,
    spec: ResNetSpec,
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the values for the variables of a model, and what could not be taken over.

    Args:
        checkpoint: The arrays, and their family.
        spec: The model's spec.
        shapes: The model's variables: each path with its shape.

    Returns:
        `{path: array}` in float32, and sentences about the stem and the head where they differ.

    Raises:
        ValueError: If an array is missing, left over or of the wrong shape; all are listed.
    """
    names = checkpoint.family.names(spec, include_top="predictions/kernel" in shapes)
    notes: list[str] = []
    if _head_begins_anew(checkpoint, names, shapes):
        names = {path: name for path, name in names.items() if path not in HEAD}
        notes.append(
            f"the classifier of {shapes['predictions/bias'][0]} classes begins anew, for the "
            f"source has {_classes(checkpoint)}"
        )
    problems = Problems(checkpoint)
    values = _values(checkpoint, names, shapes, problems, notes)
    _fold_biases(values, checkpoint, spec, shapes, problems)
    problems.surplus = _left_over(checkpoint, spec)
    problems.raise_if_any()
    _move_epsilon(values, checkpoint.family)
    return {path: value.astype("float32") for path, value in values.items()}, notes


def _values(checkpoint, names, shapes, problems, notes):
    """Returns the arrays in double precision and our order of axes, by our paths."""
    values = {}
    for path, name in names.items():
        given = checkpoint.arrays.get(name)
        if given is None:
            problems.missing.append(f"{name!r}, our {path!r}")
            continue
        array = _to_our_layout(given, path, checkpoint.family)
        wanted = shapes[path]
        if path == STEM and array.ndim == 4 and array.shape[2] != wanted[2]:
            notes.append(
                f"the stem's kernel was adapted from {array.shape[2]} to {wanted[2]} channels"
            )
            array = adapt_channels(array, wanted[2])
        if array.shape == wanted and _is_float(array):
            values[path] = array.astype("float64")
        else:
            problems.add_misshapen(name, path, wanted)
    return values


def _fold_biases(values, checkpoint, spec, shapes, problems):
    """Subtracts each convolution's bias b from the mean m: BN(x + b) is BN(x) with m - b."""
    for path, name in _bias_names(checkpoint.family, spec).items():
        bias = checkpoint.arrays.get(name)
        if bias is None:
            problems.missing.append(f"{name!r}, folded into our {path!r}")
        elif bias.shape != shapes[path] or not _is_float(bias):
            problems.add_misshapen(name, path, shapes[path])
        elif path in values:
            values[path] = values[path] - bias.astype("float64")


def _left_over(checkpoint, spec):
    """Returns the names that stand for nothing; a classifier may be left off with the top."""
    family = checkpoint.family
    known = {
        *family.names(spec, include_top=True).values(),
        *_bias_names(family, spec).values(),
        *_names_left_out(family, spec),
    }
    return [repr(given) for name, given in checkpoint.given_names.items() if name not in known]


def _to_our_layout(array, path, family):
    """Returns an array of the family in our order of axes."""
    if not family.torch_layout or not path.endswith("/kernel"):
        return array
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T


def _move_epsilon(values, family):
    """Adds to the variances what the family's ε has more than ours: their sum is what counts."""
    difference = family.epsilon - BatchNormalization().epsilon
    if difference:
        for path in values:
            if path.endswith("/moving_variance"):
                values[path] = values[path] + difference


def _bias_names(family, spec):
    """Returns for each moving mean the bias of the convolution before it, where there are any."""
    if family.conv_bias is None:
        return {}
    return {
        f"{ours.removesuffix('conv')}norm/moving_mean": (
            f"{theirs}{family.separator}{family.conv_bias}"
        )
        for ours, theirs in family.layer_names(spec, include_top=False).items()
        if ours.endswith("/conv")
    }


def _names_left_out(family, spec):
    for ours, theirs in family.layer_names(spec, include_top=False).items():
        if ours.endswith("/norm"):
            for variable in family.left_out:
                yield f"{theirs}{family.separator}{variable}"


def _head_begins_anew(checkpoint, names, shapes):
    """Whether the source has no classifier, or a whole one for another number of classes."""
    if "predictions/kernel" not in names:
        return False
    if not checkpoint.has_top:
        return True
    kernel, bias = (checkpoint.arrays.get(names[path]) for path in HEAD)
    if kernel is None or bias is None or kernel.ndim != 2 or bias.ndim != 1:
        return False
    features, classes = shapes["predictions/kernel"]
    kernel = _to_our_layout(kernel, "predictions/kernel", checkpoint.family)
    return kernel.shape == (features, len(bias)) and len(bias) != classes


def _classes(checkpoint):
    if not checkpoint.has_top:
        return "none"
    bias = checkpoint.family.layers["predictions"] + checkpoint.family.separator + "bias"
    return f"{len(checkpoint.arrays[bias])}"


def _is_float(array):
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"
