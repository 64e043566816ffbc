"""What goes into the layers of a functional model, for looking into them."""

import keras

from keras_resnets.layers import ResidualBlock
from keras_resnets.models.copy_layer import within_another_layer


def residual_blocks(model):
    """Returns the residual and plain blocks of a model, from the input on.

    Raises:
        TypeError, ValueError: As `block_model`.
    """
    return [layer for layer in block_model(model).layers if isinstance(layer, ResidualBlock)]


def block_model(model):
    """Returns the functional model whose own layers the blocks are: `model`, or one within it.

    Raises:
        TypeError: If `model` is neither a functional model nor a `keras.Sequential`.
        ValueError: If it has no blocks of this package, or has them in several models within it.
    """
    functional = as_functional(model)
    inner = model_with_blocks(functional)
    return functional if inner is None else block_model(inner)


def as_functional(model):
    """Returns a functional model, or a `keras.Sequential` as one of the same layers.

    Raises:
        TypeError: If `model` is neither.
        ValueError: If a `keras.Sequential` does not know its input yet.
    """
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(
                "A keras.Sequential must be built: let it begin with a keras.Input. "
                f"Received: model={model.name!r}"
            )
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "_nodes_by_depth"):
        raise TypeError(
            "`model` must be a functional keras.Model or a keras.Sequential; of another that holds "
            f"such a model, pass that one. Received: model={model!r}"
        )
    return model


def model_with_blocks(model):
    """Returns the layer of a functional model that is a model with blocks, `None` if it is itself.

    Raises:
        ValueError: If neither is, or several are.
    """
    found = [
        layer for layer in model.layers if isinstance(layer, keras.Model) and _has_blocks(layer)
    ]
    has_own = any(isinstance(layer, ResidualBlock) for layer in model.layers)
    if not found and not has_own:
        raise ValueError(
            "`model` must have blocks of this package among its layers, or those of a model "
            f"within it. Received: {model.name!r} with none among {len(model.layers)} layers"
            f"{within_another_layer(model, ResidualBlock)}"
        )
    if len(found) + has_own > 1:
        names = [layer.name for layer in found]
        raise ValueError(
            "`model` must have its blocks in one place: pass one of the models within it, such as "
            f"`model.get_layer({names[0]!r})`. Received: {model.name!r} with "
            f"{'blocks of its own and ' * has_own}those of {', '.join(map(repr, names))}"
        )
    return found[0] if found else None


def input_probe(model, layers):
    """Returns a model that puts out what goes into each of the given layers, by its name.

    The layers are those of `block_model(model)`, and must be called once in it. They may be called
    in other models too, which is why `layer.input` would not do.
    """
    model = as_functional(model)
    inner = model_with_blocks(model)
    if inner is None:
        outputs = {layer.name: input_of(layer, model) for layer in layers}
    else:
        outputs = input_probe(inner, layers)(input_of(inner, model))
    return keras.Model(model.input, outputs)


def input_of(layer, model):
    """Returns the tensor that a layer of a functional model is called with."""
    of_model = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    calls = [node for node in layer._inbound_nodes if id(node) in of_model]
    if len(calls) != 1:
        raise ValueError(
            f"Each layer must be called once in the model. Received: {layer.name!r}, called "
            f"{len(calls)} times in {model.name!r}"
        )
    return calls[0].input_tensors[0]


def _has_blocks(model):
    return any(isinstance(layer, ResidualBlock) for layer in model._flatten_layers())
