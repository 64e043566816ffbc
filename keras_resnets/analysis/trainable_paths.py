"""By which name a trainable weight of a model is reported."""

from collections import Counter

import keras


def trainable_paths(model):
    """Returns the path of each trainable weight, such as `"stage1_block1/conv1/conv/kernel"`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or has two weights of one path, as two networks of the zoo
            within one model have.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    if not model.built:
        raise ValueError(
            "`model` must be built: call it on images first, or let it begin with a keras.Input. "
            f"Received: model={model.name!r}"
        )
    paths = [weight.path for weight in model.trainable_weights]
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise ValueError(
            "The weights of `model` must have paths of their own: of a model that holds several "
            "networks, pass one of them. "
            f"Received: {model.name!r} with {len(twice)} paths more than once, such as {twice[0]!r}"
        )
    return paths
