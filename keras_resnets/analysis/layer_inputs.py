"""What goes into the layers of a functional model, for looking into them."""

import keras

from keras_resnets.layers import ResidualBlock


def residual_blocks(model):
    """Returns the residual and plain blocks of a functional model, from the input on.

    Raises:
        TypeError: If `model` is not a functional model.
        ValueError: If it has no blocks of this package among its layers.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "_nodes_by_depth"):
        raise TypeError(f"`model` must be a functional keras.Model. Received: model={model!r}")
    blocks = [layer for layer in model.layers if isinstance(layer, ResidualBlock)]
    if not blocks:
        raise ValueError(
            "`model` must have blocks of this package among its layers. "
            f"Received: {model.name!r} with none among {len(model.layers)} layers"
        )
    return blocks


def input_probe(model, layers):
    """Returns a model that puts out what goes into each of the given layers, by its name.

    The layers must be called once in `model`. They may be called in other models too, which is
    why `layer.input` would not do.
    """
    of_model = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    inputs = {}
    for layer in layers:
        calls = [node for node in layer._inbound_nodes if id(node) in of_model]
        if len(calls) != 1:
            raise ValueError(
                f"Each layer must be called once in the model. Received: {layer.name!r}, called "
                f"{len(calls)} times in {model.name!r}"
            )
        inputs[layer.name] = calls[0].input_tensors[0]
    return keras.Model(model.input, inputs)
