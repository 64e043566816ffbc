"""Whether a model's answers are logits."""

import keras


def ends_in_logits(model):
    """Whether the layer that gives a model's one output is linear, as before a softmax.

    It is looked for within nested models, and before layers that change no value. What has no
    activation, such as an operation, is taken for one that gives scores.

    Args:
        model: A Keras model of one output.
    """
    layer = _last_layer(model)
    return getattr(layer, "activation", None) is keras.activations.linear


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
    return isinstance(layer, (keras.layers.Identity, keras.layers.Dropout))
