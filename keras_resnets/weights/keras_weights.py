"""The arrays of a file that Keras wrote, for the layers of a model."""

import math
import os
import re
import reprlib
from pathlib import Path

import keras
import numpy as np

from keras_resnets.files.errors import WeightsFileError, printable, shown
from keras_resnets.files.hdf5 import read_hdf5
from keras_resnets.files.keras_archive import WEIGHTS, unpack_member
from keras_resnets.layers.composite import automatic_stem, is_automatic
from keras_resnets.weights.keras_configuration import check_configuration


def layer_pairs(model, root):
    """Yields each layer that has variables of its own with the arrays that a file has for it.

    Keras files a layer under `layers/<key>`, its sublayers below that, and the variables of each
    under `vars`, with the layer's name as an attribute. The key only counts the layers of a class.
    So layers are matched by their names; where Keras made up the name, whose number depends on
    what the session had built before, by their order among those of their class.
    """
    if "layers" not in root.groups:
        raise WeightsFileError("it holds no layers")
    yield from _pairs(model, root.groups["layers"], "")


def _pairs(parent, group, prefix):
    layers, filed = _sublayers(parent), _filed_layers(group)
    pairs = [(layer, _find(layer, parent, layers, filed)) for layer in layers]
    for layer, child in _with_surplus(pairs, filed):
        path = prefix + (child.name if layer is None else layer.name)
        yield path, layer, None if child is None else child.arrays
        yield from _pairs(layer, None if child is None else child.group, f"{path}/")


def _sublayers(parent):
    """Returns the layers with weights right below a layer, in the order in which they are filed."""
    if parent is None:
        return []
    if isinstance(parent, keras.Model):
        sublayers = parent.layers
    else:
        sublayers = parent._flatten_layers(include_self=False, recursive=False)
    return [layer for layer in sublayers if layer.weights]


class _FiledLayer:
    def __init__(self, key, group):
        self.group = group
        self.stem = re.sub(r"_\d+$", "", key)
        self.arrays = group.groups["vars"].arrays
        self.name = group.groups["vars"].attributes.get("name")
        if self.name is None:
            raise WeightsFileError(f"its layer {key!r} has no name")


def _filed_layers(group):
    """Returns the layers with weights right below a group, in the order of their numbers."""
    filed = []
    for key in sorted({} if group is None else group.groups, key=_numbers_last):
        child = group.groups[key]
        if key == "vars" or not _has_arrays(child):
            continue
        if "vars" in child.groups:
            filed.append(_FiledLayer(key, child))
        else:  # a list of layers that the parent keeps, such as `layers`
            filed += _filed_layers(child)
    return filed


def _numbers_last(key):
    """Sorts `dense`, `dense_1`, `dense_2`, `dense_10`."""
    stem, _, number = key.rpartition("_")
    return (stem, int(number)) if re.fullmatch(r"\d{1,9}", number) else (key, 0)


def _has_arrays(group):
    return bool(group.arrays) or any(_has_arrays(child) for child in group.groups.values())


def _find(layer, parent, layers, filed):
    """Returns the filed layer that is the given one, or `None`."""
    stem = automatic_stem(layer)
    if not is_automatic(layer.name, stem):
        found = [child for child in filed if child.name == layer.name]
        if len(found) > 1:
            raise WeightsFileError(f"it holds {len(found)} layers named {layer.name!r}")
        return found[0] if found else None

    alike = [
        other
        for other in layers
        if automatic_stem(other) == stem and is_automatic(other.name, stem)
    ]
    if len(alike) > 1 and not isinstance(parent, keras.Model):
        # Keras files them by the names of attributes, which say nothing of their order.
        raise WeightsFileError(
            f"the sublayers {', '.join(repr(other.name) for other in alike)} of {parent.name!r} "
            "cannot be told apart: give each a `name`"
        )
    place = alike.index(layer)
    found = [child for child in filed if is_automatic(child.name, stem)]
    return found[place] if place < len(found) else None


def _with_surplus(pairs, filed):
    """Adds the filed layers that no layer took, each behind the one before it of its kind."""
    pairs = list(pairs)
    previous = {}
    for child in filed:
        if all(taken is not child for _, taken in pairs):
            before = previous.get(child.stem)
            places = [place for place, (_, taken) in enumerate(pairs) if taken is before]
            at = places[0] + 1 if before is not None else len(pairs)
            pairs.insert(at, (None, child))
        previous[child.stem] = child
    return pairs


SUFFIXES = (".weights.h5", ".keras")
# Of other libraries; see `keras_resnets.convert_weights`.
FOREIGN_SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".tar", ".h5")
# Every ImageNet network of the zoo fits in, so that its first layer that differs can be named.
SLACK = 2**28
HEAD, STEM = "predictions", "stem_conv/conv"


class OtherClassesError(ValueError):
    """A source's classifier is of other classes than the model's, which may not begin anew."""

    def __init__(self, classes, in_source):
        self.classes, self.in_source = classes, in_source
        super().__init__(
            f"The classifier must be of the source's classes. Received: {classes}, not {in_source}"
        )


def note_new_head(classes, in_source, source, allowed):
    """Returns the note that a classifier begins anew, or raises where that is not allowed."""
    if not allowed:
        raise OtherClassesError(classes, in_source)
    return f"the classifier of {classes} classes begins anew, for the {source} has {in_source}"


def load_weights_file(model, path, adapts=False, new_head=True):
    """Loads a `.weights.h5` or `.keras` file after checking that it fits the model.

    Only the arrays are read, not an optimizer's state. The configuration in a `.keras` file could
    name code to run: nothing is built from it, it is only compared with the model, for not every
    option shows in the arrays. A `.weights.h5` file has none. Either every weight is assigned or
    none.
    """
    path = check_weights_path(path)
    try:
        values, notes = _read(model, path, adapts, new_head)
    except WeightsFileError as error:
        raise WeightsFileError(
            f"`weights` must hold the weights of {model.name!r}, as Keras saves them: {error}. "
            f"Received: weights={str(path)!r}"
        ) from error
    if path.name.endswith(".keras"):
        check_configuration(model, path)
    for layer, arrays in values:
        layer.load_own_variables(arrays)
    return notes


def adapt_channels(kernel, channels):
    """Returns a stem's kernel for another number of input channels.

    One channel takes the sum over all of them, so that a grey image gives what it would as RGB
    with three equal channels. Several are filled by repeating the kernel's channels in turn
    (red, green, blue, red, …), scaled so that the response to an even image stays as strong.
    """
    present = kernel.shape[2]
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    repeated = np.take(kernel, np.arange(channels) % present, axis=2)
    return repeated * (present / channels)


def check_weights_path(path):
    """Returns the path of a weights file, or raises if there is none of the right kind there."""
    if not isinstance(path, (str, os.PathLike)):
        received = " ".join(reprlib.repr(path).split())  # of arrays, it has many lines
        advice = "; `keras_resnets.convert_weights` takes arrays" if isinstance(path, dict) else ""
        raise TypeError(f"`weights` must be None or a path{advice}. Received: weights={received}")
    if not Path(path).name.endswith(SUFFIXES + FOREIGN_SUFFIXES):
        raise ValueError(
            "`weights` must be None, or the path of a file that ends in "
            f"{', '.join(SUFFIXES + FOREIGN_SUFFIXES)}. Received: weights={str(path)!r}"
        )
    if not Path(path).is_file():
        raise ValueError(f"`weights` must be an existing file. Received: weights={str(path)!r}")
    return Path(path)


def _read(model, path, adapts, new_head):
    """Returns pairs of a layer and its arrays, `{"0": kernel, …}`, and what `adapts` allowed."""
    number_of_values = sum(math.prod(weight.shape) for weight in model.weights)
    # Room for double precision; in an archive, also for an optimizer with three moments.
    most_bytes = 8 * number_of_values
    source = path
    if path.name.endswith(".keras"):
        source = unpack_member(path, WEIGHTS, most_bytes=4 * most_bytes + SLACK)
    with read_hdf5(source, most_bytes) as root:
        pairs = list(layer_pairs(model, root))
        notes = _check_same(pairs, adapts, new_head)
        values = [
            (name, layer, {key: array.read() for key, array in arrays.items()})
            for name, layer, arrays in pairs
            if arrays and not (name == HEAD and (name in notes or layer is None))
        ]
    _check_numbers(values)
    if STEM in notes:
        for name, layer, arrays in values:
            if name == STEM:
                channels = layer.kernel.shape[2]
                arrays["0"] = adapt_channels(arrays["0"].astype("float64"), channels)
    return [(layer, arrays) for _, layer, arrays in values], notes


def _check_same(pairs, adapts, new_head):
    """Returns what may differ, in sentences by layers, and raises if anything else does."""
    differing, notes = [], {}
    for path, layer, arrays in pairs:
        expected, present = _expected(layer), _present(arrays)
        if expected == present:
            continue
        if adapts and path == HEAD and _is_other_head(expected, present):
            if layer is not None:
                _, [classes] = _shapes(expected)
                of_file = _shapes(present)[1][0] if present else "none"
                notes[path] = note_new_head(classes, of_file, "file", new_head)
        elif adapts and path == STEM and _has_other_channels(expected, present):
            before, after = _shapes(present)[0][2], _shapes(expected)[0][2]
            notes[path] = f"the stem's kernel was adapted from {before} to {after} channels"
        else:
            differing.append((path, expected, present))
    if differing:
        path, expected, present = differing[0]
        raise WeightsFileError(
            f"the first layer that differs is {shown(path)}: the model has {_describe(expected)}, "
            f"the file {printable(_describe(present))}; in all, {len(differing)} differ"
        )

    return notes


def _is_other_head(expected, present):
    """Whether of two classifiers one is missing, or both differ in nothing but the classes."""
    if not expected or not present:
        return True
    if not _are_alike(expected, present) or len(present) != 2:
        return False
    (kernel, bias), (wanted, classes) = _shapes(present), _shapes(expected)
    return len(bias) == 1 and bias != classes and kernel == (wanted[0], *bias)


def _has_other_channels(expected, present):
    if not _are_alike(expected, present) or len(present) != 1:
        return False
    [wanted], [found] = _shapes(expected), _shapes(present)
    return len(found) == 4 and found[2] > 0 and (*found[:2], *found[3:]) == (*wanted[:2], wanted[3])


def _are_alike(expected, present):
    """Whether two layers have the same variables, of any shapes."""
    kinds = [{key: kind for key, (_, kind) in each.items()} for each in (expected, present)]
    return kinds[0] == kinds[1]


def _shapes(variables):
    return [shape for shape, _ in variables.values()]


def _check_numbers(values):
    """Raises unless all numbers are finite in float32, and no variance is negative."""
    unsound = []
    for name, layer, arrays in values:
        store: dict = {}
        layer.save_own_variables(store)
        for key, array in arrays.items():
            with np.errstate(over="ignore"):
                if not np.isfinite(array.astype("float32", copy=False)).all():
                    unsound.append(f"{shown(name)} holds NaN or infinity")
            is_variance = getattr(store[key], "name", "") == "moving_variance"
            if is_variance and array.min(initial=0) < 0:
                unsound.append(f"{shown(name)} holds a negative variance")
    if unsound:
        raise WeightsFileError(
            f"all numbers must be sound, and the layer {unsound[0]}; in all, {len(unsound)} "
            f"array{'s are' if len(unsound) > 1 else ' is'} not"
        )


def _expected(layer):
    """Returns what a layer would store: `{key: (shape, kind of number)}`."""
    store = {}
    if layer is not None:
        layer.save_own_variables(store)
    return {key: (tuple(v.shape), _kind(v.dtype)) for key, v in store.items()}


def _present(arrays):
    return {key: (array.shape, _kind(array.dtype.name)) for key, array in (arrays or {}).items()}


def _kind(dtype):
    return "floats" if "float" in dtype else "integers"


def _describe(variables):
    if not variables:
        return "no such layer"
    return "variables of shape " + ", ".join(
        str(shape) if kind == "floats" else f"{shape} of {kind}"
        for shape, kind in variables.values()
    )
