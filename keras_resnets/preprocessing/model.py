"""What a model carries: its preprocessing, and how it scales and answers."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np

from keras_resnets.arguments import check_pair
from keras_resnets.layers import ConvNorm
from keras_resnets.preprocessing.preprocessing import (
    ImagePreprocessing,
    Preprocessing,
    spatial_axes,
)

# Of the images that are sent through, where the model leaves it open; the second if it must.
SIZES = (64, 256)
# The fields of a `Preprocessing` that leaves grey levels as they are.
GREY_LEVELS = {"value_range": (0.0, 255.0), "mean": (0.0,), "std": (1.0,), "channel_order": "rgb"}
SCALING_LAYERS = (ImagePreprocessing, keras.layers.Normalization, keras.layers.Rescaling)
# From black to white, in what a network reads: ImageNet's deviation gives 4, and, applied twice by
# mistake, 19. A preprocessing that leaves more than the second does not scale, as Caffe's.
LARGEST_SPREAD = 15
LARGEST_NOTED_SPREAD = 20
# Of noted black and white, less than the first is nothing; less than the second may be either.
LEAST_SPREAD, CLEAR_SPREAD = 0.04, 0.25
LARGEST_OF_DIVIDED = 32  # what 255 becomes where grey levels are divided


class Scaling(NamedTuple):
    """What a model's own scaling makes of 0 and 255, and whether it is one of grey levels.

    `is_ambiguous` if it may as well be one of what the noted preprocessing gives.
    """

    black: float
    white: float
    takes_grey_levels: bool = True
    is_ambiguous: bool = False


def inner_scaling(model, stem, noted=None):
    """Returns the `Scaling` before a model's first weights; `None` where `noted` is to be applied.

    Whatever scales is seen, a layer or an operation, in nested models too: two images are sent
    through all that comes before the first layer with weights to be trained.
    """
    # A thread of its own is within no graph of TensorFlow's and no trace of JAX's.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_inner_scaling, model, stem, noted).result()


def _inner_scaling(model, stem, noted):
    own = [each.preprocessing for each in _layers(model) if isinstance(each, ImagePreprocessing)]
    if not all(map(leaves_values, own)):
        return Scaling(0.0, 1.0)  # it is for grey levels, and says so
    by_layers = Scaling(0.0, 1.0) if _scales_somewhere(model) else None
    if not _is_graph(model):
        return by_layers
    fronts, last = _fronts(model, stem)
    if last is not stem and _scales_somewhere(last):  # one of Python code
        return Scaling(0.0, 1.0)
    if not fronts:
        return None
    least = max([1, *(max(check_pair("crop", each.crop or 1)) for each in own)])
    levels = _run(fronts, least, (0.0, 127.5, 255.0))
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
    is_grey = not reads_fractions or _takes_grey_levels(*levels)
    is_noted = is_ambiguous = False
    if has_values and reads_fractions:
        noted_levels = _black_and_white(noted)
        noted_spread = noted_levels[1] - noted_levels[0]
        ends = _run(fronts, least, noted_levels)
        is_noted = _takes_noted(ends, noted_spread)
        is_faint = is_noted and abs(ends[1] - ends[0]) < CLEAR_SPREAD
        is_ambiguous = is_noted and is_grey and (is_faint or noted_spread > LARGEST_NOTED_SPREAD)
    return None if is_noted and not is_ambiguous else Scaling(black, white, is_grey, is_ambiguous)


def leaves_values(preprocessing):
    """Whether a preprocessing leaves grey levels as they are."""
    return all(getattr(preprocessing, name) == value for name, value in GREY_LEVELS.items())


def _takes_grey_levels(black, grey, white):
    """Whether what 0, 127.5 and 255 become is plausible, so that they are what the front is for.

    Layers that are for images of 0 to 1 spread white far beyond 255, only shift it by less than
    a grey level, or make white of all grey, as a sigmoid does; a second division by 255 leaves
    nothing.
    """
    spread = abs(white - black)
    saturates = min(abs(grey - black), abs(white - grey)) < 0.1 * spread
    is_shifted_or_divided = abs(black) > 1.5 or abs(white) <= LARGEST_OF_DIVIDED
    return 0.5 <= spread <= 255.01 and is_shifted_or_divided and not saturates


def _takes_noted(ends, noted_spread):
    """Whether what the noted black and white become is plausible as what a network reads."""
    if ends is None:
        return False
    spread = abs(ends[1] - ends[0])
    largest = max(LARGEST_SPREAD, 1.01 * noted_spread)
    return LEAST_SPREAD <= spread <= largest and min(map(abs, ends)) <= 3 * spread


def _black_and_white(preprocessing):
    """Returns what a preprocessing makes of 0 and 255, on average over the channels."""
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    low, high = (float(np.mean((level - mean) / std)) for level in preprocessing.value_range)
    return low, high


def _fronts(model, stem):
    """Returns models of what comes before the first weights, and the operation that has those."""
    fronts = []
    while True:
        graph = getattr(model, "_functional", None) or model  # a Sequential model's own
        node = _first_learner(graph, stem)
        if not _are_inputs(node.input_tensors, graph):
            fronts.append(keras.Model(graph.inputs, node.input_tensors))
        model = node.operation
        if not _is_graph(model):
            return fronts, model


def _run(fronts, least, levels):
    """Returns what some levels become in the centre of an image; `None` if that cannot be run.

    Of the channels it is the one that tells the first and the last apart most.
    """
    for size in SIZES:
        try:
            values = [_levels(each.shape, max(size, least), levels) for each in fronts[0].inputs]
            for front in fronts:
                values = keras.tree.flatten(front(values, training=False))
            centre = [slice(None)] * len(values[0].shape)
            for axis in spatial_axes(keras.config.image_data_format()) if len(centre) == 4 else ():
                middle = values[0].shape[axis] // 2
                centre[axis] = slice(middle, middle + 1)
            found = keras.ops.convert_to_numpy(keras.ops.cast(values[0][tuple(centre)], "float32"))
            found = found.reshape(len(levels), -1)
            channel = np.argmax(np.abs(found[-1] - found[0]))
            return tuple(map(float, found[:, channel]))
        except Exception:  # of any layer's: too small an image, or another type than numbers
            continue
    return None


def _levels(shape, size, levels):
    """Returns an image of each level; `size` stands for what a shape leaves open."""
    images = np.empty((len(levels), *(side or size for side in shape[1:])), "float32")
    for image, level in zip(images, levels, strict=True):
        image[...] = level
    return images


def _first_learner(graph, stem):
    """Returns the node of the first layer with weights on the way to the stem, or of the stem."""
    nodes = _nodes(graph)
    last = next((node for node in nodes if stem in _layers(node.operation)), None)
    if last is not None and not _are_inputs(last.input_tensors, graph):
        nodes = [*_nodes(keras.Model(graph.inputs, last.input_tensors)), last]
    return next(node for node in nodes if node is last or _learns(node.operation))


def _are_inputs(tensors, graph):
    return [id(each) for each in tensors] == [id(each) for each in graph.inputs]


def _nodes(graph):
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _learns(operation):
    return any(layer._trainable_variables for layer in _layers(operation))


def _scales_somewhere(operation):
    return any(isinstance(layer, SCALING_LAYERS) for layer in _layers(operation))


def _layers(operation):
    return list(operation._flatten_layers()) if isinstance(operation, keras.Layer) else []


def _is_graph(operation):
    graph = getattr(operation, "_functional", None) or operation
    return hasattr(graph, "_nodes_by_depth")


def fit_preprocessing(preprocessing, model):
    """Returns a preprocessing that ends in the size of a model's images.

    One that ends in another size is scaled: `resize` stays in proportion to the crop.

    Example:

    >>> model = keras_resnets.ResNet18(input_shape=(112, 112, 3))
    >>> fitted = fit_preprocessing(keras_resnets.Preprocessing.imagenet(256, 224), model)
    >>> fitted.resize, fitted.crop
    (128, (112, 112))
    """
    if fits(preprocessing, model):
        return preprocessing
    prepared, wanted = fixed_size(preprocessing), image_size(model)
    resize = preprocessing.resize
    if isinstance(resize, int):
        resize = round(resize * max(wanted) / max(prepared))
    elif resize is not None:
        resize = tuple(
            round(side * new / old) for side, new, old in zip(resize, wanted, prepared, strict=True)
        )
    crop = None if preprocessing.crop is None else wanted
    return dataclasses.replace(preprocessing, resize=resize, crop=crop)


def fits(preprocessing, model):
    """Whether a preprocessing ends in a size that a model takes, as far as both are known."""
    prepared, wanted = fixed_size(preprocessing), image_size(model)
    return None in (prepared, wanted) or prepared == wanted


def fixed_size(preprocessing):
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


def model_preprocessing(model):
    """Returns what is to be done to an image before this model sees it.

    It stands in the configuration of the stem's convolution, so it survives `.keras` files,
    `keras.models.clone_model`, `feature_extractor`, `plain_twin` and whatever is built further
    upon the model. A `.weights.h5` file does not hold it.

    A model that scales its images itself, by layers before its first weights (`Rescaling`,
    `Normalization`, `as_layer`, arithmetic), takes grey levels 0 to 255. Of what it carries, the
    size alone counts then; if it carries nothing, images come to the size of its input.

    Args:
        model: A model of the zoo, or one built upon it.

    Returns:
        A `Preprocessing`; or `None` if it is not known: nobody has said it, or the model's layers
        are for images that were scaled before.

    Raises:
        ValueError: If the model has no stem of this package.
        TypeError: If `model` is not a Keras model.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing(mean=0.5, std=0.25))
    >>> keras_resnets.model_preprocessing(keras.models.clone_model(model)).std
    (0.25,)
    """
    stem = stem_convolution(model)
    noted = _noted(stem)
    scaling = inner_scaling(model, stem, noted)
    if scaling is None:
        return noted
    is_known = scaling.takes_grey_levels and not scaling.is_ambiguous
    return _of_grey_levels(noted, model) if is_known else None


def _noted(stem):
    return None if stem.preprocessing is None else Preprocessing.from_dict(stem.preprocessing)


def required_preprocessing(model):
    """Returns what `model_preprocessing` does, or raises if that is `None`."""
    preprocessing = model_preprocessing(model)
    if preprocessing is None:
        stem = stem_convolution(model)
        noted = _noted(stem)
        scaling = inner_scaling(model, stem, noted)
        if scaling is not None:
            raise ValueError(_unknown_scaling(model, scaling, noted))
        raise ValueError(
            "The model must note how its images are prepared: give it a preprocessing with "
            f"`set_preprocessing`. Received: model={model.name!r}"
        )
    return preprocessing


def set_preprocessing(model, preprocessing):
    """Makes a model carry the preprocessing of the images that it is trained on.

    Args:
        model: A model of the zoo, or one built upon it.
        preprocessing: A `Preprocessing`; or `None` to take it away.

    Raises:
        ValueError: If the model has no stem of this package, takes images of another size than
            the preprocessing makes them, or scales them itself and would do so twice.
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
    if preprocessing is not None and not fits(preprocessing, model):
        (height, width), wanted = fixed_size(preprocessing), image_size(model)
        raise ValueError(
            "`preprocessing` must end in the size of the model's images, "
            f"{wanted[0]}×{wanted[1]} for {model.name!r}: its `crop` is to be that. Received: "
            f"resize={preprocessing.resize}, crop={preprocessing.crop}, which makes them "
            f"{height}×{width}"
        )
    if preprocessing is not None and not leaves_values(preprocessing):
        _check_scales_nothing(model, stem, preprocessing)
    stem.preprocessing = preprocessing and preprocessing.to_dict()


def scales_itself(model):
    """Whether a model scales its images itself, before its first weights."""
    stem = stem_convolution(model)
    return inner_scaling(model, stem, _noted(stem)) is not None


def without_scaling(preprocessing, model):
    """Returns a preprocessing that leaves the values to a model which scales them itself."""
    scaling = inner_scaling(model, stem_convolution(model), preprocessing)
    return dataclasses.replace(preprocessing, **({} if scaling is None else GREY_LEVELS))


def _of_grey_levels(noted, model):
    """Returns what is done to the images of a model that takes grey levels: their size alone."""
    size = image_size(model)
    if size is None:  # any size, or the model resizes
        noted = None if resizes_itself(model) else noted
        return dataclasses.replace(noted or Preprocessing(), **GREY_LEVELS)
    noted = noted or Preprocessing(resize=max(size), crop=size)
    return dataclasses.replace(fit_preprocessing(noted, model), **GREY_LEVELS)


def resizes_itself(model):
    """Whether a model brings images to a size itself, or may do so."""
    layers = (ImagePreprocessing, keras.layers.Resizing, keras.layers.CenterCrop)
    return any(isinstance(layer, layers) for layer in _all_layers(model))


def _check_scales_nothing(model, stem, preprocessing):
    scaling = inner_scaling(model, stem, preprocessing)
    if scaling is None:
        return
    if scaling.is_ambiguous or not scaling.takes_grey_levels:
        raise ValueError(_unknown_scaling(model, scaling, preprocessing))
    raise ValueError(
        "A model that scales its images itself must not have them scaled before as well: note "
        "their size alone, `Preprocessing(resize=…, crop=…, value_range=(0, 255))`, or build it "
        f"without its layers that scale. Received: model={model.name!r}, "
        f"preprocessing={preprocessing}"
    )


def _unknown_scaling(model, scaling, noted):
    """Returns the error of a model that scales, nobody knows from what."""
    if scaling.is_ambiguous:
        return (
            "What a model does to values before its first weights must be either for grey levels "
            "0 to 255 or for what the noted preprocessing gives, and this may be for both: take "
            "the note away with `set_preprocessing(model, None)` if it is for grey levels, or "
            f"build the model without these layers. Received: model={model.name!r}, "
            f"preprocessing={noted}"
        )
    return (
        "A model that scales its images itself must do so from grey levels 0 to 255: put "
        "`keras.layers.Rescaling(1 / 255)` in front if it takes 0 to 1, or build it without its "
        f"layers that scale. Received: model={model.name!r}, whose first weights see black as "
        f"{scaling.black:.4g} and white as {scaling.white:.4g}"
    )


def stem_convolution(model):
    """Returns the layer named `stem_conv`, however deep in the model it lies."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    for layer in _all_layers(model):
        if layer.name == "stem_conv" and isinstance(layer, ConvNorm):
            return layer
    raise ValueError(
        "`model` must have the stem of a model of this package, a layer named 'stem_conv'. "
        f"Received: model={model.name!r}"
    )


def _all_layers(model):
    return model._flatten_layers(include_self=False, recursive=True)
