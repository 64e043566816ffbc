"""The block of ResNet-18 and 34, and of the CIFAR networks."""

import keras

from keras_resnets.layers.conv_norm import ConvNorm
from keras_resnets.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_resnets")
class BasicBlock(ResidualBlock):
    """A residual block whose branch is two 3×3 convolutions.

    F(x) = BN(W₂ * relu(BN(W₁ * x))), figure 2 and figure 5 (left) of
    [He et al., 2015](https://arxiv.org/abs/1512.03385). The first convolution carries the stride.

    Arguments, shapes and errors are those of `ResidualBlock`; the output has `filters` channels.

    Example:

    >>> block = keras_resnets.layers.BasicBlock(16, strides=2)
    >>> block(np.ones((1, 8, 8, 8))).shape == (1, 4, 4, 16)
    True
    >>> type(block.shortcut_layer).__name__  # the shapes differ, so it has weights
    'ProjectionShortcut'
    """

    kernel_sizes = (3, 3)

    def create_branch(self):
        return [
            ConvNorm(
                self.filters,
                3,
                strides=self.strides,
                dilation=self.first_dilation,
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="conv1",
            ),
            keras.layers.Activation(self.activation, dtype=self.dtype_policy, name="activation1"),
            ConvNorm(
                self.filters,
                3,
                dilation=self.dilation,
                gamma_initializer=self._last_gamma_initializer(),
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="conv2",
            ),
        ]
