"""What a model's `Normalization` layers have learnt about the images."""

import keras


def copy_image_statistics(model, copy):
    """Copies what `adapt` has learnt, which is no weight to train, to a clone of a model.

    Args:
        model: A functional model.
        copy: A model of the same layers, whichever blocks they are.
    """
    for layer, its_copy in zip(model.layers, copy.layers, strict=True):
        copy_statistics(layer, its_copy)


def copy_statistics(layer, copy):
    """Does the same for one layer, which may be a model."""
    if isinstance(layer, keras.Model):
        copy_image_statistics(layer, copy)
    elif isinstance(layer, keras.layers.Wrapper):
        copy_statistics(layer.layer, copy.layer)
    elif isinstance(layer, keras.layers.Normalization):
        statistics = {}
        layer.save_own_variables(statistics)
        copy.load_own_variables(statistics)
