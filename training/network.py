"""The recipe's network: as it is trained, and as it is handed on."""

import json

import keras
import numpy as np

import keras_resnets
from training.data.normalization import resized_mean
from training.initial_weights import load_initial_weights
from training.recipe import Recipe
from training.sync_batch_norm import synchronize_batch_norm


def build_network(
    recipe: Recipe, classes: int, channels: int, load_weights: bool = True
) -> keras.Model:
    """Returns the network to train: from normalized images to logits.

    Call it under the scope of the strategy to train with.

    Args:
        recipe: Its `model` and its image sizes count, and the dtype policy that is set.
        classes: Number of classes.
        channels: Number of channels of an image.
        load_weights: Whether the recipe's initial weights are loaded, if it has any. They need not
            be where a checkpoint will take their place.

    Returns:
        A model from `(batch, size, size, channels)` to `(batch, classes)`. Where the images of the
        evaluation have another size than those of training, it takes any.

    Raises:
        ValueError: If the model has no such option, or the weights do not fit it.
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
    """Returns the network to hand on: from pixels of 0 to 255 to probabilities, in float32.

    Args:
        recipe: That of `trained`.
        trained: The network as `build_network` gave it.
        mean: What was subtracted from values in [0, 1]: `(channels,)` or a whole image.
        std: What they were divided by afterwards: `(channels,)`.

    Returns:
        A model with the same weights, which normalizes the image itself. Its images have the size
        of those of the evaluation.
    """
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
