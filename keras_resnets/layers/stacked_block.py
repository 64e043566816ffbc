"""A residual block over any number of 3×3 convolutions."""

import keras

from keras_resnets.arguments import check_positive_int
from keras_resnets.layers.conv_norm import ConvNorm
from keras_resnets.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_resnets")
class StackedBlock(ResidualBlock):
    """A residual block whose branch is `depth` 3×3 convolutions.

    With a depth of 2 it is `BasicBlock`. [He et al., 2015](https://arxiv.org/abs/1512.03385),
    section 3.2, have blocks of two and more layers, and observed no advantage of one: before its
    activation, a block of depth 1 is a single convolution
    (`keras_resnets.analysis.merge_one_layer_block` computes its kernel).

    Arguments, shapes and errors are those of `ResidualBlock`, with one more; the output has
    `filters` channels.

    Args:
        depth: Number of convolutions. Normalization follows each, and an activation each but the
            last.

    Example:

    >>> block = keras_resnets.layers.StackedBlock(16, depth=3)
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> [layer.name for layer in block.branch_layers()]
    ['conv1', 'activation1', 'conv2', 'activation2', 'conv3']
    """

    def __init__(self, filters, *args, depth=2, **kwargs):
        super().__init__(filters, *args, **kwargs)
        self.depth = check_positive_int("depth", depth)

    def create_branch(self):
        return stacked_branch(self, self.depth)

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


def stacked_branch(block, depth):
    """Returns the layers of F as `depth` 3×3 convolutions, the first with the block's stride."""
    layers = []
    for number in range(1, depth + 1):
        is_first, is_last = number == 1, number == depth
        layers.append(
            ConvNorm(
                block.filters,
                3,
                strides=block.strides if is_first else 1,
                dilation=block.first_dilation if is_first else block.dilation,
                gamma_initializer="zeros" if is_last and block.zero_init_residual else "ones",
                data_format=block.data_format,
                dtype=block.dtype_policy,
                name=f"conv{number}",
            )
        )
        if not is_last:
            layers.append(
                keras.layers.Activation(
                    block.activation, dtype=block.dtype_policy, name=f"activation{number}"
                )
            )
    return layers
