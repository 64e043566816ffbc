"""Where a model departs from the paper, and what follows from it."""

import dataclasses

from keras_resnets.analysis.block_deviations import block_deviations
from keras_resnets.analysis.deviation import Deviation
from keras_resnets.analysis.frame_deviations import frame_deviations
from keras_resnets.analysis.layer_inputs import block_model
from keras_resnets.architecture.reading import stage_blocks


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The points in which a model departs from the paper; `print` it to read them.

    Attributes:
        model: The model's name.
        deviations: A tuple of `Deviation`, empty for a network of the paper.
    """

    model: str
    deviations: tuple[Deviation, ...]

    def __str__(self):
        if not self.deviations:
            return f"{self.model} is a network of He et al., 2015."
        lines = [f"{self.model} departs from He et al., 2015 in:"]
        return "\n".join([*lines, *(f"- {deviation}" for deviation in self.deviations)])


def explain(model):
    """Lists every point in which a model departs from He et al., 2015, and its consequence.

    The paper is [Deep Residual Learning for Image Recognition](https://arxiv.org/abs/1512.03385).
    What it leaves open (where option A puts its zeros, how the classifier begins) is no deviation.
    The model's layers are read, not its name: input, stem, blocks, normalization and head.

    Args:
        model: A functional model of this package, residual or plain. Of one that stands within
            another model, it alone is read.

    Returns:
        An `Explanation`, whose `deviations` are data and whose text is for reading.

    Raises:
        TypeError: If `model` is neither a functional model nor a `keras.Sequential`.
        ValueError: If it has no blocks named `stage1_block1` and so on, or has them in several
            places.

    Example:

    >>> print(keras_resnets.analysis.explain(keras_resnets.ResNet50(stride_on="1x1")))
    resnet50 is a network of He et al., 2015.
    >>> [each.what for each in keras_resnets.analysis.explain(keras_resnets.ResNet50()).deviations]
    ['stride of a bottleneck']
    """
    model = block_model(model)
    stages = stage_blocks(model)
    deviations = (*block_deviations(stages), *frame_deviations(model, stages))
    return Explanation(model.name, deviations)
