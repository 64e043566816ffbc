"""A factory's `weights`: a file of Keras, one of another library, or a preset's name.

The one place that turns back in the order of imports: preprocessing and other libraries' weights
are the concern of packages above, and most models never need them.
"""

import functools

from keras_resnets.models.weights_file import (
    FOREIGN_SUFFIXES,
    STEM,
    SUFFIXES,
    check_weights_path,
    load_weights_file,
)


def open_weights(weights, spec, name):
    """Returns the spec of the network to build for some weights, and what loads them into it.

    Another library's file is read at once: what its network leaves no choice of is built into the
    spec.

    Args:
        weights: The path of a file of Keras or of another library; or a preset's name. A file
            that Keras wrote may be of `keras.applications`: its layers' names tell.
        spec: The `ResNetSpec` that was asked for.
        name: What the model will be called, for messages.

    Returns:
        A `ResNetSpec`, and a function that takes the model that was built of it. The model then
        carries the preprocessing that a `.keras` file or a preset notes, or another library's usual
        one, for the size of its own images.

    Raises:
        OptionError: If a file's network has other options than were asked for. (A `.keras` file's
            are compared by the function.)
        WeightsFileError: If another library's file cannot be read. (The function raises it where
            arrays do not fit.)
        ValueError: If there is no such file, or it is of another kind; or there is no such preset
            for the network of this spec.
        TypeError: If `weights` is not a path.
    """
    if isinstance(weights, str) and not weights.endswith(SUFFIXES + FOREIGN_SUFFIXES):
        from keras_resnets.weights.presets import find_preset, load_preset

        return spec, functools.partial(load_preset, preset=find_preset(weights, spec))
    path = check_weights_path(weights)
    from keras_resnets.weights.keras_layers import is_of_another_library

    if path.name.endswith(SUFFIXES) and not is_of_another_library(path):
        return spec, functools.partial(_load_file_of_keras, path=path)
    from keras_resnets.weights.foreign_file import ForeignFile

    file = ForeignFile(path, name)
    return file.follow(spec), file.load


def _load_file_of_keras(model, path):
    from keras_resnets.weights.convert import warn_user

    notes = load_weights_file(model, path, adapts=True)
    for note in notes.values():
        warn_user(f"{model.name}: {note}.")
    # Of images of another number of channels it says nothing.
    if path.name.endswith(".keras") and STEM not in notes:
        from keras_resnets.preprocessing.file_preprocessing import take_over_preprocessing

        take_over_preprocessing(model, path)
