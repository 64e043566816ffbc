"""The basic block without batch normalization."""

import keras

from keras_resnets.layers import ResidualBlock
from keras_resnets.layers.conv_norm import he_normal


@keras.saving.register_keras_serializable(package="training")
class UnnormalizedBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions with biases, and nothing that normalizes.

    Arguments, shapes and errors are those of `keras_resnets.layers.ResidualBlock`, without
    `zero_init_residual`, for there is no γ; the output has `filters` channels.
    """

    def create_branch(self):
        if self.zero_init_residual:
            raise ValueError(
                "`zero_init_residual` needs a normalization. Received: zero_init_residual=True"
            )
        return [
            keras.layers.ZeroPadding2D(
                self.first_dilation,
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="pad1",
            ),
            self._convolution("conv1", self.strides, self.first_dilation, "valid"),
            keras.layers.Activation(self.activation, dtype=self.dtype_policy, name="activation1"),
            self._convolution("conv2", 1, self.dilation, "same"),
        ]

    def _convolution(self, name, strides, dilation, padding):
        return keras.layers.Conv2D(
            self.filters,
            3,
            strides=strides,
            padding=padding,
            dilation_rate=dilation,
            kernel_initializer=he_normal(),
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name=name,
        )
