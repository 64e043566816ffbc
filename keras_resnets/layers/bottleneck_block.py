"""The block of ResNet-50, 101 and 152."""

import keras

from keras_resnets.arguments import check_choice
from keras_resnets.layers.conv_norm import ConvNorm
from keras_resnets.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_resnets")
class BottleneckBlock(ResidualBlock):
    """A residual block whose branch is a 1×1, a 3×3 and a 1×1 convolution.

    The first reduces the channels to `filters`, the last restores four times as many: figure 5
    (right) of [He et al., 2015](https://arxiv.org/abs/1512.03385).

    Arguments, shapes and errors are those of `ResidualBlock`, with one more; the output has
    `4 * filters` channels.

    Args:
        stride_on: The convolution that carries the stride: `"3x3"`, as in nearly all published
            weights ("v1.5"), or the first `"1x1"`, as in the paper ("v1"), which costs less and
            lets three of four input positions go unseen by the branch.

    Example:

    >>> block = keras_resnets.layers.BottleneckBlock(16)
    >>> block(np.ones((1, 8, 8, 64))).shape == (1, 8, 8, 64)
    True
    >>> type(block.shortcut_layer).__name__  # the shapes match, so it has none
    'IdentityShortcut'
    """

    expansion = 4
    kernel_sizes = (1, 3, 1)

    def __init__(
        self,
        filters,
        strides=1,
        shortcut="B",
        activation="relu",
        dilation=1,
        zero_init_residual=False,
        drop_path_rate=0.0,
        *,
        stride_on="3x3",
        **kwargs,
    ):
        super().__init__(
            filters,
            strides,
            shortcut,
            activation,
            dilation,
            zero_init_residual,
            drop_path_rate,
            **kwargs,
        )
        self.stride_on = check_choice("stride_on", stride_on, ("3x3", "1x1"))
        if self.stride_on == "1x1" and self.first_dilation != self.dilation:
            raise ValueError(
                "`first_dilation` is for a 3×3 convolution that carries the stride: with "
                "stride_on='1x1' it can only be `dilation`. Received: "
                f"first_dilation={self.first_dilation}, dilation={self.dilation}, stride_on='1x1'"
            )

    def create_branch(self):
        on_3x3 = self.stride_on == "3x3"
        return [
            ConvNorm(
                self.filters,
                1,
                strides=1 if on_3x3 else self.strides,
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="conv1",
            ),
            keras.layers.Activation(self.activation, dtype=self.dtype_policy, name="activation1"),
            ConvNorm(
                self.filters,
                3,
                strides=self.strides if on_3x3 else 1,
                dilation=self.first_dilation if on_3x3 else self.dilation,
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="conv2",
            ),
            keras.layers.Activation(self.activation, dtype=self.dtype_policy, name="activation2"),
            ConvNorm(
                self.filters * self.expansion,
                1,
                gamma_initializer=self._last_gamma_initializer(),
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="conv3",
            ),
        ]

    def get_config(self):
        return {**super().get_config(), "stride_on": self.stride_on}
