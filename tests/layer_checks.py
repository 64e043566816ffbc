"""What holds for every layer, checked in one call, as Keras core's `run_layer_test` does."""

import inspect
import json
import pickle

import keras
import numpy as np

from tests.backends import BACKEND
from tests.gradients import value_and_gradients

# Relative to outputs of about 1: 40 roundings to the type's precision.
MIXED_POLICIES = {"mixed_bfloat16": 40 * 2**-8, "mixed_float16": 40 * 2**-11}


def check_layer(make, input_shape, output_shape, parameters, statistics, folder):
    """Checks a layer's shapes, weights, configuration, reloading, gradients and data types.

    `make` returns a new, deterministic layer; it takes keyword arguments of `keras.layers.Layer`.
    `parameters` and `statistics` are the exact numbers of trainable and other weights.
    """
    x = np.random.default_rng(0).standard_normal(input_shape).astype("float32")
    layer = make()
    layer.build(input_shape)
    check_weights(layer, parameters, statistics)
    randomize(layer)
    check_shapes(layer, x, output_shape)
    check_config(layer, x)
    check_copies(layer, x)
    check_reload(layer, x, folder)
    if parameters:
        check_gradients(layer, x)
    check_modes(layer, x)
    check_policies(make, layer, x)


def check_weights(layer, parameters, statistics):
    assert layer.built
    assert number_of(layer.trainable_weights) == parameters
    assert number_of(layer.non_trainable_weights) == statistics
    assert layer.count_params() == parameters + statistics
    paths = [weight.path for weight in layer.weights]
    assert len(set(paths)) == len(paths)
    assert all(path.startswith(f"{layer.name}/") for path in paths)


def check_shapes(layer, x, output_shape):
    batch, *sizes = x.shape
    channels = 0 if layer_is_channels_first(layer) else len(sizes) - 1
    dynamic, dynamic_outputs = (
        [size if axis == channels else None for axis, size in enumerate(shape)]
        for shape in (sizes, output_shape[1:])
    )
    assert layer.compute_output_shape(x.shape) == output_shape
    assert layer.compute_output_shape((None, *sizes)) == (None, *output_shape[1:])
    assert layer.compute_output_shape((None, *dynamic)) == (None, *dynamic_outputs)

    outputs = layer(keras.Input(sizes))
    assert outputs.shape == (None, *output_shape[1:])
    assert layer(keras.Input(dynamic)).shape == (None, *dynamic_outputs)
    for inputs in (x, x[:1]):
        result = layer(inputs)
        assert tuple(result.shape) == (len(inputs), *output_shape[1:])
        assert keras.backend.standardize_dtype(result.dtype) == outputs.dtype
    assert batch == output_shape[0]


def check_config(layer, x):
    config = layer.get_config()
    arguments = set()
    for base in type(layer).__mro__[:-1]:
        if base is keras.layers.Layer:
            break
        if "__init__" in vars(base):
            arguments |= set(inspect.signature(base.__init__).parameters)
    assert arguments - {"self", "args", "kwargs"} <= set(config)

    json.dumps(keras.saving.serialize_keras_object(layer))
    copies = [
        type(layer).from_config(config),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)),
        keras.layers.deserialize(keras.layers.serialize(layer)),
    ]
    for twin in copies:
        assert type(twin) is type(layer)
        assert plain(twin.get_config()) == plain(config)
    twin = copies[1]
    twin(x)
    assert weight_shapes(twin) == weight_shapes(layer)


def check_copies(layer, x):
    expected = numpy(layer(x))
    twin = pickle.loads(pickle.dumps(layer))  # which `copy.deepcopy` does as well
    np.testing.assert_array_equal(numpy(twin(x)), expected)


def check_reload(layer, x, folder):
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    expected = numpy(model(x))

    model.save(folder / "model.keras")
    reloaded = keras.saving.load_model(folder / "model.keras")
    assert type(reloaded.layers[-1]) is type(layer)
    np.testing.assert_array_equal(numpy(reloaded(x)), expected)

    twin = keras.models.clone_model(model)
    assert weight_shapes(twin.layers[-1]) == weight_shapes(layer)
    model.save_weights(folder / "model.weights.h5")
    twin.load_weights(folder / "model.weights.h5")
    np.testing.assert_array_equal(numpy(twin(x)), expected)


def check_gradients(layer, x):
    weights = layer.trainable_weights
    factors = np.random.default_rng(1).standard_normal(numpy(layer(x)).shape).astype("float32")
    for training in (True, False):

        def loss(training=training):
            return keras.ops.sum(keras.ops.multiply(layer(x, training=training), factors))

        _, gradients = value_and_gradients(loss, weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            assert np.all(np.isfinite(gradient)), weight.path
            assert np.any(gradient), f"no gradient reaches {weight.path}"


def check_modes(layer, x):
    """Training moves the statistics, and nothing else; inference and a frozen layer nothing."""
    if not layer.non_trainable_weights:
        np.testing.assert_array_equal(numpy(layer(x, **training_argument(layer))), numpy(layer(x)))
        return

    before = weights_by_path(layer)
    inferred = numpy(layer(x, training=False))
    np.testing.assert_array_equal(numpy(layer(x)), inferred)
    layer.trainable = False
    np.testing.assert_array_equal(numpy(layer(x, training=True)), inferred)
    layer.trainable = True
    for path, value in weights_by_path(layer).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)

    assert not np.allclose(numpy(layer(x, training=True)), inferred)
    statistics = {weight.path.split("/", 1)[1] for weight in layer.non_trainable_weights}
    for path, value in weights_by_path(layer).items():
        assert np.array_equal(value, before[path]) == (path not in statistics), path


def check_policies(make, layer, x):
    expected = numpy(layer(x))
    for policy, tolerance in MIXED_POLICIES.items():
        mixed = make(dtype=policy)
        mixed.build(x.shape)
        mixed.set_weights(layer.get_weights())
        outputs = check_types(mixed, x, mixed.compute_dtype, "float32")
        scale = np.abs(expected).max()
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=tolerance * scale)
        assert mixed(keras.Input(x.shape[1:])).dtype == mixed.compute_dtype
        if mixed.non_trainable_weights:
            mixed(x, training=True)
            assert all(np.all(np.isfinite(weight)) for weight in mixed.get_weights())

    if BACKEND != "jax":  # which computes in 32 bits
        double = make(dtype="float64")
        double.build(x.shape)
        double.set_weights(layer.get_weights())
        outputs = check_types(double, x.astype("float64"), "float64", "float64")
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def check_types(layer, x, compute_dtype, variable_dtype):
    outputs = layer(x)
    assert keras.backend.standardize_dtype(outputs.dtype) == compute_dtype
    assert {weight.dtype for weight in layer.weights} <= {variable_dtype}
    for part in layer._flatten_layers():
        assert part.dtype_policy == layer.dtype_policy, part.name
    outputs = numpy(outputs)
    assert np.all(np.isfinite(outputs))
    return outputs


def randomize(layer, seed=0):
    """Gives every weight a random value, so that none hides behind its initial one."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if weight.path.endswith("kernel"):
            value = rng.standard_normal(weight.shape) / np.sqrt(np.prod(weight.shape[:-1]))
        elif weight.path.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.5, 1.5, weight.shape)
        else:
            value = 0.2 * rng.standard_normal(weight.shape)
        weight.assign(value.astype("float32"))


def numpy(tensor):
    """Returns a tensor's values in NumPy, small floats as float32."""
    value = keras.ops.convert_to_numpy(getattr(tensor, "value", tensor))
    return value.astype("float32") if value.dtype.itemsize < 4 else value


def weights_by_path(layer):
    """Returns the values of a layer's weights, by their paths in the layer."""
    return {weight.path.split("/", 1)[1]: numpy(weight) for weight in layer.weights}


def weight_shapes(layer):
    return {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in layer.weights}


def number_of(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def plain(config):
    """Returns a configuration as JSON would, tuples as lists."""
    return json.loads(json.dumps(keras.saving.serialize_keras_object(config)))


def layer_is_channels_first(layer):
    return getattr(layer, "data_format", "channels_last") == "channels_first"


def training_argument(layer):
    takes_it = "training" in inspect.signature(layer.call).parameters
    return {"training": True} if takes_it else {}
