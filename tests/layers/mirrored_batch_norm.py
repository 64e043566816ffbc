"""Batch norm on two replicas: a program, for a process may divide its CPU only at the start.

Its last line is JSON: for each case, what every replica saw, computed and kept.
"""

import json

import numpy as np

REPLICAS = 2
STEPS = 2
# Case: the shape of a replica's batch, and whether the replicas share their statistics.
CASES = {
    "fused": ((3, 2, 3, 2), False),
    "not fused": ((5, 2), False),
    "synchronized": ((3, 2, 3, 2), True),
}


def batches(shape):
    """Returns inputs and output gradients, (step, replica, *shape); the replicas' means differ."""
    rng = np.random.default_rng(0)
    inputs, gradients = rng.standard_normal((2, STEPS, REPLICAS, *shape)).astype("float32")
    inputs[:, 1] = 2.0 * inputs[:, 1] + 3.0
    return inputs, gradients


def main():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * REPLICAS
    )
    # One strategy for all: collectives of two in one process would take each other's places.
    strategy = tf.distribute.MirroredStrategy([f"CPU:{replica}" for replica in range(REPLICAS)])
    print(json.dumps({name: run(strategy, *case) for name, case in CASES.items()}))


def run(strategy, shape, synchronized):
    import tensorflow as tf

    from keras_resnets.layers import BatchNormalization

    with strategy.scope():
        layer = BatchNormalization(synchronized=synchronized)
        layer.build((None, *shape[1:]))

    @tf.function
    def step(x, dy):
        return strategy.run(replica_step, args=(x, dy))

    def replica_step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y, tape.gradient(y, x, output_gradients=dy)

    def distribute(values):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values[context.replica_id_in_sync_group])
        )

    def collect(values):
        return [value.numpy().tolist() for value in strategy.experimental_local_results(values)]

    steps = []
    for x, dy in zip(*batches(shape), strict=True):
        outputs, gradients = step(distribute(x), distribute(dy))
        steps.append(
            {
                "outputs": collect(outputs),
                "gradients": collect(gradients),
                "moving_mean": collect(layer.moving_mean.value),
                "moving_variance": collect(layer.moving_variance.value),
            }
        )
    return steps


if __name__ == "__main__":
    main()
