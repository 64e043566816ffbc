"""Which layer of a model belongs to which group of a weights file."""

import re

import keras

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.layers.automatic_name import automatic_stem, is_automatic


def layer_pairs(model, root):
    """Yields each layer that has variables of its own with the arrays that a file has for it.

    Keras files a layer under `layers/<key>`, its sublayers below that, and the variables of each
    under `vars`, with the layer's name as an attribute. The key only counts the layers of a class.
    So layers are matched by their names; where Keras made up the name, whose number depends on
    what the session had built before, by their order among those of their class.

    Args:
        model: A built functional model.
        root: The `Hdf5Group` of a file.

    Yields:
        `(path, layer, arrays)`: names such as `"stage1_block1/conv1/conv"`; the layer, or `None`
        if the model has none; the file's `{key: Hdf5Array}`, or `None` if the file has none.

    Raises:
        WeightsFileError: If the file's groups have no names, or do not tell layers apart.
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
