"""What a model carries: its preprocessing, and how it scales its images itself."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import keras
import numpy as np

from keras_resnets.arguments import check_pair
from keras_resnets.layers import ConvNorm
from keras_resnets.layers.feature_map import channel_axis
from keras_resnets.layers.graph import all_layers, has_graph, inputs_of, learns, nodes
from keras_resnets.preprocessing.predictions import check_built, find_classifier
from keras_resnets.preprocessing.preprocessing import (
    ImagePreprocessing,
    Preprocessing,
    spatial_axes,
)

# The fields of a `Preprocessing` that leaves grey levels as they are.
GREY_LEVELS: dict[str, Any] = {
    "value_range": (0.0, 255.0),
    "mean": (0.0,),
    "std": (1.0,),
    "channel_order": "rgb",
}


def model_preprocessing(model):
    """Returns what is to be done to an image before this model sees it.

    It survives `.keras` files, `keras.models.clone_model`, `plain_twin` and whatever is built upon
    the model, for the stem's configuration holds it. A `.weights.h5` file does not.

    A model that scales its images itself, by layers before its first weights (`Rescaling`,
    `Normalization`, `as_layer`, arithmetic), takes grey levels 0 to 255. Of what it carries, only
    the size counts then; if it carries nothing, images are brought to the size of its input.

    Args:
        model: A model of the zoo, or one built upon it.

    Returns:
        A `Preprocessing`; or `None` if it is not known: none was noted, or the model's layers are
        for images that were scaled before.

    Raises:
        ValueError: If the model has no stem of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing(mean=0.5, std=0.25))
    >>> keras_resnets.model_preprocessing(keras.models.clone_model(model)).std
    (0.25,)
    """
    noted, scaling = _noted_and_scaling(model)
    if scaling is None:
        return noted
    if scaling.kind != "grey levels":
        return None
    size = image_size(model)
    if size is None:  # any size, or the model resizes
        noted = None if resizes_itself(model) else noted
        return dataclasses.replace(noted or Preprocessing(), **GREY_LEVELS)
    noted = noted or Preprocessing(resize=max(size), crop=size)
    return dataclasses.replace(fit_preprocessing(noted, model), **GREY_LEVELS)


def required_preprocessing(model):
    """Returns what `model_preprocessing` does, or raises if that is `None`."""
    preprocessing = model_preprocessing(model)
    if preprocessing is None:
        noted, scaling = _noted_and_scaling(model)
        if scaling is not None:
            raise ValueError(_refusal(model, scaling, noted))
        raise ValueError(
            "The model must note how its images are prepared: give it a preprocessing with "
            "`set_preprocessing`, such as `Preprocessing.imagenet()`, or "
            "`Preprocessing(value_range=(0, 255))` if it was trained on grey levels as they are. "
            f"Received: model={model.name!r}"
        )
    return preprocessing


def set_preprocessing(model, preprocessing):
    """Makes a model carry the preprocessing of the images that it is trained on.

    Args:
        model: A model of the zoo, or one built upon it.
        preprocessing: A `Preprocessing`; or `None` to take it away.

    Raises:
        ValueError: If the model has no stem of this package, takes images of another size than
            the preprocessing makes them, or scales them itself.
        TypeError: If either is of another type.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(32, 32))
    >>> keras_resnets.model_preprocessing(model).crop
    32
    """
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise TypeError(
            "`preprocessing` must be None or a Preprocessing. "
            f"Received: preprocessing={preprocessing!r}"
        )
    stem = stem_convolution(model)
    if preprocessing is not None and not _fits(preprocessing, model):
        (height, width), wanted = _fixed_size(preprocessing), image_size(model)
        raise ValueError(
            "`preprocessing` must end in the size of the model's images, "
            f"{wanted[0]}×{wanted[1]} for {model.name!r}: set its `crop` to that. Received: "
            f"resize={preprocessing.resize}, crop={preprocessing.crop}, which makes them "
            f"{height}×{width}"
        )
    if preprocessing is not None and not leaves_values(preprocessing):
        scaling = inner_scaling(model, stem, preprocessing)
        if scaling is not None:
            raise ValueError(_refusal(model, scaling, preprocessing))
    stem.preprocessing = preprocessing and preprocessing.to_dict()


def model_class_names(model):
    """Returns the names of the classes that a model carries, in the order of its outputs.

    They survive whatever keeps the classifier, whose configuration holds them: `.keras` files,
    `keras.models.clone_model`, `plain_twin`. A `.weights.h5` file does not hold them.

    Args:
        model: A model of the zoo, or one built upon it.

    Returns:
        A tuple of names; or `None` if the model carries none.

    Raises:
        ValueError: If the model is not built.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> model = keras_resnets.ResNet20(classes=2)
    >>> keras_resnets.set_class_names(model, ["cat", "dog"])
    >>> keras_resnets.model_class_names(keras.models.clone_model(model))
    ('cat', 'dog')
    """
    classifier = find_classifier(_checked(model))
    return None if classifier is None else classifier.class_names


def set_class_names(model, class_names):
    """Makes a model carry the names of its classes.

    `classify`, `export_model` and the commands then use them.

    Args:
        model: A model that ends in a `keras_resnets.layers.Classifier`, as those of the zoo do.
        class_names: Name of each class, in the order of the outputs; or `None` to take them away.

    Raises:
        ValueError: If there are not as many names as classes, or the model ends in another layer.
        TypeError: If either is of another type.

    Example:

    >>> model = keras_resnets.ResNet20(classes=2)
    >>> keras_resnets.set_class_names(model, ["cat", "dog"])
    >>> image = np.zeros((32, 32, 3), "uint8")
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing())
    >>> [[best, _]] = keras_resnets.classify(model, image)
    >>> best.name in ("cat", "dog")
    True
    """
    classifier = find_classifier(_checked(model))
    if classifier is None:
        raise ValueError(
            "`model` must end in a `keras_resnets.layers.Classifier` to carry class names: build "
            "its head with that layer in place of `keras.layers.Dense`, or pass `class_names` to "
            f"`classify` and `export_model`. Received: model={model.name!r}"
        )
    classifier.class_names = class_names


def scales_itself(model):
    """Whether a model scales its images itself, before its first weights."""
    return _noted_and_scaling(model)[1] is not None


def without_scaling(preprocessing, model):
    """Returns a preprocessing that leaves the values to a model which scales them itself."""
    scaling = inner_scaling(model, stem_convolution(model), preprocessing)
    return dataclasses.replace(preprocessing, **({} if scaling is None else GREY_LEVELS))


def leaves_values(preprocessing):
    """Whether a preprocessing leaves grey levels as they are."""
    return all(getattr(preprocessing, name) == value for name, value in GREY_LEVELS.items())


def resizes_itself(model):
    """Whether a model brings images to a size itself, or may do so."""
    layers = (ImagePreprocessing, keras.layers.Resizing, keras.layers.CenterCrop)
    return any(isinstance(layer, layers) for layer in all_layers(model))


def stem_convolution(model):
    """Returns the layer named `stem_conv`, however deep in the model it lies."""
    for layer in all_layers(_checked(model)):
        if layer.name == "stem_conv" and isinstance(layer, ConvNorm):
            return layer
    raise ValueError(
        "`model` must have the stem of a model of this package, a layer named 'stem_conv'. "
        f"Received: model={model.name!r}"
    )


def _checked(model):
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    check_built(model)
    return model


def _noted_and_scaling(model):
    stem = stem_convolution(model)
    noted = None if stem.preprocessing is None else Preprocessing.from_dict(stem.preprocessing)
    return noted, inner_scaling(model, stem, noted)


def _refusal(model, scaling, noted):
    """Returns the error for a model whose own scaling does not go with what is noted."""
    if scaling.kind == "grey levels":
        return (
            "The images of a model that scales its images itself must not be scaled before: note "
            "their size alone, `Preprocessing(resize=…, crop=…, value_range=(0, 255))`, or build "
            f"it without its layers that scale. Received: model={model.name!r}, "
            f"preprocessing={noted}"
        )
    if scaling.kind == "either":
        return (
            "The layers before a model's first weights must be either for grey levels 0 to 255 or "
            "for what the noted preprocessing gives, and these may be for both: take the note away "
            "with `set_preprocessing(model, None)` if they are for grey levels, or build the model "
            f"without them. Received: model={model.name!r}, preprocessing={noted}"
        )
    return (
        "A model that scales its images itself must do so from grey levels 0 to 255: put "
        "`keras.layers.Rescaling(1 / 255)` in front if it takes 0 to 1, or build it without its "
        f"layers that scale. Received: model={model.name!r}, whose first weights see black as "
        f"{scaling.black:.4g} and white as {scaling.white:.4g}"
    )


def fit_preprocessing(preprocessing, model):
    """Returns a preprocessing that ends in a model's size; `resize` stays in proportion to it."""
    if _fits(preprocessing, model):
        return preprocessing
    prepared, wanted = _fixed_size(preprocessing), image_size(model)
    resize = preprocessing.resize
    if isinstance(resize, int):
        resize = round(resize * max(wanted) / max(prepared))
    elif resize is not None:
        resize = tuple(
            round(side * new / old) for side, new, old in zip(resize, wanted, prepared, strict=True)
        )
    crop = None if preprocessing.crop is None else wanted
    return dataclasses.replace(preprocessing, resize=resize, crop=crop)


def _fits(preprocessing, model):
    """Whether a preprocessing ends in a size that a model takes, as far as both are known."""
    prepared, wanted = _fixed_size(preprocessing), image_size(model)
    return None in (prepared, wanted) or prepared == wanted


def _fixed_size(preprocessing):
    """Returns the (height, width) that all images come to; `None` if it depends on the image."""
    last = preprocessing.resize if preprocessing.crop is None else preprocessing.crop
    if isinstance(last, int):
        return None if preprocessing.crop is None else (last, last)
    return last


def image_size(model):
    """Returns the (height, width) of a model's images, or `None` where it takes any."""
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4:  # a model of several inputs, or of others
        return None
    size = tuple(shape[axis] for axis in spatial_axes(keras.config.image_data_format()))
    return None if None in size else size


SCALING_LAYERS = (ImagePreprocessing, keras.layers.Normalization, keras.layers.Rescaling)
# Of the images that are sent through, where the model leaves it open; the second if it must.
SIZES = (64, 256)
# What a network may read from black to white. Grey levels are divided to 32 at most, or only
# shifted. ImageNet's deviation makes 4 of noted values and, applied twice by mistake, 19; Caffe's
# preprocessing leaves 255, which are then not scaled further.
SPREAD_OF_GREY_LEVELS, LARGEST_OF_DIVIDED = (0.5, 255.01), 32
SPREAD_OF_NOTED = (0.04, 15.0)


class Scaling(NamedTuple):
    """What a model's own scaling makes of 0 and 255, and what values it is for."""

    black: float = 0.0
    white: float = 1.0
    kind: Literal["grey levels", "either", "neither"] = "grey levels"


def inner_scaling(model, stem, noted=None):
    """Returns the `Scaling` before the first weights; `None` where `noted` is to be applied."""
    # A thread of its own is within no graph of TensorFlow's and no trace of JAX's.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_inner_scaling, model, stem, noted).result()


def _inner_scaling(model, stem, noted):
    own = [each.preprocessing for each in all_layers(model) if isinstance(each, ImagePreprocessing)]
    if not all(map(leaves_values, own)):
        return Scaling()  # it is for grey levels, and says so
    by_layers = Scaling() if _scales_somewhere(model) else None
    if not has_graph(model):
        return by_layers
    fronts, last = _fronts(model, stem)
    if last is not stem and _scales_somewhere(last):  # one of Python code
        return Scaling()
    if not fronts:
        return None
    least_size = max([1, *(max(check_pair("crop", each.crop or 1)) for each in own)])
    levels = _run(fronts, least_size, (0.0, 127.5, 255.0))
    if levels is None:
        return by_layers
    black, _, white = levels
    has_values = noted is not None and not leaves_values(noted)
    reads_fractions = keras.backend.is_float_dtype(model.inputs[0].dtype)
    # Weights of grey, or a division by a root of 1.001, are no scaling; nothing is known of what
    # is equal, as after a normalization of each image by its own mean.
    if np.allclose((black, white), (0, 255), atol=1.5) or abs(white - black) < 1e-5:
        if has_values and not reads_fractions:
            raise ValueError(
                "A model whose input is of whole numbers cannot read the values of a preprocessing "
                "that scales: build it with a float input, or let its own layers scale. Received: "
                f"model={model.name!r} with an input of {model.inputs[0].dtype}, {noted}"
            )
        return None
    is_for_grey = not reads_fractions or _are_of_grey_levels(*levels)
    is_for_noted = has_values and reads_fractions and _is_for(noted, fronts, least_size)
    if is_for_noted:
        return Scaling(black, white, "either") if is_for_grey else None
    return Scaling(black, white, "grey levels" if is_for_grey else "neither")


def _are_of_grey_levels(black, grey, white):
    """Whether a network may read what 0, 127.5 and 255 become."""
    spread = abs(white - black)
    least, largest = SPREAD_OF_GREY_LEVELS
    # Layers for 0 to 1 spread white far, shift it by less than a level, or make white of all grey.
    saturates = min(abs(grey - black), abs(white - grey)) < 0.1 * spread
    is_shifted_or_divided = abs(black) > 1.5 or abs(white) <= LARGEST_OF_DIVIDED
    return least <= spread <= largest and is_shifted_or_divided and not saturates


def _is_for(noted, fronts, least_size):
    """Whether a network may read what the black and white of the noted preprocessing become."""
    mean, std = np.array(noted.mean), np.array(noted.std)
    before = [float(np.mean((level - mean) / std)) for level in noted.value_range]
    ends = _run(fronts, least_size, before)
    if ends is None:
        return False
    spread = abs(ends[1] - ends[0])
    least, largest = SPREAD_OF_NOTED
    largest = max(largest, 1.01 * (before[1] - before[0]))
    return least <= spread <= largest and min(map(abs, ends)) <= 3 * spread


def _fronts(model, stem):
    """Returns models of what comes before the first weights, and the operation that has those."""
    fronts = []
    while True:
        node = _first_learner(model, stem)
        if not _are_inputs(node.input_tensors, model):
            fronts.append(keras.Model(inputs_of(model), node.input_tensors))
        model = node.operation
        if not has_graph(model):
            return fronts, model


def _run(fronts, least, levels):
    """Returns what levels become in an image's centre, in one channel; `None` if that fails."""
    found = _outputs(fronts, least, levels)
    if found is None or found.shape[:1] != (len(levels),):  # a layer may take some of a batch
        return None
    for axis in spatial_axes(keras.config.image_data_format()) if found.ndim == 4 else ():
        found = np.take(found, [found.shape[axis] // 2], axis)
    found = found.reshape(len(levels), -1)
    # Of the channels it is the one that tells the first and the last apart most.
    return tuple(map(float, found[:, np.argmax(np.abs(found[-1] - found[0]))]))


def _outputs(fronts, least, levels):
    """Returns what images of some levels become; `None` if that cannot be run."""
    for size in SIZES:
        try:
            shapes = [
                [side or max(size, least) for side in each.shape[1:]] for each in fronts[0].inputs
            ]
            values = [
                np.stack([np.full(shape, level, "float32") for level in levels]) for shape in shapes
            ]
            for front in fronts:
                values = keras.tree.flatten(front(values, training=False))
            found = keras.ops.convert_to_numpy(keras.ops.cast(values[0], "float32"))
            if found.size:
                return found
        except Exception:  # of any layer's: too small an image, or another type than numbers
            continue
    return None


def own_normalization(model):
    """Returns the mean and deviation by which a model's layers normalize 0 to 1; else `None`."""
    fronts, _ = _fronts(model, stem_convolution(model))
    found = _outputs(fronts, 1, (0.0, 127.5, 255.0)) if fronts else None
    if found is None or found.ndim != 4:
        return None
    found = np.moveaxis(found, channel_axis(keras.config.image_data_format()), -1)
    black, grey, white = found[:, 0, 0]
    is_even = np.allclose(found, found[:, :1, :1])
    is_linear = np.allclose(grey, (black + white) / 2, atol=1e-4)
    if not is_even or not is_linear or min(white - black) <= 0:
        return None
    std = 1 / (white - black)
    return -black * std, std


def _first_learner(model, stem):
    """Returns the node of the first layer with weights on the way to the stem, or of the stem."""
    on_the_way = nodes(model)
    last = next((node for node in on_the_way if stem in all_layers(node.operation)), None)
    if last is not None and not _are_inputs(last.input_tensors, model):
        on_the_way = [*nodes(keras.Model(inputs_of(model), last.input_tensors)), last]
    return next(node for node in on_the_way if node is last or learns(node.operation))


def _are_inputs(tensors, model):
    return [id(each) for each in tensors] == [id(each) for each in inputs_of(model)]


def _scales_somewhere(operation):
    return any(isinstance(layer, SCALING_LAYERS) for layer in all_layers(operation))
