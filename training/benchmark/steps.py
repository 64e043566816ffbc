"""The jobs that Keras's backends do: a training step in three ways, and a product of matrices."""

import functools
from collections.abc import Callable

import keras
import numpy as np

import keras_resnets
from keras_resnets.analysis import count_macs, count_parameters
from training.benchmark.contenders import Setting
from training.benchmark.worker import Job, process_peak_bytes


def random_examples(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Returns the batch that every contender is trained on: random images and labels."""
    generator = np.random.default_rng(0)
    shape = (setting.batch, setting.image_size, setting.image_size, 3)
    images = generator.standard_normal(shape, dtype=np.float32)
    return images, generator.integers(setting.classes, size=setting.batch, dtype=np.int32)


def trainer_step(setting: Setting) -> Job:
    """The trainer's own step, with all that the trainer sets, on a batch in memory."""
    import tensorflow as tf

    from training.loop.loop import make_train_function
    from training.loop.network import build_network
    from training.loop.strategy import make_strategy
    from training.optim.losses import build_loss
    from training.optim.optimizers import build_optimizer
    from training.optim.schedules import build_schedule
    from training.process import keep_freed_memory
    from training.recipe.recipe import Data, Model, Optimizer, Recipe, Schedule

    recipe = Recipe(
        model=Model(name=setting.model),
        data=Data(source="synthetic", image_size=setting.image_size),
        optimizer=Optimizer(learning_rate=0.01, weight_decay=0.0),
        schedule=Schedule(name="constant"),
        batch=setting.batch,
        precision=setting.policy,
    )
    keep_freed_memory()
    strategy = make_strategy("one-device")
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(recipe.precision)
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = build_network(recipe, setting.classes, channels=3)
        optimizer = build_optimizer(recipe, build_schedule(recipe, recipe.batch), model)
    train = make_train_function(strategy, model, optimizer, build_loss(recipe.loss), recipe.batch)

    images, labels = random_examples(setting)
    example = {"image": tf.constant(images), "target": tf.one_hot(labels, setting.classes)}
    batches = tf.data.Dataset.from_tensors(example).repeat()
    iterator = iter(strategy.distribute_datasets_from_function(lambda context: batches))

    def take(steps):
        # As a run calls it on a CPU, and as on a GPU if there is one.
        steps_per_call = steps if tf.config.list_logical_devices("GPU") else 1
        for _ in range(steps // steps_per_call):
            progress = train(iterator, tf.constant(steps_per_call, tf.int64))
            loss = float(progress.loss) / (setting.batch * steps_per_call)
        return loss

    return _step_job(take, model, setting)


def keras_step(setting: Setting) -> Job:
    """A step as Keras's users take it, on any backend: `compile`, then `train_on_batch`.

    `fit` runs the same compiled step, and adds to it; this is the quicker of the two. Options:
    `network`, `"applications"` for `keras.applications`; `own_norm`, whether the zoo's batch
    normalization takes Keras's own path on TensorFlow instead of the fused kernel; `jit_compile`,
    as in `compile`.
    """
    keras.config.set_dtype_policy(setting.policy)
    keras.utils.set_random_seed(0)
    build = functools.partial(keras_resnets.create_model, setting.model)
    if setting.options.get("network") == "applications":
        build = functools.partial(keras.applications.ResNet50, weights=None)
    if setting.options.get("own_norm"):
        # What a network made of Keras's layers alone would do.
        norm = keras_resnets.layers.BatchNormalization
        setattr(norm, "_has_fused_kernel", lambda self, inputs: False)  # noqa: B010
    model = build(input_shape=(setting.image_size, setting.image_size, 3), classes=setting.classes)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        jit_compile=setting.options.get("jit_compile", "auto"),
    )
    images, labels = (keras.ops.convert_to_tensor(values) for values in random_examples(setting))

    def take(steps):
        for _ in range(steps):
            loss = model.train_on_batch(images, labels)
        return float(loss)

    return _step_job(take, model, setting)


def jax_step(setting: Setting) -> Job:
    """A step of the zoo's network on JAX: one compiled function of the whole state."""
    import jax

    keras.config.set_dtype_policy(setting.policy)
    keras.utils.set_random_seed(0)
    shape = (setting.image_size, setting.image_size, 3)
    model = keras_resnets.create_model(setting.model, input_shape=shape, classes=setting.classes)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    compute_loss = keras.losses.SparseCategoricalCrossentropy()
    images, labels = (jax.numpy.asarray(values) for values in random_examples(setting))

    def forward(trainable, others, images, labels):
        probabilities, others = model.stateless_call(trainable, others, images, training=True)
        return compute_loss(labels, probabilities), others

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, images, labels):
        trainable, others, of_optimizer = state
        backward = jax.value_and_grad(forward, has_aux=True)
        (loss, others), gradients = backward(trainable, others, images, labels)
        trainable, of_optimizer = optimizer.stateless_apply(of_optimizer, gradients, trainable)
        return (trainable, others, of_optimizer), loss

    parts = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = tuple([variable.value for variable in variables] for variables in parts)

    def take(steps):
        nonlocal state
        for _ in range(steps):
            state, loss = step(state, images, labels)
        return float(loss)  # waits

    return _step_job(take, model, setting)


def product(setting: Setting) -> Job:
    """The product of two square matrices of `options["side"]` rows: the machine's rate."""
    side = setting.options.get("side") or (1536 if accelerator()[0] == "CPU" else 8192)
    values = np.random.default_rng(0).standard_normal((2, side, side), dtype=np.float32)
    a, b = (keras.ops.cast(keras.ops.convert_to_tensor(each), setting.precision) for each in values)

    def take(times):
        for _ in range(times):
            product = keras.ops.matmul(a, b)
        return float(keras.ops.convert_to_numpy(keras.ops.cast(product[0, 0], "float32")))

    return _job(take, operations=2 * side**3)


def _step_job(take, model, setting):
    parameters, macs = count_parameters(model).trainable, count_macs(model)
    return _job(take, parameters=parameters, macs=macs, images=setting.batch)


def _job(take, **facts):
    device, peak_bytes = accelerator()
    facts |= {"device": device, "versions": backend_versions()}
    return Job(take, facts, peak_bytes=peak_bytes)


def accelerator() -> tuple[str, Callable[[], int]]:
    """Returns its name and what reads its peak memory; `"CPU"` and the process's without one."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            if gpus := tf.config.list_physical_devices("GPU"):
                details = tf.config.experimental.get_device_details(gpus[0])
                memory = tf.config.experimental.get_memory_info
                return details.get("device_name", "GPU"), lambda: memory("GPU:0")["peak"]
        case "jax":
            import jax

            device = jax.devices()[0]
            if device.platform != "cpu":
                return device.device_kind, lambda: device.memory_stats()["peak_bytes_in_use"]
        case _:
            import torch

            if torch.cuda.is_available():
                return torch.cuda.get_device_name(), torch.cuda.max_memory_allocated
    return "CPU", process_peak_bytes


def backend_versions() -> dict[str, str]:
    """Returns the versions of Keras and of its backend."""
    name = keras.backend.backend()
    return {name: __import__(name).__version__, "keras": keras.__version__}
