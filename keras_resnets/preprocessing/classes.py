"""How many classes a model tells apart."""


def number_of_classes(model):
    """Returns the number of classes of a classifier.

    Args:
        model: A Keras model.

    Raises:
        ValueError: If it has several inputs or outputs, or gives no row of scores for an image.

    Example:

    >>> number_of_classes(keras_resnets.ResNet20(classes=7))
    7
    """
    # A subclass of `keras.Model` has no such attributes, or `None`.
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    shapes = [tuple(output.shape) for output in outputs]
    if len(inputs) != 1 or len(shapes) != 1 or len(shapes[0]) != 2:
        raise ValueError(
            "`model` must be a classifier, with one input and one row of scores an image. "
            f"Received: {model.name!r} with {len(inputs)} input{'' if len(inputs) == 1 else 's'} "
            f"and outputs of the shapes {shapes}"
        )
    return shapes[0][1]
