"""What a block does, step by step, read off its layers whatever its class."""

import keras

from keras_resnets.layers import ConvNorm


def block_steps(block):
    """Returns the steps of a built block in their order.

    Args:
        block: A `ResidualBlock`.

    Returns:
        A tuple of `"conv"`, `"norm"`, `"act"` and `"sum"`, and the names of other layers. A folded
        normalization counts, for it is computed; padding does not.

    Example:

    >>> from keras_resnets.analysis.block_steps import block_steps
    >>> block = keras_resnets.ResNet20().get_layer("stage1_block1")
    >>> block_steps(block)
    ('conv', 'norm', 'act', 'conv', 'norm', 'sum', 'act')
    """
    steps = [step for layer in block.branch_layers() for step in _steps_of(layer)]
    if block.shortcut is not None:
        steps.append("sum")
    if block.sum_norm is not None:
        steps.append("norm")
    if block.output_activation is not keras.activations.linear:
        steps.append("act")
    if block.activation is keras.activations.linear:
        steps = [step for step in steps if step != "act"]
    return tuple(steps)


def paper_steps(block):
    """Returns what the steps of a block of as many convolutions are in He et al., 2015."""
    inner = ("conv", "norm", "act") * len(kernel_sizes(block))
    if block.shortcut is not None:
        inner = (*inner[:-1], "sum", "act")
    if block.activation is keras.activations.linear:
        return tuple(step for step in inner if step != "act")
    return inner


def kernel_sizes(block):
    """Returns the kernel size of each convolution of a block's branch: `((3, 3), (3, 3))`."""
    return tuple(
        layer.kernel_size
        for layer in block.branch_layers()
        if isinstance(layer, (ConvNorm, keras.layers.Conv2D))
    )


def _steps_of(layer):
    if isinstance(layer, ConvNorm):
        return ("conv", "norm")
    for kinds, steps in (
        (keras.layers.Conv2D, ("conv",)),
        (keras.layers.BatchNormalization, ("norm",)),
        ((keras.layers.Activation, keras.layers.ReLU), ("act",)),
        (keras.layers.ZeroPadding2D, ()),
    ):
        if isinstance(layer, kinds):
            return steps
    return (type(layer).__name__,)
