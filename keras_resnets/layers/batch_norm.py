"""Batch normalization with the constants of residual networks."""

import keras

from keras_resnets.arguments import (
    check_bool,
    check_int,
    check_momentum,
    check_positive_number,
)


@keras.saving.register_keras_serializable(package="keras_resnets")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization: the papers' constants, equal replicas, and a fused kernel.

    It computes what `keras.layers.BatchNormalization` computes
    ([Ioffe & Szegedy, 2015](https://arxiv.org/abs/1502.03167)) and differs in three things:

    - Momentum 0.9 and ε 1e-5, with which He et al. and every published ResNet were trained,
      in place of Keras's 0.99 and 1e-3.
    - Under `tf.distribute` the moving statistics are averaged over the replicas at each update,
      weighed by their numbers of examples; a replica without examples changes nothing. Keras's
      own layer lets each replica keep its own, and a checkpoint holds the first one's.
    - On TensorFlow, one fused operation replaces a cast and several passes over the input,
      where it applies: four dimensions, channels last, 16- or 32-bit floats, no mask, no
      renormalization, not `synchronized`, and not compiled by XLA, which takes the operation's
      variance as E[x²] - E[x]². Everything else takes Keras's own path.

    The moving variance keeps the **biased** variance of the batch (divided by n, not n - 1),
    on every backend and path, as Keras does; PyTorch keeps the unbiased one.

    Args:
        axis: The channel axis.
        momentum: Weight of the old moving statistics at an update, in [0, 1].
        epsilon: Added to the variance; positive.
        synchronized: Normalize with the statistics of the global batch under `tf.distribute`
            (TensorFlow only).
        **kwargs: The other arguments of `keras.layers.BatchNormalization`.

    Input shape:
        Any. The fused kernel needs `(batch, height, width, channels)`.

    Output shape:
        That of the input.

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
        # What Keras's layer would assign is collected first, to be weighed.
        state = [(variable, variable.value) for variable in self.variables]
        with keras.StatelessScope(state, initialize_variables=False) as scope:
            outputs = super().call(inputs, training=True, mask=mask)
        updates = [(each, scope.get_current_value(each)) for each in self.non_trainable_variables]
        self._update(updates, _examples(inputs) if mask is None else keras.ops.sum(mask))
        return outputs

    def _moments(self, inputs, mask):
        mean, variance = super()._moments(inputs, mask)
        # The mean of nothing is NaN, and so would be the gradient of gamma.
        if not inputs.shape[0]:
            some = _examples(inputs) > 0
            mean, variance = keras.ops.where(some, mean, 0.0), keras.ops.where(some, variance, 1.0)
        return mean, variance

    def _update(self, updates, count):
        """Assigns moving statistics, weighed by the number of examples that they come from."""
        weight = _weight(self.moving_mean, count)
        for variable, new in updates:
            old = keras.ops.cast(variable, new.dtype)
            new = keras.ops.where(count > 0, new, old)
            variable.assign(new if weight is None else old + weight * (new - old))

    def _has_fused_kernel(self, inputs):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and dtype == self.compute_dtype
            and dtype in ("float16", "bfloat16", "float32")
            and not self.synchronized
            and not self.renorm
            and not _in_xla()
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
            self._update(updates, _examples(inputs))
        return outputs


def _examples(inputs):
    return keras.ops.shape(inputs)[0]


def _weight(variable, count):
    """Returns by what a replica's update counts in the mean over replicas; `None` for one alone.

    In a stateless call nothing is assigned, and replicas do not meet.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync if context else 1
    if replicas == 1 or not isinstance(variable.value, tf.Variable):
        return None
    count = tf.cast(count, tf.float32)
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.math.divide_no_nan(replicas * count, total)


def _in_xla():
    import tensorflow as tf

    return tf.__internal__.get_enclosing_xla_context() is not None
