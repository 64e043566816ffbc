"""Copies of layers and networks, and of what they have learnt about the images."""

from typing import Any

import keras

from keras_resnets.layers.composite import CompositeLayer
from keras_resnets.layers.graph import all_layers, is_functional


def copy_layer(layer, **changes):
    """Returns a layer of the same configuration, but for some changes, with new weights."""
    if type(layer) is keras.layers.Lambda:
        # Not `from_config`, which refuses a lambda, and a function that is not registered.
        options: dict[str, Any] = {
            **keras.layers.Layer.get_config(layer),
            "function": layer.function,
            "output_shape": layer._output_shape,
            "mask": layer.mask,
            "arguments": layer.arguments,
        }
        return keras.layers.Lambda(**options | changes)
    return type(layer).from_config({**layer.get_config(), **changes})


def clone_network(model, function, kind):
    """Returns a clone of a model, as `clone_model`, which also enters wrappers within it."""
    copies: dict = {}  # of layers that are called in several places

    def clone(layer):
        if isinstance(layer, CompositeLayer) or not _holds(layer, kind):
            return function(layer)
        if isinstance(layer, keras.layers.Wrapper):
            # Not `from_config`, which would build the inner layer from its configuration.
            config = {key: value for key, value in layer.get_config().items() if key != "layer"}
            return type(layer)(clone_inner(layer.layer), **config)
        raise ValueError(
            f"Layers of the class {kind.__name__} must be in the model itself, in models within "
            "it, or in wrappers such as `keras.layers.TimeDistributed`; in another layer they "
            f"cannot be replaced. Received: {layer.name!r}, a {type(layer).__name__}, in "
            f"{model.name!r}"
        )

    def clone_inner(layer):
        if id(layer) not in copies:
            is_model = is_functional(layer) or isinstance(layer, keras.Sequential)
            copies[id(layer)] = clone_model(layer) if is_model else clone(layer)
        return copies[id(layer)]

    def clone_model(layer):
        return keras.models.clone_model(layer, clone_function=clone, recursive=True, cache=copies)

    return clone_model(model)


def within_another_layer(model, kind):
    """Says in which layer of a model there are layers of a kind, for the end of an error."""
    for layer in model.layers:
        if _holds(layer, kind):
            return (
                f"; those within {layer.name!r}, a {type(layer).__name__}, are not the model's "
                "own: pass the network that is there"
            )
    return ""


def _holds(layer, kind):
    return any(isinstance(each, kind) for each in all_layers(layer))


def copy_image_statistics(layer, copy):
    """Copies what `adapt` has learnt, which is no weight to train, to a clone of a layer."""
    if isinstance(layer, keras.Model):
        for inner, its_copy in zip(layer.layers, copy.layers, strict=True):
            copy_image_statistics(inner, its_copy)
    elif isinstance(layer, keras.layers.Wrapper):
        copy_image_statistics(layer.layer, copy.layer)
    elif isinstance(layer, keras.layers.Normalization):
        statistics = {}
        layer.save_own_variables(statistics)
        copy.load_own_variables(statistics)
