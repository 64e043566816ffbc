"""Freezing all but the head, and unfreezing it."""

import keras

from keras_resnets.architecture.reading import stage_blocks
from keras_resnets.arguments import check_choice


def freeze_backbone(model, bn="inference"):
    """Freezes every layer on the way to the last block, so that all others are trained.

    `unfreeze` undoes it. As always in Keras, compile the model afterwards. The freeze outlasts
    saving and cloning.

    Args:
        model: A functional model of the zoo, or one built upon it.
        bn: What the backbone's batch normalization does. `"inference"` keeps it as it is: γ and β
            are frozen and the moving statistics are used and stay put, also in `fit`. `"train"`
            adapts it to the new data: batches are normalized by their own statistics, the moving
            statistics follow, and γ and β are trained; only the convolutions are frozen.

    Returns:
        The model itself.

    Raises:
        ValueError: If `bn` is neither, or the model is not one of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> model = keras_resnets.freeze_backbone(keras_resnets.ResNet20())
    >>> [weight.path for weight in model.trainable_weights]
    ['predictions/kernel', 'predictions/bias']
    """
    check_choice("bn", bn, ("inference", "train"))
    last_block = stage_blocks(model)[-1][-1]
    for layer in keras.Model(model.inputs, last_block.output).layers:
        if bn == "inference":
            layer.trainable = False
        else:
            _make_trainable(layer)  # an earlier call may have frozen it as a whole
            _freeze_convolutions(layer)
    return model


def unfreeze(model):
    """Makes every layer of a model trainable again, the inner ones too.

    Args:
        model: A `keras.Model`.

    Returns:
        The model itself.

    Raises:
        TypeError: If `model` is not a Keras model.

    Example:

    >>> model = keras_resnets.freeze_backbone(keras_resnets.ResNet20())
    >>> len(model.trainable_weights), len(keras_resnets.unfreeze(model).trainable_weights)
    (2, 59)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    _make_trainable(model)
    return model


def _make_trainable(layer):
    """Makes a layer, and all layers within it, trainable.

    One assignment is not enough: on TensorFlow, Keras takes no note of one that changes nothing,
    and a layer of which only parts are frozen is trainable as a whole.
    """
    layer.trainable = False
    layer.trainable = True


def _freeze_convolutions(layer):
    """Freezes a layer's own weights, and goes on into its sublayers."""
    sublayers = list(layer._flatten_layers(include_self=False, recursive=False))
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = True
    elif not sublayers:
        layer.trainable = False
    for sublayer in sublayers:
        _freeze_convolutions(sublayer)
