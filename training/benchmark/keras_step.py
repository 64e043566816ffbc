"""A training step as Keras's users take it: `compile`, then `train_on_batch`.

`fit` runs the same compiled step, and adds to it; this is the quicker of the two.
"""

import keras

import keras_resnets
from keras_resnets.analysis import count_macs, count_parameters
from training.benchmark.examples import random_examples
from training.benchmark.job import Job, Setting
from training.benchmark.keras_device import backend_versions, device_name, peak_bytes


def make_job(setting: Setting) -> Job:
    """Returns training steps of a Keras model, on any backend.

    Options: `network`, `"zoo"` or `"applications"`; `own_norm`, whether the zoo's batch
    normalization is to take Keras's own path on TensorFlow instead of the fused kernel;
    `jit_compile`, as in `compile`.
    """
    keras.config.set_dtype_policy(setting.policy)
    keras.utils.set_random_seed(0)
    model = _build(setting)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        jit_compile=setting.options["jit_compile"],
    )
    images, labels = (keras.ops.convert_to_tensor(values) for values in random_examples(setting))

    def take(steps):
        for _ in range(steps):
            loss = model.train_on_batch(images, labels)
        return float(loss)

    facts = {
        "parameters": count_parameters(model).trainable,
        "macs": count_macs(model),
        "images": setting.batch,
        "device": device_name(),
        "versions": backend_versions(),
    }
    return Job(take, facts, peak_bytes=peak_bytes)


def _build(setting):
    shape = (setting.image_size, setting.image_size, 3)
    if setting.options["network"] == "applications":
        return keras.applications.ResNet50(weights=None, input_shape=shape, classes=setting.classes)
    if setting.options["own_norm"]:
        # What a network made of Keras's layers alone would do.
        norm = keras_resnets.layers.BatchNormalization
        setattr(norm, "_has_fused_kernel", lambda self, inputs: False)  # noqa: B010
    return keras_resnets.create_model(setting.model, input_shape=shape, classes=setting.classes)
