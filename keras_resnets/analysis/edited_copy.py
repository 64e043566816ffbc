"""A copy of a model in which something is done to the model that has the blocks."""

import keras

from keras_resnets.analysis.layer_inputs import as_functional, model_with_blocks
from keras_resnets.models.copy_layer import copy_layer
from keras_resnets.models.image_statistics import copy_statistics


def edited_copy(model, edit, name=None):
    """Returns a copy of a model whose blocks, or those of a model within it, `edit` has changed.

    Args:
        model: A functional model or a `keras.Sequential` with blocks, or with a model of blocks.
        edit: A function from the functional model with the blocks to its changed copy.
        name: Name of the copy; `None` for that of `model`.

    Returns:
        A functional model with weights of its own.

    Example:

    >>> from keras_resnets.analysis.edited_copy import edited_copy
    >>> edited_copy(keras_resnets.ResNet20(), keras.models.clone_model, name="copy").name
    'copy'
    """
    model = as_functional(model)
    inner = model_with_blocks(model)
    if inner is None:
        copy = edit(model)
    else:
        inner_copy = edited_copy(inner, edit)

        def clone(layer):
            return inner_copy if layer is inner else copy_layer(layer)

        copy = keras.models.clone_model(model, clone_function=clone)
        for layer in model.layers:
            if layer.weights and layer is not inner:
                copy_state(layer, copy.get_layer(layer.name))
    copy.name = model.name if name is None else name
    return copy


def copy_state(layer, copy):
    """Copies the weights of a layer, and what it has learnt about the images, to its clone."""
    copy.set_weights(layer.get_weights())
    copy_statistics(layer, copy)
