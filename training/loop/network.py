"""The recipe's network: as it is trained, and as it is handed on."""

import json

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from keras_resnets.weights.keras_files import load_weights_file
from training.data.augment import resized_mean
from training.recipe.recipe import Recipe


def synchronize_batch_norm(model: keras.Model) -> None:
    """Makes every batch normalization of a model take its statistics over all replicas.

    Call it under the strategy's scope, before the model is trained. With one replica it changes
    nothing: the statistics are those of the whole batch anyway, and the fused kernel, which is
    faster, computes only a replica's own. A model that is saved and loaded, or built for serving,
    is not synchronized.
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


def build_network(recipe: Recipe, classes: int, channels: int) -> keras.Model:
    """Returns the network to train, from normalized images to logits; under a strategy's scope."""
    size = recipe.data.image_size if recipe.test_image_size == recipe.data.image_size else None
    model = _create(recipe, classes, None, input_shape=(size, size, channels))
    if recipe.model.classifier_std:
        kernel = model.get_layer("predictions").kernel
        initializer = keras.initializers.RandomNormal(stddev=recipe.model.classifier_std)
        kernel.assign(initializer(kernel.shape, dtype=kernel.dtype))
    if recipe.model.sync_batch_norm:
        synchronize_batch_norm(model)
    return model


def load_initial_weights(model: keras.Model, path: str) -> str:
    """Loads the weights of a file, and returns a line that names it and what did not fit.

    A classifier of other classes keeps its initial weights, and the stem is adapted to another
    number of channels.
    """
    notes = load_weights_file(model, path, adapts=True)
    return "; ".join([f"Initial weights: {path}", *notes.values()])


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
        normalized = keras.layers.Normalization(
            axis=-1 if mean.ndim == 1 else (1, 2, 3),
            mean=mean * 255.0,
            variance=(std * 255.0) ** 2,
            name="normalized",
        )(pixels)
        classes = trained.output_shape[-1]
        model = _create(recipe, classes, "softmax", input_tensor=normalized)
    finally:
        keras.config.set_dtype_policy(policy)
    for layer in trained.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


def _create(recipe, classes, activation, **inputs):
    chosen = recipe.model
    model = keras_resnets.build_model(
        chosen.architecture,
        name=chosen.name,
        classes=classes,
        classifier_activation=activation,
        **inputs,
    )
    if chosen.block:
        block = getattr(keras_resnets.layers, chosen.block)
        model = keras_resnets.with_blocks(model, block, **json.loads(chosen.block_options))
    return model
