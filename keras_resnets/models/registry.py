"""Models by name."""

import fnmatch

from keras_resnets.arguments import nearest
from keras_resnets.models import cifar, plain, resnet

_FACTORIES = {
    factory.__name__.lower(): factory
    for factory in (
        resnet.ResNet18,
        resnet.ResNet34,
        resnet.ResNet50,
        resnet.ResNet101,
        resnet.ResNet152,
        plain.PlainNet18,
        plain.PlainNet34,
        plain.PlainNet50,
        cifar.ResNet20,
        cifar.ResNet32,
        cifar.ResNet44,
        cifar.ResNet56,
        cifar.ResNet110,
        cifar.ResNet1202,
        plain.PlainNet20,
        plain.PlainNet32,
        plain.PlainNet44,
        plain.PlainNet56,
        plain.PlainNet110,
    )
}


def list_models(pattern="*"):
    """Returns the names of the models that match a shell pattern.

    Args:
        pattern: A pattern with `*`, `?` and `[…]`; case does not matter.

    Returns:
        A list of names for `create_model`: ImageNet's, then CIFAR's, each from shallow to deep.

    Example:

    >>> keras_resnets.list_models("plain*18")
    ['plainnet18']
    """
    if not isinstance(pattern, str):
        raise TypeError(f"`pattern` must be a string. Received: pattern={pattern!r}")
    return fnmatch.filter(_FACTORIES, pattern.lower())


def create_model(name, /, **arguments):
    """Builds a model by the name of its factory, for instance from a configuration file.

    Args:
        name: A name that `list_models` gives; case does not matter.
        **arguments: The arguments of the factory.

    Returns:
        The `keras.Model` that the factory returns.

    Raises:
        ValueError: If there is no such model; the nearest names are given.
        TypeError: If `name` is not a string, or the factory has no such argument.

    Example:

    >>> keras_resnets.create_model("resnet20", classes=100).output.shape
    (None, 100)
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string. Received: name={name!r}")
    if name.lower() not in _FACTORIES:
        raise ValueError(
            f"`name` must be one of {', '.join(_FACTORIES)}.{nearest(name.lower(), _FACTORIES)} "
            f"Received: name={name!r}"
        )
    return _FACTORIES[name.lower()](**arguments)
