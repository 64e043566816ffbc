"""From a checkpoint's arrays to the values of a model's variables: each used exactly once."""

from collections.abc import Mapping

import numpy as np

from keras_resnets.layers import BatchNormalization
from keras_resnets.models import ResNetSpec
from keras_resnets.weights.recognition import Checkpoint
from keras_resnets.weights.stem import adapt_channels

# More lines than these say nothing new.
MOST_LINES = 8


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
    family = checkpoint.family
    names = family.names(spec, include_top="predictions/kernel" in shapes)
    biases = _bias_names(family, spec)
    values: dict[str, np.ndarray] = {}
    notes: list[str] = []
    problems: dict[str, list[str]] = {"missing": [], "surplus": [], "of the wrong shape": []}

    head_differs = checkpoint.has_top and _head_differs(checkpoint, names, shapes)
    for path, name in names.items():
        if path.startswith("predictions/") and (head_differs or not checkpoint.has_top):
            continue
        array = checkpoint.arrays.get(name)
        if array is None:
            problems["missing"].append(f"{name!r}, our {path!r}")
            continue
        array = to_our_layout(array, path, family)
        if path == "stem_conv/conv/kernel" and _differs_in_channels(array.shape, shapes[path]):
            notes.append(
                f"the stem's kernel was adapted from {array.shape[2]} to {shapes[path][2]} channels"
            )
            array = adapt_channels(array, shapes[path][2])
        if array.shape != shapes[path] or not _is_float(array):
            problems["of the wrong shape"].append(
                f"{_given(checkpoint, name)!r} is {checkpoint.arrays[name].dtype} "
                f"{checkpoint.arrays[name].shape}, our {path!r} {shapes[path]}"
            )
            continue
        values[path] = array.astype("float64")
    for path, name in biases.items():
        bias = checkpoint.arrays.get(name)
        if bias is None:
            problems["missing"].append(f"{name!r}, folded into our {path!r}")
        elif bias.shape != shapes[path]:
            problems["of the wrong shape"].append(
                f"{_given(checkpoint, name)!r} {bias.shape}, our {path!r} {shapes[path]}"
            )
        elif path in values:
            # BN(x + b) with mean m is BN(x) with mean m - b.
            values[path] = values[path] - bias.astype("float64")

    known = {*names.values(), *biases.values(), *_names_left_out(family, spec)}
    known |= set(family.names(spec, include_top=True).values())  # left off without the top
    problems["surplus"] = [
        repr(given) for name, given in checkpoint.given_names.items() if name not in known
    ]
    _raise_if_any(problems, checkpoint)

    _move_epsilon(values, family)
    if any(path.startswith("predictions/") for path in names) and (
        head_differs or not checkpoint.has_top
    ):
        notes.append(
            f"the classifier of {shapes['predictions/bias'][0]} classes begins anew, for the "
            f"source has {_classes(checkpoint)}"
        )
    return {path: value.astype("float32") for path, value in values.items()}, notes


def to_our_layout(array, path, family):
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


def _head_differs(checkpoint, names, shapes):
    """Whether the classifier is for another number of classes, and is otherwise whole."""
    if "predictions/kernel" not in names:
        return False
    kernel = checkpoint.arrays.get(names["predictions/kernel"])
    bias = checkpoint.arrays.get(names["predictions/bias"])
    if kernel is None or bias is None or kernel.ndim != 2 or bias.ndim != 1:
        return False
    kernel = to_our_layout(kernel, "predictions/kernel", checkpoint.family)
    features, classes = shapes["predictions/kernel"]
    return kernel.shape == (features, len(bias)) and len(bias) != classes


def _differs_in_channels(present, wanted):
    return (
        len(present) == 4
        and present[:2] + present[3:] == wanted[:2] + wanted[3:]
        and (present[2] != wanted[2])
    )


def _classes(checkpoint):
    if not checkpoint.has_top:
        return "none"
    bias = checkpoint.family.layers["predictions"] + checkpoint.family.separator + "bias"
    return f"{len(checkpoint.arrays[bias])}"


def _is_float(array):
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _given(checkpoint, name):
    return checkpoint.given_names.get(name, name)


def _raise_if_any(problems, checkpoint):
    if not any(problems.values()):
        return
    lines = []
    for kind, entries in problems.items():
        lines += [f"\n  {kind}: {entry}" for entry in entries[:MOST_LINES]]
        if len(entries) > MOST_LINES:
            lines.append(f"\n  {kind}: {len(entries) - MOST_LINES} more")
    raise ValueError(
        f"`source` must hold exactly the arrays of the model, under the names of "
        f"{checkpoint.family.name}. Received:{''.join(lines)}"
    )
