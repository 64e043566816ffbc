"""Whether a model's answers are logits, or probabilities."""

import keras

TOLERANCE = 0.01  # what 16 bits round


def ends_in_logits(model):
    """Whether the layer that gives a model's one output is linear, as before a softmax.

    It is looked for within nested models, and before layers that change no value. What has no
    activation, such as an operation, is taken for one that gives scores.

    Args:
        model: A Keras model of one output.
    """
    layer = _last_layer(model)
    return getattr(layer, "activation", None) is keras.activations.linear


def check_probabilities(model, scores):
    """Raises if scores, taken for probabilities, cannot be such.

    Args:
        model: The model, which does not end in logits as far as `ends_in_logits` sees.
        scores: Array of its answers.
    """
    if scores.size and not -TOLERANCE <= scores.min() <= scores.max() <= 1 + TOLERANCE:
        raise ValueError(
            "A classifier must end in logits, straight from a layer, or in probabilities: let a "
            f"softmax follow. Received: model={model.name!r}, which gives scores from "
            f"{scores.min():.3g} to {scores.max():.3g}"
        )


def _last_layer(model):
    output = model.outputs[0]
    while True:
        layer, node, index = output._keras_history
        if isinstance(layer, keras.Model):
            output = layer.outputs[index]
        elif _is_identity(layer):
            [output] = layer._inbound_nodes[node].input_tensors
        else:
            return layer


def _is_identity(layer):
    if isinstance(layer, keras.layers.Activation):  # such as one that casts to float32
        return layer.activation is keras.activations.linear
    same_values = (
        keras.layers.Identity,
        keras.layers.Dropout,
        keras.layers.Flatten,
        keras.layers.Reshape,
    )
    return isinstance(layer, same_values)
