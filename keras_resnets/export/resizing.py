"""Which formats can hold the resizing of images that a model does itself."""

from keras_resnets.preprocessing.layer import ImagePreprocessing


def check_resizing(model, formats):
    """Raises if a model resizes its images in a way that a format has no operation for.

    TensorFlow has an operation for filters that widen where an image shrinks, and one for bicubic
    ones. The converters to the other formats know neither, and say so in pages of their own.

    Args:
        model: A Keras model.
        formats: Names of the formats that it is to be exported in.

    Raises:
        ValueError: If it has such a layer, and a format is not `"saved_model"`.
    """
    others = tuple(name for name in formats if name != "saved_model")
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if others and isinstance(layer, ImagePreprocessing) and _has_wide_filter(layer):
            way = layer.preprocessing
            raise ValueError(
                "A model that resizes its images itself has the format 'saved_model' alone, unless "
                "it does so by interpolation='nearest', or 'bilinear' without antialias. Export "
                "the network without that layer, with `set_preprocessing`: whoever calls it then "
                "prepares the images as `preprocessing.json` says. "
                f"Received: formats={others!r}, {model.name!r} with the layer {layer.name!r} of "
                f"interpolation={way.interpolation!r}, antialias={way.antialias}"
            )


def _has_wide_filter(layer):
    way = layer.preprocessing
    if way.resize is None or way.interpolation == "nearest":
        return False
    return way.antialias or way.interpolation == "bicubic"
