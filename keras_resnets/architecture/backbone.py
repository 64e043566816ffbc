"""A network without its head: its feature maps, and what of it is trained."""

import keras

from keras_resnets.architecture.reading import model_spec, stage_blocks
from keras_resnets.architecture.spec import STEMS
from keras_resnets.arguments import check_choice


def feature_extractor(model):
    """Returns a model with the same layers that puts out the feature map of every stage.

    The weights are shared with `model`. `feature_strides` gives the strides of the maps under the
    same names.

    Args:
        model: A functional model of the zoo, with or without its top.

    Returns:
        A `keras.Model` whose output is `{"stage1": feature map, …}`.

    Raises:
        ValueError: If the model is not one of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> extractor = keras_resnets.feature_extractor(keras_resnets.ResNet20())
    >>> {stage: tuple(x.shape[1:]) for stage, x in extractor.output.items()}
    {'stage1': (32, 32, 16), 'stage2': (16, 16, 32), 'stage3': (8, 8, 64)}
    """
    model_spec(model)  # raises unless the blocks are those of one network
    outputs = {
        f"stage{index}": blocks[-1].output for index, blocks in enumerate(stage_blocks(model), 1)
    }
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def feature_strides(model):
    """Returns how many input pixels lie between two neighbours in the feature map of each stage.

    The strides are read off the layers, so they also hold for a model or a feature extractor that
    was saved and loaded, or cloned.

    Args:
        model: A functional model of the zoo, or what `feature_extractor` made of it.

    Returns:
        `{"stage1": stride, …}`, with the names of the feature extractor's outputs.

    Raises:
        ValueError: If the model is not one of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> keras_resnets.feature_strides(keras_resnets.ResNet20())
    {'stage1': 1, 'stage2': 2, 'stage3': 4}
    >>> keras_resnets.feature_strides(keras_resnets.ResNet18(output_stride=16))
    {'stage1': 4, 'stage2': 8, 'stage3': 16, 'stage4': 16}
    """
    stride = STEMS[model_spec(model).stem].stride
    strides = {}
    for index, blocks in enumerate(stage_blocks(model), 1):
        stride *= blocks[0].strides
        strides[f"stage{index}"] = stride
    return strides


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
