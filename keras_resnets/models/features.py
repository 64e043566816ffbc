"""Feature maps of the stages, for detection and segmentation."""

import math

import keras

from keras_resnets.models.model_spec import model_spec, stage_blocks


def feature_extractor(model):
    """Returns a model with the same layers that puts out the feature map of every stage.

    The weights are shared with `model`. The attribute `strides` of the result tells how many
    input pixels lie between two neighbouring positions of each feature map.

    Args:
        model: A functional model of the zoo, with or without its top.

    Returns:
        A `keras.Model` whose output is `{"stage1": feature map, …}`, and whose `strides` is
        `{"stage1": stride, …}`.

    Raises:
        ValueError: If the model is not one of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> extractor = keras_resnets.feature_extractor(keras_resnets.ResNet20())
    >>> {stage: tuple(x.shape[1:]) for stage, x in extractor.output.items()}
    {'stage1': (32, 32, 16), 'stage2': (16, 16, 32), 'stage3': (8, 8, 64)}
    >>> dict(extractor.strides)
    {'stage1': 1, 'stage2': 2, 'stage3': 4}
    """
    spec = model_spec(model)
    stages = stage_blocks(model)
    outputs = {f"stage{index}": blocks[-1].output for index, blocks in enumerate(stages, 1)}
    extractor = keras.Model(model.input, outputs, name=f"{model.name}_features")
    stem_stride = (spec.output_stride or spec.natural_stride) // math.prod(
        blocks[0].strides for blocks in stages
    )
    extractor.strides = {
        f"stage{index}": stem_stride * math.prod(blocks[0].strides for blocks in stages[:index])
        for index in range(1, len(stages) + 1)
    }
    return extractor
