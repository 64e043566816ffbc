"""A new layer like another one."""

from typing import Any

import keras


def copy_layer(layer, **changes):
    """Returns a layer of the same configuration, but for some changes, with new weights.

    Args:
        layer: A layer of a model in memory.
        **changes: Entries of its configuration.

    Example:

    >>> copy_layer(keras.layers.Lambda(lambda x: x / 2.0), name="halved").name
    'halved'
    """
    if type(layer) is keras.layers.Lambda:
        # Its code is in memory, and no file's: `from_config` would refuse to run a lambda, would
        # take it out of its module, and finds no function that is not registered.
        options: dict[str, Any] = {
            **keras.layers.Layer.get_config(layer),
            "function": layer.function,
            "output_shape": layer._output_shape,
            "mask": layer.mask,
            "arguments": layer.arguments,
        }
        return keras.layers.Lambda(**options | changes)
    return type(layer).from_config({**layer.get_config(), **changes})
