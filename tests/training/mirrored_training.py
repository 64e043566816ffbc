"""A process of its own: trains on one device, or on two logical ones, and prints what came out.

The last line is JSON: the sum of losses, the number of right answers, and the path of an archive
of all variables.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from keras_resnets.layers import BatchNormalization
from training.loop import MovingAverage, make_train_function
from training.strategy import make_strategy

BATCH, STEPS = 16, 5


def main(strategy_name, synchronized, accumulate, clip_norm, path):
    devices = 2 if strategy_name == "mirrored" else 1
    logical = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    strategy = make_strategy(strategy_name)
    keras.utils.set_random_seed(1)
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(1, 1), widths=(8, 16), stem="cifar", shortcut="A"
    )
    with strategy.scope():
        model = keras_resnets.build_model(
            spec, input_shape=(8, 8, 3), classes=10, classifier_activation=None
        )
        for layer in model._flatten_layers():
            if isinstance(layer, BatchNormalization):
                layer.synchronized = synchronized == "synchronized"
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        optimizer.build(model.trainable_variables)
        average = MovingAverage(model, 0.9)
    generator = np.random.default_rng(0)
    images = generator.normal(size=(STEPS * BATCH, 8, 8, 3)).astype("float32")
    targets = np.eye(10, dtype="float32")[generator.integers(0, 10, STEPS * BATCH)]
    dataset = tf.data.Dataset.from_tensor_slices({"image": images, "target": targets})
    dataset = dataset.batch(BATCH // strategy.num_replicas_in_sync)
    iterator = iter(strategy.distribute_datasets_from_function(lambda context: dataset))
    accuracies = []
    train = make_train_function(
        strategy,
        model,
        optimizer,
        lambda target, logits: tf.nn.softmax_cross_entropy_with_logits(target, logits),
        BATCH,
        int(accumulate),
        float(clip_norm),
        average,
        lambda accuracy: accuracies.append(accuracy.shape),
    )
    first = train(iterator, tf.constant(2, tf.int64))
    second = train(iterator, tf.constant(STEPS - 2, tf.int64))
    values = [np.asarray(value) for value in [*model.variables, *average.variables]]
    np.savez(path, *values)
    return {
        "loss": float(first.loss + second.loss),
        "correct": int(first.correct + second.correct),
        "steps": int(first.steps + second.steps),
        "finite": bool(first.finite and second.finite),
        "observed": len(accuracies) > 0,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
