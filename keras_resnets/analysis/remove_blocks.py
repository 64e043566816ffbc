"""Networks without some of their blocks, or with blocks in another order."""

import keras

from keras_resnets.analysis.responses import (
    as_functional,
    block_model,
    input_of,
    model_with_blocks,
    residual_blocks,
)
from keras_resnets.architecture.copying import copy_image_statistics, copy_layer
from keras_resnets.arguments import check_name, nearest


def _edited_copy(model, edit, name=None):
    """Returns a copy of a model whose blocks, or those of a model within it, `edit` has changed."""
    model = as_functional(model)
    inner = model_with_blocks(model)
    if inner is None:
        copy = edit(model)
    else:
        inner_copy = _edited_copy(inner, edit)
        copy = keras.models.clone_model(
            model, clone_function=lambda layer: inner_copy if layer is inner else copy_layer(layer)
        )
        for layer in model.layers:
            if layer.weights and layer is not inner:
                _copy_state(layer, copy.get_layer(layer.name))
    copy.name = model.name if name is None else name
    return copy


def _copy_state(layer, copy):
    """Copies the weights of a layer, and the statistics of a normalization, to its clone."""
    copy.set_weights(layer.get_weights())
    copy_image_statistics(layer, copy)


def remove_blocks(model, names, name=None):
    """Returns the network without the branches of some blocks.

    Of a residual block remains its shortcut and what follows the sum: y = g(s(x)), as if F(x) were
    0. A plain block's input passes on unchanged, which needs an output of the same shape. [Veit et
    al., 2016](https://arxiv.org/abs/1605.06431), do this to ResNet-110 and to VGG.

    Args:
        model: A functional model of this package, or one that holds it.
        names: The names of the blocks, such as `["stage1_block2"]`; none are allowed.
        name: Name of the new model; by default that of `model`.

    Returns:
        A new functional model with copies of the weights that remain.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the model has no such block or several networks, a plain block changes the
            shape, or the name is not allowed.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> lesioned = keras_resnets.analysis.remove_blocks(model, ["stage1_block2", "stage3_block1"])
    >>> len(model.weights) - len(lesioned.weights)  # two times two convolutions with their norms
    20
    """
    check_name("name", name)
    blocks = {block.name: block for block in residual_blocks(model)}
    removed = _names("names", names, blocks)
    for block in (blocks[name] for name in removed):
        before, after = _shapes(block, block_model(model))
        if block.shortcut is None and (block.strides > 1 or before != after):
            raise ValueError(
                "A plain block that changes the shape cannot be removed: nothing fits its input "
                f"to what follows. Received: {block.name!r}, from {before} to {after}"
            )

    return _edited_copy(model, lambda inner: _without(inner, removed), name)


def reorder_blocks(model, order, name=None):
    """Returns the network with its blocks in another order.

    A block can only stand where another took input of the same shape to output of the same shape.

    Args:
        model: A functional model of this package, or one that holds it.
        order: The names of all its blocks, in the order in which they are to stand.
        name: Name of the new model; by default that of `model`.

    Returns:
        A new functional model with copies of the weights; its blocks are named for their place.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If `order` does not name each block once, the shapes do not fit, the model has
            several networks, or the name is not allowed.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> names = [layer.name for layer in model.layers if "block" in layer.name]
    >>> names[1], names[2] = names[2], names[1]  # the second and third block of stage 1
    >>> keras_resnets.analysis.reorder_blocks(model, names).count_params() == model.count_params()
    True
    """
    check_name("name", name)
    blocks = {block.name: block for block in residual_blocks(model)}
    order = _names("order", order, blocks)
    missing = [name for name in blocks if name not in order]
    if missing:
        raise ValueError(
            f"`order` must name every block. Received: order without {', '.join(missing)}"
        )
    source_of = {place: blocks[name] for place, name in zip(blocks, order, strict=True)}
    for place, source in source_of.items():
        before, after = _shapes(source, block_model(model))
        wanted = _shapes(blocks[place], block_model(model))
        if (before, after) != wanted or source.strides != blocks[place].strides:
            raise ValueError(
                "A block can stand only where another has the same shapes and stride. Received: "
                f"{source.name!r}, from {before[1:]} to {after[1:]}, in the place of {place!r}, "
                f"from {wanted[0][1:]} to {wanted[1][1:]}"
            )

    return _edited_copy(model, lambda inner: _reordered(inner, source_of), name)


def _without(model, removed):
    blocks = {block.name: block for block in residual_blocks(model)}
    copies = []  # (copy, original)

    def clone(layer):
        if layer.name in removed:
            # Not `keras.layers.Identity`, which cannot be saved when it has a dtype policy.
            return keras.layers.Activation("linear", dtype=layer.dtype_policy, name=layer.name)
        copies.append((copy_layer(layer), layer))
        return copies[-1][0]

    def call(layer, *args, **kwargs):
        x = layer(*args, **kwargs)
        if layer.name not in removed or blocks[layer.name].shortcut is None:
            return x
        block = blocks[layer.name]
        for part in (*block.shared_layers(), *block.bypass_layers()):
            copies.append((copy_layer(part, name=f"{block.name}_{part.name}"), part))
            x = copies[-1][0](x)
        activation = keras.layers.Activation(
            block.output_activation, dtype=block.dtype_policy, name=f"{block.name}_activation"
        )
        return activation(x)

    lesioned = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for copy, original in copies:
        if isinstance(original, keras.layers.Layer):
            _copy_state(original, copy)
    return lesioned


def _reordered(model, source_of):
    def clone(layer):
        return copy_layer(source_of.get(layer.name, layer), name=layer.name)

    reordered = keras.models.clone_model(model, clone_function=clone)
    for layer in (layer for layer in reordered.layers if layer.weights):
        _copy_state(source_of.get(layer.name) or model.get_layer(layer.name), layer)
    return reordered


def _names(argument, names, blocks):
    """Returns a list of names of blocks, or raises."""
    form = f"`{argument}` must be a list of names of blocks."
    if isinstance(names, (str, dict)) or not hasattr(names, "__iter__"):
        raise TypeError(f"{form} Received: {argument}={names!r}")
    names = list(names)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{form} Received: {name!r} among them")
        if name not in blocks:
            rule = f"`{argument}` must be names among {', '.join(blocks)}."
            raise ValueError(f"{rule}{nearest(name, blocks)} Received: {name!r}")
    if len(set(names)) < len(names):
        rule = f"`{argument}` must name a block once at most."
        raise ValueError(f"{rule} Received: {argument}={names!r}")
    return names


def _shapes(block, model):
    """Returns the shapes that a block of a model takes and puts out, the batch first."""
    shape = tuple(input_of(block, model).shape)
    return shape, tuple(block.compute_output_shape(shape))
