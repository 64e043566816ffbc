"""What the network of a spec costs, without building it."""

from typing import NamedTuple

from keras_resnets.models.spec import BLOCKS, STEM_STRIDES


class SpecCost(NamedTuple):
    """What a network costs.

    Attributes:
        parameters: Number of trainable parameters.
        macs: Multiply-adds for one image, as `count_macs` counts them.
    """

    parameters: int
    macs: int


def spec_cost(spec, image_size, channels, classes):
    """Returns what the network of a spec costs, by arithmetic alone.

    `count_parameters` and `count_macs` count on the layers of a model, which has to be built for
    that: ResNet-1202 for a minute. A list of all networks cannot wait for it.

    Args:
        spec: A `ResNetSpec`.
        image_size: Height and width of the image.
        channels: Channels of the image.
        classes: Number of classes of the classifier.

    Returns:
        A `SpecCost`.

    Example:

    >>> spec_cost(keras_resnets.VARIANTS["resnet50"], 224, 3, 1000)
    SpecCost(parameters=25557032, macs=4089184256)
    """
    features = spec.widths[-1] * BLOCKS[spec.block].expansion
    parameters, macs = (features + 1) * classes, features * classes
    for kernel_size, inputs, outputs, size in _convolutions(spec, image_size, channels):
        weights = kernel_size**2 * inputs * outputs
        parameters += weights + 2 * outputs  # the normalization's γ and β
        macs += weights * size**2
    return SpecCost(parameters, macs)


def _convolutions(spec, size, channels):
    """Yields each convolution's kernel size, input and output channels, and output size."""
    is_imagenet = spec.stem == "imagenet"
    size = _strided(size, 2 if is_imagenet else 1)
    yield (7 if is_imagenet else 3), channels, spec.widths[0], size
    size = _strided(size, 2 if is_imagenet else 1)  # the stem's pooling
    channels = spec.widths[0]
    stride_left = (spec.output_stride or spec.natural_stride) // STEM_STRIDES[spec.stem]
    for stage, (repeats, width) in enumerate(zip(spec.repeats, spec.widths, strict=True)):
        stage_stride = 2 if stage and stride_left > 1 else 1
        stride_left //= stage_stride
        for block in range(repeats):
            stride = 1 if block else stage_stride
            yield from _block_convolutions(spec, channels, width, size, stride)
            channels, size = width * BLOCKS[spec.block].expansion, _strided(size, stride)


def _block_convolutions(spec, inputs, width, size, stride):
    outputs, strided = width * BLOCKS[spec.block].expansion, _strided(size, stride)
    if spec.block == "basic":
        yield 3, inputs, width, strided
        yield 3, width, width, strided
    else:
        yield 1, inputs, width, strided if spec.stride_on == "1x1" else size
        yield 3, width, width, strided
        yield 1, width, outputs, strided
    changes = stride > 1 or inputs != outputs
    if spec.shortcut == "C" or (spec.shortcut == "B" and changes):
        yield 1, inputs, outputs, strided


def _strided(size, stride):
    return -(-size // stride)
