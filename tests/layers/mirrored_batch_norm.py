"""Batch norm on two replicas: a program, for a process may divide its CPU only at the start.

Its last line is JSON: for each case, what every replica computed and kept; and how a network was
trained.
"""

import json

import numpy as np

REPLICAS = 2
STEPS = 2
# Case: an example's shape, whether the replicas share their statistics, and their batch sizes.
CASES = {
    "fused": ((2, 3, 2), False, (3, 1)),
    "not fused": ((2,), False, (3, 2)),
    "synchronized": ((2, 3, 2), True, (3, 1)),
    "fused, empty": ((2, 3, 2), False, (3, 0)),
    "not fused, empty": ((2,), False, (0, 4)),
    "synchronized, empty": ((2, 3, 2), True, (3, 0)),
}


def batches(shape, sizes):
    """Returns inputs and output gradients by step and replica; the replicas' means differ."""
    rng = np.random.default_rng(0)
    inputs, gradients = rng.standard_normal((2, STEPS, REPLICAS, max(sizes), *shape), "float32")
    inputs[:, 1] = 2.0 * inputs[:, 1] + 3.0
    return [
        [[batch[:size] for batch, size in zip(step, sizes, strict=True)] for step in steps]
        for steps in (inputs, gradients)
    ]


def main():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * REPLICAS
    )
    # One strategy for all: the collectives of two in a process would be taken for each other.
    strategy = tf.distribute.MirroredStrategy([f"CPU:{replica}" for replica in range(REPLICAS)])
    results = {name: run(strategy, *case) for name, case in CASES.items()}
    print(json.dumps({**results, "fit": fit(strategy)}))


def run(strategy, shape, synchronized, sizes):
    import tensorflow as tf

    from keras_resnets.layers import BatchNormalization

    with strategy.scope():
        layer = BatchNormalization(synchronized=synchronized)
        layer.build((None, *shape))

    @tf.function
    def step(x, dy):
        return strategy.run(replica_step, args=(x, dy))

    def replica_step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        sources = [x, layer.gamma.value, layer.beta.value]
        return y, *tape.gradient(y, sources, output_gradients=dy)

    def distribute(values):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values[context.replica_id_in_sync_group])
        )

    def collect(values):
        return [value.numpy().tolist() for value in strategy.experimental_local_results(values)]

    steps = []
    for x, dy in zip(*batches(shape, sizes), strict=True):
        outputs, gradients, gamma, beta = step(distribute(x), distribute(dy))
        steps.append(
            {
                "outputs": collect(outputs),
                "gradients": collect(gradients),
                "gamma": collect(gamma),
                "beta": collect(beta),
                "moving_mean": collect(layer.moving_mean.value),
                "moving_variance": collect(layer.moving_variance.value),
            }
        )
    return steps


def fit(strategy):
    """Keras's own loop over five examples in batches of four: the last replica gets 2 and then 0.

    Returns the weights that are not finite, and by how much predictions differ from a call.
    """
    import keras
    import tensorflow as tf

    import keras_resnets

    with strategy.scope():
        spec = keras_resnets.ResNetSpec(
            block="basic", repeats=(1,), widths=(2,), stem="imagenet", shortcut="C"
        )
        model = keras_resnets.build_model(spec, input_shape=(8, 8, 3), classes=3)
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    images = np.random.default_rng(0).standard_normal((5, 8, 8, 3), "float32")
    data = tf.data.Dataset.from_tensor_slices((images, np.arange(5) % 3)).batch(4)
    model.fit(data, verbose=0)
    predictions = model.predict(data, verbose=0)
    return {
        "bad": [each.path for each in model.weights if not np.isfinite(np.array(each)).all()],
        "difference": float(np.abs(predictions - keras.ops.convert_to_numpy(model(images))).max()),
    }


if __name__ == "__main__":
    main()
