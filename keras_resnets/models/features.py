"""Feature maps of the stages, for detection and segmentation."""

import keras

from keras_resnets.architecture.reading import model_spec, stage_blocks
from keras_resnets.architecture.spec import STEMS


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
