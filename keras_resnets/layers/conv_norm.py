"""Convolution and batch normalization: their constants, their padding, and both folded into one."""

import json
from typing import Any

import keras
import numpy as np

from keras_resnets.arguments import (
    check_bool,
    check_data_format,
    check_initializer,
    check_int,
    check_momentum,
    check_pair,
    check_positive_int,
    check_positive_number,
)
from keras_resnets.layers.composite import CompositeLayer, within
from keras_resnets.layers.feature_map import (
    Conv2D,
    channel_axis,
    check_feature_map,
    spatial_padding,
)


@keras.saving.register_keras_serializable(package="keras_resnets")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization with the papers' constants, equal replicas and a fused kernel.

    It computes what `keras.layers.BatchNormalization` computes
    ([Ioffe & Szegedy, 2015](https://arxiv.org/abs/1502.03167)), with three differences:

    - Momentum is 0.9 and ε is 1e-5, as in He et al., 2015; Keras has 0.99 and 1e-3.
    - Under `tf.distribute`, each update averages the moving statistics over the replicas, weighed
      by their numbers of examples. In Keras's layer each replica keeps its own.
    - On TensorFlow, one fused operation replaces a cast and several passes over a batch
      `(batch, height, width, channels)` of 16- or 32-bit floats. A mask, renormalization,
      `synchronized` and XLA, which takes the operation's variance as E[x²] - E[x]², take Keras's
      own path.

    As in Keras, the moving variance keeps the **biased** variance of a batch (divided by n, not
    n - 1); PyTorch keeps the unbiased one.

    Args:
        axis: The channel axis.
        momentum: Weight of the old moving statistics at an update, in [0, 1].
        epsilon: Added to the variance; positive.
        synchronized: Normalize with the statistics of the global batch under `tf.distribute`
            (TensorFlow only).
        **kwargs: The other arguments of `keras.layers.BatchNormalization`.

    Output shape:
        That of the input, which may be any.

    Example:

    >>> layer = keras_resnets.layers.BatchNormalization()
    >>> layer(np.ones((2, 4, 4, 3)), training=True).shape == (2, 4, 4, 3)
    True
    """

    def __init__(self, axis=-1, momentum=0.9, epsilon=1e-5, **kwargs):
        for name in ("center", "scale", "renorm", "synchronized"):
            if name in kwargs:
                check_bool(name, kwargs[name])
        super().__init__(
            axis=check_int("axis", axis),
            momentum=check_momentum("momentum", momentum),
            epsilon=check_positive_number("epsilon", epsilon),
            **kwargs,
        )

    def build(self, input_shape):
        self.compute_output_shape(input_shape)  # raises if there is no such axis
        super().build(input_shape)

    def add_weight(self, *args, trainable=True, **kwargs):
        if not trainable:
            kwargs.setdefault("aggregation", "mean")
        return super().add_weight(*args, trainable=trainable, **kwargs)

    def call(self, inputs, training=None, mask=None):
        training = bool(training and self.trainable)
        if mask is None and self._has_fused_kernel(inputs):
            return self._fused_call(inputs, training)
        if not training:
            return super().call(inputs, training=False, mask=mask)
        # Collects what Keras's layer would assign, to weigh it first.
        state = [(variable, variable.value) for variable in self.variables]
        with keras.StatelessScope(state, initialize_variables=False) as scope:
            outputs = super().call(inputs, training=True, mask=mask)
        updates = [(each, scope.get_current_value(each)) for each in self.non_trainable_variables]
        self._update(updates, keras.ops.shape(inputs)[0] if mask is None else keras.ops.sum(mask))
        return outputs

    def _moments(self, inputs, mask):
        mean, variance = super()._moments(inputs, mask)
        # The mean of nothing is NaN, and so would be the gradient of gamma.
        if not inputs.shape[0]:
            some = keras.ops.shape(inputs)[0] > 0
            mean, variance = keras.ops.where(some, mean, 0.0), keras.ops.where(some, variance, 1.0)
        return mean, variance

    def _update(self, updates, count):
        """Assigns moving statistics, weighed by the number of examples that they come from."""
        weight = _replica_weight(self.moving_mean, count)
        for variable, new in updates:
            old = keras.ops.cast(variable, new.dtype)
            new = keras.ops.where(count > 0, new, old)
            variable.assign(new if weight is None else old + weight * (new - old))

    def _has_fused_kernel(self, inputs):
        if keras.backend.backend() != "tensorflow":
            return False
        import tensorflow as tf

        dtype = keras.backend.standardize_dtype(inputs.dtype)
        return (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and dtype == self.compute_dtype
            and dtype in ("float16", "bfloat16", "float32")
            and not (self.synchronized or self.renorm)
            and tf.__internal__.get_enclosing_xla_context() is None
        )

    def _fused_call(self, inputs, training):
        import tensorflow as tf

        channels = self.moving_mean.shape[0]  # a graph may not know the input's
        gamma = tf.cast(self.gamma, tf.float32) if self.scale else tf.ones(channels)
        beta = tf.cast(self.beta, tf.float32) if self.center else tf.zeros(channels)
        moving_mean = tf.cast(self.moving_mean, tf.float32)
        moving_variance = tf.cast(self.moving_variance, tf.float32)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=[] if training else moving_mean,
            variance=[] if training else moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel reports the variance divided by n - 1.
            count = tf.cast(tf.size(inputs, out_type=tf.int64) // channels, tf.float32)
            variance *= (count - 1.0) / count
            old, new = self.momentum, 1.0 - self.momentum
            updates = [
                (self.moving_mean, old * moving_mean + new * mean),
                (self.moving_variance, old * moving_variance + new * variance),
            ]
            self._update(updates, keras.ops.shape(inputs)[0])
        return outputs


def _replica_weight(variable, count):
    """Returns by what a replica's update counts in the mean over replicas; `None` for one alone."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync if context else 1
    # In a stateless call nothing is assigned, and replicas do not meet.
    if replicas == 1 or not isinstance(variable.value, tf.Variable):
        return None
    count = tf.cast(count, tf.float32)
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.math.divide_no_nan(replicas * count, total)


@keras.saving.register_keras_serializable(package="keras_resnets")
class ConvNorm(CompositeLayer):
    """A convolution without bias, padded symmetrically, followed by batch normalization.

    With `normalize=False` the convolution is alone, as before a normalization of what it is added
    to (`pre_activation`).

    Each side of an axis is padded with `dilation * (kernel_size - 1) // 2` zeros, whatever the
    stride. Keras's `padding="same"` pads a strided convolution on one side only, which shifts the
    feature map. At stride 1 with an odd kernel the two agree; `"same"` is used there, since it
    saves a copy of the input (a fifth of the time of a 3×3 convolution on a CPU).

    Kernels begin as in [He et al., 2015](https://arxiv.org/abs/1502.01852): normal, with variance
    2 / fan-out.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the kernel: an integer or a pair.
        strides: An integer or a pair. Not together with a dilation.
        dilation: Distance between the kernel's taps: an integer or a pair.
        gamma_initializer: Initializer of the normalization's scale.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        preprocessing: A network's input preprocessing, as a dictionary of JSON values. The stem
            notes it in its configuration, which saving and cloning keep, and does nothing with it.
        folded: Whether the normalization is folded into the convolution, which then has a bias, as
            `keras_resnets.fuse_batch_norm` does for inference.
        groups: Number of groups of channels that are convolved apart, a divisor of those of the
            input and of `filters`.
        normalize: Whether a normalization follows.
        use_bias: Whether the convolution has a bias, where no normalization follows.
        **kwargs: `frozen`, names of frozen sublayers, and arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`.

    Output shape:
        The same with `filters` channels. With an odd kernel, a height h becomes ⌈h / stride⌉.

    Raises:
        ValueError, TypeError: If an argument is not allowed, or stride and dilation both exceed 1.

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
        groups=1,
        normalize=True,
        use_bias=False,
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
        self.normalize = check_bool("normalize", normalize)
        if self.folded and not self.normalize:
            raise ValueError(
                "`folded` needs a normalization to fold. Received: folded=True, normalize=False"
            )
        self.use_bias = check_bool("use_bias", use_bias)
        if self.use_bias and self.normalize:
            raise ValueError(
                "`use_bias` needs normalize=False: a normalization takes a bias away. "
                "Received: use_bias=True, normalize=True"
            )
        self.groups = check_positive_int("groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                "`groups` must divide `filters`. "
                f"Received: groups={self.groups}, filters={self.filters}"
            )
        self.gamma_initializer = check_initializer("gamma_initializer", gamma_initializer)
        if not self.normalize and not isinstance(self.gamma_initializer, keras.initializers.Ones):
            raise ValueError(
                "`gamma_initializer` belongs to a normalization. "
                f"Received: gamma_initializer={gamma_initializer!r}, normalize=False"
            )
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        same_is_symmetric = max(self.strides) == 1 and all(r % 2 == 0 for r in reach)
        self.padding = (0, 0) if same_is_symmetric else tuple(r // 2 for r in reach)
        options = {
            "strides": self.strides,
            "dilation_rate": self.dilation,
            "padding": "same" if same_is_symmetric else "valid",
            "use_bias": self.folded or self.use_bias,
            "groups": self.groups,
        }
        self.conv = he_conv(self, "conv", self.filters, self.kernel_size, **options)
        self.norm: Any = None
        if self.normalize and not self.folded:
            self.norm = channel_norm(self, "norm", gamma_initializer=self.gamma_initializer)

    def build(self, input_shape):
        channels = check_feature_map(input_shape, self.data_format)
        if channels % self.groups:
            raise ValueError(
                "`groups` must divide the channels of the input. "
                f"Received: groups={self.groups}, input_shape={tuple(input_shape)}"
            )
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

    @property
    def preprocessing(self):
        """The input preprocessing that a network's stem notes, or `None`."""
        return json.loads(self._preprocessing)

    @preprocessing.setter
    def preprocessing(self, value):
        try:
            if not isinstance(value, dict | None):
                raise TypeError
            # As text, because Keras tracks a dictionary among a layer's attributes.
            self._preprocessing = json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                "`preprocessing` must be None or a dictionary, and hold values that JSON knows. "
                f"Received: preprocessing={value!r}"
            ) from error

    def _padded_shape(self, input_shape):
        padding = spatial_padding(self.padding, self.data_format)
        return tuple(
            None if size is None else size + before + after
            for size, (before, after) in zip(input_shape, padding, strict=True)
        )


def he_conv(layer, name, filters, kernel_size, **options):
    """Returns a convolution within a layer, of its data format and type."""
    he_normal = keras.initializers.VarianceScaling(
        2.0, mode="fan_out", distribution="untruncated_normal"
    )
    options |= within(layer, name)
    return Conv2D(filters, kernel_size, kernel_initializer=he_normal, **options)


def channel_norm(layer, name, **options):
    """Returns the normalization of a feature map within a layer, of its data format and type."""
    axis = -1 if layer.data_format == "channels_last" else 1
    return BatchNormalization(axis=axis, dtype=layer.dtype_policy, name=name, **options)


def network_norm(name):
    """Returns the normalization of a feature map, of Keras's own data format."""
    axis = channel_axis(keras.config.image_data_format())
    return BatchNormalization(axis=-1 if axis == 3 else axis, name=name)


def folded_weights(conv_norm):
    """Returns the kernel and the bias of the convolution that does the same in inference.

    There, BN(W * x) = γ (W * x − mean) / √(variance + ε) + β is linear in x, up to a constant.
    """
    kernel = _array(conv_norm.conv.kernel)
    if conv_norm.norm is None:
        bias = conv_norm.conv.bias
        return kernel, np.zeros(conv_norm.filters) if bias is None else _array(bias)
    norm = conv_norm.norm
    scale = _array(norm.gamma) / np.sqrt(_array(norm.moving_variance) + norm.epsilon)
    return kernel * scale, _array(norm.beta) - _array(norm.moving_mean) * scale


def _array(weight):
    # Not `weight.value`: with LoRA, the kernel is a tensor.
    return keras.ops.convert_to_numpy(weight).astype("float64")
