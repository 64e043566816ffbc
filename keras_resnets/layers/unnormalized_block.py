"""The basic block without batch normalization."""

import keras

from keras_resnets.layers.conv_norm import he_normal
from keras_resnets.layers.feature_map import Conv2D
from keras_resnets.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_resnets")
class UnnormalizedBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions with biases, and nothing that normalizes F.

    F(x) = W₂ * relu(W₁ * x + b₁) + b₂: the block of He et al., 2015, without its batch
    normalization, to see what that does for the gradients
    ([Ioffe & Szegedy, 2015](https://arxiv.org/abs/1502.03167)). Each sum adds to the variance of
    what passes, so that a deep network of such blocks needs small learning rates.

    Arguments, shapes and errors are those of `keras_resnets.layers.ResidualBlock`, but for what
    needs a normalization: `zero_init_residual` a γ, and `folded` something to fold. A projection
    (options B and C) keeps its own normalization, which can be folded. The output has `filters`
    channels.

    Example:

    >>> block = keras_resnets.layers.UnnormalizedBlock(16)
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> [weight.name for weight in block.conv1.weights]
    ['kernel', 'bias']
    """

    def __init__(self, filters, *args, **kwargs):
        super().__init__(filters, *args, **kwargs)
        if self.zero_init_residual:
            raise ValueError(
                "`zero_init_residual` needs a normalization, whose γ begins at 0. "
                "Received: zero_init_residual=True"
            )
        if self.folded and self.shortcut in ("A", None):
            raise ValueError(
                "`folded` needs a normalization to fold, and this block has none but a "
                f"projection's. Received: folded=True, shortcut={self.shortcut!r}"
            )

    def create_branch(self):
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
        return Conv2D(
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
