"""A convolution and its batch normalization: the one place for their constants."""

import json
from typing import Any

import keras

from keras_resnets.arguments import (
    check_bool,
    check_data_format,
    check_initializer,
    check_pair,
    check_positive_int,
)
from keras_resnets.layers.batch_norm import BatchNormalization
from keras_resnets.layers.composite import CompositeLayer
from keras_resnets.layers.feature_map import Conv2D, check_feature_map, spatial_padding


@keras.saving.register_keras_serializable(package="keras_resnets")
class ConvNorm(CompositeLayer):
    """A convolution without bias, padded symmetrically, followed by batch normalization.

    Each side of an axis is padded with `dilation * (kernel_size - 1) // 2` zeros, whatever the
    stride. Keras's `padding="same"` instead pads a strided convolution on one side only, which
    shifts the feature map against networks trained with symmetric padding. At stride 1 with an
    odd kernel the two agree, and `"same"` is used there, for it saves a copy of the input (on a
    CPU, a fifth of the time of a 3×3 convolution and its gradient).

    The bias is left out because batch normalization would subtract it again. Kernels begin as
    in [He et al., 2015](https://arxiv.org/abs/1502.01852): normal, with variance 2 / fan-out.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the kernel: an integer or a pair.
        strides: An integer or a pair. Not together with a dilation.
        dilation: Distance between the kernel's taps: an integer or a pair.
        gamma_initializer: Initializer of the normalization's scale.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        preprocessing: For a network's stem: how the images were prepared that it was trained on,
            as a dictionary of values that JSON knows. It changes nothing that the layer computes;
            it is kept in the configuration, so that it survives saving and cloning.
        folded: Whether the normalization is part of the convolution: the layer then is a single
            convolution with a bias, as `keras_resnets.fuse_batch_norm` makes it for inference.
        **kwargs: `frozen`, names of sublayers that are not trainable, and keyword arguments of
            `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`.

    Output shape:
        The same with `filters` channels. With an odd kernel, a height h becomes ⌈h / stride⌉.

    Raises:
        ValueError: If an argument is not positive, or stride and dilation both exceed 1.
        TypeError: If an argument is not an integer or a pair of them.

    Example:

    >>> layer = keras_resnets.layers.ConvNorm(16, 3, strides=2)
    >>> layer(np.ones((1, 9, 9, 3))).shape == (1, 5, 5, 16)
    True
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        dilation=1,
        gamma_initializer="ones",
        data_format=None,
        preprocessing=None,
        folded=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.kernel_size = check_pair("kernel_size", kernel_size)
        self.strides = check_pair("strides", strides)
        self.dilation = check_pair("dilation", dilation)
        if max(self.strides) > 1 and max(self.dilation) > 1:
            raise ValueError(
                "`strides` and `dilation` cannot both exceed 1 in one convolution. "
                f"Received: strides={strides}, dilation={dilation}"
            )
        self.data_format = check_data_format("data_format", data_format)
        self.preprocessing = preprocessing
        self.folded = check_bool("folded", folded)
        self.gamma_initializer = check_initializer("gamma_initializer", gamma_initializer)
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        same_is_symmetric = max(self.strides) == 1 and all(r % 2 == 0 for r in reach)
        self.padding = (0, 0) if same_is_symmetric else tuple(r // 2 for r in reach)
        self.conv = Conv2D(
            self.filters,
            self.kernel_size,
            strides=self.strides,
            dilation_rate=self.dilation,
            padding="same" if same_is_symmetric else "valid",
            use_bias=self.folded,
            kernel_initializer=he_normal(),
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm: Any = None
        if not self.folded:
            self.norm = BatchNormalization(
                axis=-1 if self.data_format == "channels_last" else 1,
                gamma_initializer=self.gamma_initializer,
                dtype=self.dtype_policy,
                name="norm",
            )

    def build(self, input_shape):
        check_feature_map(input_shape, self.data_format)
        self.conv.build(self._padded_shape(input_shape))
        if self.norm is not None:
            self.norm.build(self.compute_output_shape(input_shape))
        self.freeze_sublayers()

    def call(self, inputs, training=None):
        x = inputs
        if any(self.padding):
            x = keras.ops.pad(x, spatial_padding(self.padding, self.data_format))
        x = self.conv(x)
        return x if self.norm is None else self.norm(x, training=training)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(self._padded_shape(input_shape))

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation": self.dilation,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "data_format": self.data_format,
            "preprocessing": self.preprocessing,
            "folded": self.folded,
        }

    @property
    def preprocessing(self):
        """How the images of a network's stem are prepared, or `None` where nobody said."""
        return None if self._preprocessing is None else json.loads(self._preprocessing)

    @preprocessing.setter
    def preprocessing(self, value):
        if value is not None and not isinstance(value, dict):
            raise TypeError(
                f"`preprocessing` must be None or a dictionary. Received: preprocessing={value!r}"
            )
        # As text, for Keras turns a dictionary among a layer's attributes into a tracked one.
        try:
            self._preprocessing = None if value is None else json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                "`preprocessing` must hold values that JSON knows. "
                f"Received: preprocessing={value!r}"
            ) from error

    def _padded_shape(self, input_shape):
        padding = spatial_padding(self.padding, self.data_format)
        return tuple(
            None if size is None else size + before + after
            for size, (before, after) in zip(input_shape, padding, strict=True)
        )


def he_normal():
    """Returns the initializer of every kernel: normal, not truncated, with variance 2 / fan-out."""
    return keras.initializers.VarianceScaling(
        2.0, mode="fan_out", distribution="untruncated_normal"
    )
