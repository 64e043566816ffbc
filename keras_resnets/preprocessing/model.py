"""What a model carries: its preprocessing, and how it scales and answers."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_resnets.arguments import check_pair
from keras_resnets.layers import ConvNorm
from keras_resnets.preprocessing.preprocessing import (
    ImagePreprocessing,
    Preprocessing,
    spatial_axes,
)

# Of the images that are sent through, where the model leaves it open.
SIZE = 64
# The fields of a `Preprocessing` that leaves grey levels as they are.
GREY_LEVELS = {"value_range": (0.0, 255.0), "mean": (0.0,), "std": (1.0,), "channel_order": "rgb"}
SCALING_LAYERS = (ImagePreprocessing, keras.layers.Normalization, keras.layers.Rescaling)


def inner_scaling(model, stem):
    """Returns what black and white, 0 and 255, become before a model's first weights.

    Whatever scales is seen, a layer or an operation, in nested models too: two images are sent
    through all that comes before the first layer with weights to be trained.
    """
    own = [each.preprocessing for each in _layers(model) if isinstance(each, ImagePreprocessing)]
    if not all(map(leaves_values, own)):
        return 0.0, 1.0  # it is for grey levels, and says so
    if not _is_graph(model):
        return (0.0, 1.0) if _scales_somewhere(model) else None
    size = max([SIZE, *(max(check_pair("crop", each.crop or 1)) for each in own)])
    # A thread of its own is within no graph of TensorFlow's and no trace of JAX's.
    with ThreadPoolExecutor(1) as thread:
        black, white = thread.submit(_ends, model, stem, size).result()
    return None if np.allclose((black, white), (0, 255), atol=0.01) else (black, white)


def leaves_values(preprocessing):
    """Whether a preprocessing leaves grey levels as they are."""
    return all(getattr(preprocessing, name) == value for name, value in GREY_LEVELS.items())


def takes_grey_levels(ends):
    """Whether what `inner_scaling` returned is plausible, so that 0 and 255 are what it is for.

    Layers that are for images of 0 to 1 spread white far beyond 255, or only shift it by less than
    a grey level; a second division by 255 leaves nothing.
    """
    black, white = ends
    return 0.5 <= abs(white - black) <= 255.01 and (abs(black) >= 1 or abs(white) <= 128)


def _ends(model, stem, size):
    values = [
        np.stack([np.full([side or size for side in each.shape[1:]], level) for level in (0, 255)])
        for each in model.inputs
    ]
    while True:
        graph = getattr(model, "_functional", None) or model  # a Sequential model's own
        node = _first_learner(graph, stem)
        if not _are_inputs(node.input_tensors, graph):
            front = keras.Model(graph.inputs, node.input_tensors)
            values = keras.tree.flatten(front(values, training=False))
        model = node.operation
        if not _is_graph(model):
            break
    if model is not stem and _scales_somewhere(model):  # one of Python code
        return 0.0, 1.0
    black, white = np.asarray(keras.ops.convert_to_numpy(values[0]), "float64")
    return float(np.median(black)), float(np.median(white))


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
    values = stem.preprocessing
    noted = None if values is None else Preprocessing.from_dict(values)
    ends = inner_scaling(model, stem)
    if ends is None:
        return noted
    return _of_grey_levels(noted, model) if takes_grey_levels(ends) else None


def required_preprocessing(model):
    """Returns what `model_preprocessing` does, or raises if that is `None`."""
    preprocessing = model_preprocessing(model)
    if preprocessing is None:
        ends = inner_scaling(model, stem_convolution(model))
        if ends is not None:
            raise ValueError(_not_of_grey_levels(model, ends))
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
    return inner_scaling(model, stem_convolution(model)) is not None


def without_scaling(preprocessing, model):
    """Returns a preprocessing that leaves the values to a model which scales them itself."""
    changes = GREY_LEVELS if scales_itself(model) else {}
    return dataclasses.replace(preprocessing, **changes)


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
    ends = inner_scaling(model, stem)
    if ends is None:
        return
    if not takes_grey_levels(ends):
        raise ValueError(_not_of_grey_levels(model, ends))
    raise ValueError(
        "A model that scales its images itself must not have them scaled before as well: note "
        "their size alone, `Preprocessing(resize=…, crop=…, value_range=(0, 255))`, or build it "
        f"without its layers that scale. Received: model={model.name!r}, "
        f"preprocessing={preprocessing}"
    )


def _not_of_grey_levels(model, ends):
    return (
        "A model that scales its images itself must do so from grey levels 0 to 255: put "
        "`keras.layers.Rescaling(1 / 255)` in front if it takes 0 to 1, or build it without its "
        f"layers that scale. Received: model={model.name!r}, whose first weights see black as "
        f"{ends[0]:.4g} and white as {ends[1]:.4g}"
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
