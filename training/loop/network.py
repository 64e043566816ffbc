"""The recipe's network: as it is trained, and as it is handed on."""

import json
import warnings

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from keras_resnets.files import WeightsFileError
from keras_resnets.files.archive import open_keras_file
from keras_resnets.weights.keras_files import HEAD, STEM, load_weights_file
from training.data.normalization import resized_mean
from training.recipe.recipe import Recipe


def synchronize_batch_norm(model: keras.Model) -> None:
    """Makes every batch normalization of a model take its statistics over all replicas.

    To be called under the strategy's scope, before the model is trained. Where there is but one
    replica it changes nothing: the statistics are those of the whole batch anyway, and the fused
    kernel, which is faster, computes only a replica's own.

    The layer's configuration is not what decides: a model that is saved and loaded again, or built
    anew for serving, is not synchronized.
    """
    layers = _batch_norms(model)
    if not layers:
        raise ValueError(f"The model must have batch normalization. Received: model={model.name!r}")
    for layer in layers:
        layer.synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1


def is_synchronized(model: keras.Model) -> bool:
    """Returns whether replicas exchange statistics during the model's forward pass."""
    return any(layer.synchronized for layer in _batch_norms(model))


def _batch_norms(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def load_initial_weights(model: keras.Model, path: str) -> None:
    """Loads a file's weights into all layers; where its classes are others, not the classifier's.

    With a warning, the stem is fitted to another number of channels.
    """
    notes = load_weights_file(model, path, adapts=True)
    if STEM in notes:  # of the classifier, `describe_initial_weights` tells
        warnings.warn(f"{model.name}: {notes[STEM]}.", stacklevel=2)


def describe_initial_weights(path: str, classes: int) -> str:
    """Says in a line what a run with this number of classes begins with."""
    classes_before = classes_in(path)
    if classes_before == classes:
        return f"Beginning with all weights of {path}"
    of_file = "none" if classes_before is None else f"{classes_before:,} classes"
    return (
        f"Beginning with the weights of {path}, but for the classifier: the file has "
        f"{of_file}, the data have {classes:,}. It begins anew"
    )


def classes_in(path: str) -> int | None:
    """Returns the number of classes of a file's classifier; `None` if it has none."""
    try:
        with open_keras_file(path) as file, file.weights(most_bytes=0) as root:
            return _outputs(root)
    except (OSError, KeyError, WeightsFileError):
        return None


def _outputs(root):
    """Returns the last axis of the classifier's kernel. Keras notes a layer's name beside it."""
    for layer in root.groups["layers"].groups.values():
        variables = layer.groups.get("vars")
        is_classifier = variables is not None and variables.name == HEAD
        if is_classifier and variables.arrays:
            return int(variables.arrays["0"].shape[-1])
    return None


def build_network(
    recipe: Recipe, classes: int, channels: int, load_weights: bool = True
) -> keras.Model:
    """Returns the network to train: from normalized images to logits.

    Call it under the scope of the strategy to train with.
    """
    model = _create(recipe, classes, activation=None, channels=channels)
    if recipe.model.classifier_std:
        kernel = model.get_layer("predictions").kernel
        initializer = keras.initializers.RandomNormal(stddev=recipe.model.classifier_std)
        kernel.assign(initializer(kernel.shape, dtype=kernel.dtype))
    if load_weights and recipe.model.weights:
        load_initial_weights(model, recipe.model.weights)
    if recipe.model.sync_batch_norm:
        synchronize_batch_norm(model)
    return model


def serving_model(
    recipe: Recipe, trained: keras.Model, mean: np.ndarray, std: np.ndarray
) -> keras.Model:
    """Returns the network to hand on: from pixels of 0 to 255 to probabilities, in float32."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        size = recipe.test_image_size
        pixels = keras.Input((size, size, trained.input_shape[-1]), name="pixels")
        mean = resized_mean(mean, size)
        std = np.broadcast_to(std, mean.shape)
        axis = -1 if mean.ndim == 1 else (1, 2, 3)
        normalized = keras.layers.Normalization(
            axis=axis, mean=mean * 255.0, variance=(std * 255.0) ** 2, name="normalized"
        )(pixels)
        model = _create(
            recipe, trained.output_shape[-1], activation="softmax", input_tensor=normalized
        )
    finally:
        keras.config.set_dtype_policy(policy)
    for layer in trained.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


def _create(recipe, classes, activation, channels=None, input_tensor=None):
    chosen = recipe.model
    arguments = {"classes": classes, "classifier_activation": activation}
    if input_tensor is None:
        size = recipe.data.image_size if recipe.test_image_size == recipe.data.image_size else None
        arguments["input_shape"] = (size, size, channels)
    else:
        arguments["input_tensor"] = input_tensor
    if chosen.spec:
        spec = keras_resnets.ResNetSpec.from_json(chosen.spec)
        model = keras_resnets.build_model(spec, name=chosen.name, **arguments)
    else:
        model = keras_resnets.create_model(chosen.name, **_options(chosen), **arguments)
    if chosen.block:
        block = getattr(keras_resnets.layers, chosen.block)
        options = json.loads(chosen.block_options)
        model = keras_resnets.with_blocks(model, block, **options)
    return model


def _options(chosen):
    """Returns the options that a recipe varies, as a factory takes them."""
    options = {}
    if chosen.shortcut != "default":
        options["shortcut"] = chosen.shortcut
    if chosen.stride_on != "3x3":
        options["stride_on"] = chosen.stride_on
    if chosen.zero_init_residual:
        options["zero_init_residual"] = True
    if chosen.drop_path_rate:
        options["drop_path_rate"] = chosen.drop_path_rate
    return options
