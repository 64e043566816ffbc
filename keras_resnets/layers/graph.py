"""A model's graph and a layer's parts: the one place that reads Keras's private attributes."""

from typing import Any, NamedTuple

import keras


def all_layers(layer) -> list[Any]:
    """Returns a layer and all layers within it; nothing of an operation that is no layer."""
    return list(layer._flatten_layers()) if isinstance(layer, keras.Layer) else []


def sublayers(layer) -> list[Any]:
    """Returns the layers right within a layer or a model, in Keras's order."""
    if isinstance(layer, keras.Model):
        return layer.layers
    return list(layer._flatten_layers(include_self=False, recursive=False))


def learns(layer) -> bool:
    """Whether a layer, or one within it, has weights that are trained unless it is frozen."""
    return any(each._trainable_variables for each in all_layers(layer))


def has_graph(operation) -> bool:
    """Whether it is a functional model, or a Sequential one that is built."""
    return hasattr(_graph(operation), "_nodes_by_depth")


def is_functional(operation) -> bool:
    """Whether it is a functional model itself, and no Sequential one."""
    return hasattr(operation, "_nodes_by_depth")


def inputs_of(model):
    """Returns the input tensors of a functional model, or of a Sequential one's own."""
    return _graph(model).inputs


def output_structure(model):
    """Returns what a model returns: a tensor, or a list or dictionary of tensors."""
    return _graph(model).output


def nodes(model) -> list[Any]:
    """Returns the calls that a model consists of, in the order in which they are computed."""
    by_depth = _graph(model)._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def calls(model) -> dict[int, list[Any]]:
    """Returns the calls of each layer within a model, by the layer's `id`.

    A layer may be called in other models, too.
    """
    of_model = {id(node) for node in nodes(model)}
    return {
        id(layer): [node for node in layer._inbound_nodes if id(node) in of_model]
        for layer in model.layers
    }


class Origin(NamedTuple):
    """The layer that gives a tensor, the inputs of that call, and which of its outputs it is."""

    layer: Any
    inputs: list[Any]
    output_number: int


def origin(tensor) -> Origin:
    """Returns where a Keras tensor comes from."""
    layer, node, index = tensor._keras_history
    return Origin(layer, layer._inbound_nodes[node].input_tensors, index)


def _graph(model):
    return getattr(model, "_functional", None) or model  # a Sequential model's own graph


def check_functional(name: str, model: Any) -> Any:
    """Returns a model whose layers and their connections are known, or raises."""
    if not isinstance(model, keras.Model) or not has_graph(model):
        raise TypeError(
            f"`{name}` must be a keras.Model, functional or Sequential with a known input. "
            f"Received: {name}={model!r}"
        )
    return model
