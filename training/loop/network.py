"""The recipe's network: as it is trained, and as it is handed on."""

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from keras_resnets import model_preprocessing
from keras_resnets.architecture.spec import OPTIONS
from keras_resnets.layers.graph import all_layers
from keras_resnets.preprocessing.model import leaves_values, own_normalization
from keras_resnets.weights.keras_files import OptionError, model_file
from keras_resnets.weights.keras_model import load_keras_file
from keras_resnets.weights.load import STRUCTURE, open_weights
from training.data.augment import resized_mean
from training.data.decoding import view_preprocessing
from training.recipe.fields import Unset
from training.recipe.files import FIXED_BY_WEIGHTS
from training.recipe.recipe import Model, Recipe


def synchronize_batch_norm(model: keras.Model) -> None:
    """Makes every batch normalization of a model take its statistics over all replicas.

    With one replica it changes nothing: the fused kernel is faster, and sees the whole batch.
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
        layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)
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


# Of published means, some are rounded to three digits.
TOLERANCE = 0.001


def open_initial_weights(recipe: Recipe) -> tuple[Recipe, Callable[..., None]]:
    """Opens the recipe's initial weights; returns the recipe with their options, and the loader."""
    chosen = recipe.model
    wanted = chosen.architecture
    free = [name for name in FIXED_BY_WEIGHTS if getattr(chosen, name) == getattr(Model, name)]
    with _options_named(chosen):
        opened = open_weights(chosen.weights, wanted, chosen.name, () if chosen.spec else free)
    followed = {
        name: getattr(opened.spec, name)
        for name in free
        if getattr(opened.spec, name) != getattr(wanted, name)
    }
    model = dataclasses.replace(chosen, **followed)
    return dataclasses.replace(recipe, model=model), opened.load


@contextlib.contextmanager
def _options_named(chosen):
    """Says of weights that contradict the recipe's network which of its options to change."""
    try:
        yield
    except OptionError as error:
        option, is_plain = error.option, None in (chosen.architecture.shortcut, error.in_file)
        if chosen.spec:
            advice = f"change {option!r} in `model.spec`"
        elif error.networks:
            advice = f"pass --model.name {' or '.join(error.networks)}"
        elif option in STRUCTURE or (option == "shortcut" and is_plain):
            advice = "choose another --model.name"
        elif option in FIXED_BY_WEIGHTS:
            advice = f"leave --model.{option.replace('_', '-')} out"
        elif option in OPTIONS:
            advice = "give the network as --model.spec"
        else:
            advice = "choose another --model.block"
        raise ValueError(
            f"`model.weights` must be of the recipe's network, and {error.contradiction}: "
            f"{advice}, or other weights. Received: model.weights={chosen.weights!r}"
        ) from error


def load_initial_weights(
    recipe: Recipe, model: keras.Model, load: Callable[..., None], class_names: Sequence[str]
) -> tuple[Recipe, list[str]]:
    """Loads weights; returns the recipe with the normalization that comes with them, and notes.

    A classifier of other classes begins anew, and the stem is adapted to another number of
    channels. A recipe that gives another normalization than the file is refused.
    """
    head = model.get_layer("predictions")
    initial = head.get_weights()
    with warnings.catch_warnings(record=True) as caught, _options_named(recipe.model):
        warnings.simplefilter("always")
        load(model)
    notes = [f"{warning.message}".removeprefix(f"{model.name}: ") for warning in caught]
    is_kept = not any("begins anew" in note for note in notes)
    if head.class_names is None:
        if is_kept and class_names:
            order = f"{', '.join(class_names[:5])}{', …' * (len(class_names) > 5)}"
            notes.append(
                "the classifier is kept: the weights have as many classes, without names, which "
                f"must be in the order {order}"
            )
    elif sorted(head.class_names) == sorted(set(class_names)):
        if head.class_names != tuple(class_names):
            notes.append("the classifier's classes were put in the order of the data's")
            places = [head.class_names.index(name) for name in class_names]
            kernel, bias = head.get_weights()
            head.set_weights([kernel[:, places], bias[places]])
            head.class_names = class_names
    else:
        notes.append(
            f"the classifier begins anew, for the weights are of other classes, "
            f"{head.class_names[0]!r} and so on"
        )
        head.set_weights(initial)
        head.class_names = None
    noted = model_preprocessing(model)
    if noted is None or leaves_values(noted):
        return recipe, _without_own_scaling(recipe, notes)
    weights, data = recipe.model.weights, recipe.data
    if data.per_pixel_mean:
        raise ValueError(
            "`data.per_pixel_mean` must be false with `model.weights` that were trained with a "
            f"mean of each channel. Received: data.per_pixel_mean=True, model.weights={weights!r}"
        )
    if noted.channel_order != "rgb":
        raise ValueError(
            "`model.weights` must be of a network that reads RGB images, as the trainer feeds "
            f"them. Received: model.weights={weights!r}, whose preprocessing has "
            f"channel_order={noted.channel_order!r}"
        )
    low, high = noted.value_range
    mean, std = ((np.array(noted.mean) - low) / (high - low), np.array(noted.std) / (high - low))
    followed = {
        name: _rounded(values)
        for name, values in (("mean", mean), ("std", std))
        if np.any(np.abs(np.array(getattr(data, name)) - values) > TOLERANCE)
    }
    if not all(isinstance(getattr(data, name), Unset) for name in followed):
        options = " ".join(
            f"--data.{name} {' '.join(map(str, values))}" for name, values in followed.items()
        )
        raise ValueError(
            "`data.mean` and `data.std` must be what `model.weights` were trained with: pass "
            f"{options}, or leave them out. Received: data.mean={data.mean}, "
            f"data.std={data.std}, model.weights={weights!r}"
        )
    for name, values in followed.items():
        notes.append(f"data.{name} is that of the weights, {' '.join(map(str, values))}")
    chosen = {name: followed.get(name, getattr(data, name)) for name in ("mean", "std")}
    longest = max(map(len, chosen.values()))  # the other may be one value for all channels
    chosen = {name: values * (longest // len(values)) for name, values in chosen.items()}
    return dataclasses.replace(recipe, data=dataclasses.replace(data, **chosen)), notes


def _without_own_scaling(recipe, notes):
    """Returns notes without that on a layer that scales; raises if the recipe does otherwise."""
    scaling = [note for note in notes if "scales its images itself" in note]
    data, weights = recipe.data, recipe.model.weights
    if scaling and not data.per_pixel_mean:
        try:
            in_file = own_normalization(load_keras_file(model_file(weights)))
        except ValueError:  # of layers that are not on the list
            in_file = None
        if in_file is None:  # then the recipe is trusted, if it says anything
            is_same = not (isinstance(data.mean, Unset) and isinstance(data.std, Unset))
            advice = ""
        else:
            pairs = zip((data.mean, data.std), in_file, strict=True)
            is_same = all(np.all(np.abs(ours - theirs) <= TOLERANCE) for ours, theirs in pairs)
            mean, std = (" ".join(map(str, _rounded(each))) for each in in_file)
            advice = f": --data.mean {mean} --data.std {std}"
        if not is_same:
            raise ValueError(
                "`model.weights` are of a model that scales its images by a layer of its own: pass "
                f"the same normalization by --data.mean and --data.std{advice}, or "
                "--data.per-pixel-mean if it subtracts a mean image. Received: "
                f"model.weights={weights!r}, data.mean={data.mean}, data.std={data.std}"
            )
    return [note for note in notes if note not in scaling]


def finished_model(
    recipe: Recipe,
    trained: keras.Model,
    mean: np.ndarray,
    std: np.ndarray,
    class_names: Sequence[str],
) -> keras.Model:
    """Returns the network to hand on: a model of the zoo, in float32, that gives probabilities.

    A mean image, which no `Preprocessing` holds, is subtracted by a layer in front.
    """
    size, channels, classes = recipe.test_image_size, trained.input_shape[-1], len(class_names)
    preprocessing = view_preprocessing(recipe.evaluation, size)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        if mean.ndim == 1:
            model = _create(recipe, classes, "softmax", input_shape=(size, size, channels))
            preprocessing = dataclasses.replace(
                preprocessing, value_range=(0.0, 1.0), mean=_rounded(mean), std=_rounded(std)
            )
        else:
            pixels = keras.Input((size, size, channels), name="pixels")
            mean = resized_mean(mean, size)
            normalized = keras.layers.Normalization(
                axis=(1, 2, 3),
                mean=mean * 255.0,
                variance=np.broadcast_to(std * 255.0, mean.shape) ** 2,
                name="normalized",
            )(pixels)
            model = _create(recipe, classes, "softmax", input_tensor=normalized)
    finally:
        keras.config.set_dtype_policy(policy)
    for layer in trained.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    keras_resnets.set_preprocessing(model, preprocessing)
    keras_resnets.set_class_names(model, class_names)
    return model


def _rounded(values):
    """Returns float32's digits, without those that a conversion to double precision adds."""
    return tuple(float(f"{value:.7g}") for value in values)


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
