"""From a checkpoint's arrays to the values of a model's variables: each used exactly once."""

from collections.abc import Iterator, Mapping

import numpy as np

from keras_resnets.architecture.reading import model_spec
from keras_resnets.architecture.spec import ResNetSpec
from keras_resnets.files.errors import shown
from keras_resnets.layers import BatchNormalization
from keras_resnets.weights.families import Family
from keras_resnets.weights.keras_weights import adapt_channels, note_new_head
from keras_resnets.weights.recognition import Checkpoint


def check_model(model, family: Family) -> ResNetSpec:
    """Returns the spec of a model of the zoo whose weights the family has names for."""
    spec = model_spec(model)
    family.check_spec(spec)
    present = {weight.path for weight in model.weights}
    known = family.names(spec, include_top="predictions/kernel" in present)
    differing = sorted(present ^ known.keys())
    if differing:
        raise ValueError(
            "`model` must have the layers of a model of this package and no others with "
            f"weights. Received: {model.name!r}, which differs in {differing[0]!r}"
        )
    return spec


STEM = "stem_conv/conv/kernel"
HEAD = ("predictions/kernel", "predictions/bias")


def match(
    checkpoint: Checkpoint,
    spec: ResNetSpec,
    shapes: Mapping[str, tuple[int, ...]],
    new_head: bool = True,
) -> tuple[Iterator[tuple[str, np.ndarray]], list[str]]:
    """Returns the values for the variables of a model, and what could not be taken over.

    Everything is checked before this returns. The values are made one at a time, as they are asked
    for: all of them at once would take as much memory as the checkpoint and the model again.
    """
    names = checkpoint.family.names(spec, include_top="predictions/kernel" in shapes)
    notes: list[str] = []
    if _head_begins_anew(checkpoint, names, shapes):
        names = {path: name for path, name in names.items() if path not in HEAD}
        classes = shapes["predictions/bias"][0]
        notes.append(note_new_head(classes, _classes(checkpoint), "source", new_head))
    biases = _bias_names(checkpoint.family, spec)
    problems = Problems(checkpoint)
    for path, name in names.items():
        problems.check(name, path, _wanted(checkpoint, name, path, shapes, notes))
    for path, name in biases.items():
        problems.check(name, path, shapes[path], use="folded into our")
    problems.surplus = _left_over(checkpoint, spec)
    problems.raise_if_any()
    # What the family's ε has more than ours goes to the variance: their sum is what counts.
    more = checkpoint.family.epsilon - BatchNormalization().epsilon
    values = (
        (path, _value(checkpoint, name, biases.get(path), more, path, shapes[path]))
        for path, name in names.items()
    )
    return values, notes


def _wanted(checkpoint, name, path, shapes, notes):
    """Returns the shape that the array for a variable must have, in the file's order of axes."""
    wanted = shapes[path]
    array = checkpoint.arrays.get(name)
    if path == STEM and array is not None and array.ndim == 4:
        channels = _to_our_layout(array, path, checkpoint.family).shape[2]
        if channels not in (0, wanted[2]):
            notes.append(f"the stem's kernel was adapted from {channels} to {wanted[2]} channels")
            wanted = (*wanted[:2], channels, wanted[3])
    return _their_shape(wanted, path, checkpoint.family)


def _value(checkpoint, name, bias_name, more_epsilon, path, shape):
    """Returns the value for a variable, computed in double precision where it is not copied."""
    array = _to_our_layout(checkpoint.arrays[name], path, checkpoint.family)
    if path == STEM and array.shape != shape:
        array = adapt_channels(array.astype("float64"), shape[2])
    if bias_name is not None:  # BN(x + b) with the mean m is BN(x) with m - b
        array = array.astype("float64") - checkpoint.arrays[bias_name].astype("float64")
    if more_epsilon and path.endswith("/moving_variance"):
        array = array.astype("float64") + more_epsilon
    return array.astype("float32")


def _left_over(checkpoint, spec):
    """Returns the names that stand for nothing; a classifier may be left off with the top."""
    family = checkpoint.family
    known = {
        *family.names(spec, include_top=True).values(),
        *_bias_names(family, spec).values(),
        *_names_left_out(family, spec),
    }
    return [shown(given) for name, given in checkpoint.given_names.items() if name not in known]


def _to_our_layout(array, path, family):
    """Returns an array of the family in our order of axes."""
    if not family.torch_layout or not path.endswith("/kernel"):
        return array
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T


def _their_shape(shape, path, family):
    """Returns the shape of a variable of ours in the family's order of axes."""
    if not family.torch_layout or not path.endswith("/kernel"):
        return shape
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        return (outputs, inputs, height, width)
    return shape[::-1]


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


class Problems:
    """Lists what is missing, left over, misshapen or unsound, and raises if anything is."""

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.missing: list[str] = []
        self.surplus: list[str] = []
        self.misshapen: list[str] = []
        self.unsound: list[str] = []

    def check(self, name, path, wanted, use="our"):
        """Notes what is wrong with the array for a variable."""
        array = self.checkpoint.arrays.get(name)
        if array is None:
            self.missing.append(f"{name!r}, {use} {path!r}")
            return
        given = self.checkpoint.given_names[name]
        if array.shape != wanted or not _is_float(array):
            # Both shapes in the file's order of axes, or they could not be compared.
            self.misshapen.append(
                f"{shown(given)} is {array.dtype} {array.shape}, must be float {wanted}, "
                f"{use} {path!r}"
            )
        elif not _fits_float32(array):
            self.unsound.append(f"{shown(given)} holds NaN or infinity, {use} {path!r}")
        elif path.endswith("/moving_variance") and array.min(initial=0) < 0:
            self.unsound.append(f"{shown(given)} holds a negative variance, {use} {path!r}")

    def raise_if_any(self):
        """Raises one `ValueError` that lists everything."""
        lines = [
            f"\n  {kind}: {entry}"
            for kind in ("missing", "surplus", "misshapen", "unsound")
            for entry in getattr(self, kind)
        ]
        if lines:
            raise ValueError(
                "`source` must hold exactly the arrays of the model, under the names of "
                f"{self.checkpoint.family.name}, as finite numbers. Received:{''.join(lines)}"
            )


def _is_float(array):
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _fits_float32(array):
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype("float32", copy=False)).all())
