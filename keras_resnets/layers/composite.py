"""What the layers have in common: their configuration, and layers that are made of layers."""

import inspect
import re

import keras

from keras_resnets.arguments import serialize_activation
from keras_resnets.layers.graph import sublayers


def automatic_stem(layer):
    """Returns what Keras names a layer of this class, before the number: `"conv2d"`."""
    name = re.sub(r"\W+", "", type(layer).__name__)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_automatic(name, stem):
    """Whether a name is the stem, or the stem and a number."""
    return re.fullmatch(rf"{re.escape(stem)}(_\d+)?", name) is not None


SERIALIZERS = {
    "activation": serialize_activation,
    "gamma_initializer": keras.initializers.serialize,
}


def argument_names(kind):
    """Returns the names of the arguments of a class of layers, but for those of Keras's `Layer`."""
    names = {}
    for base in kind.__mro__[: kind.__mro__.index(keras.layers.Layer)]:
        if "__init__" in vars(base):
            _, *parameters = inspect.signature(base.__init__).parameters.values()
            kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            names |= {each.name: None for each in parameters if each.kind not in kinds}
    return tuple(names)


class ConfiguredLayer(keras.layers.Layer):
    """A layer whose configuration holds its arguments, each kept under its own name."""

    def get_config(self):
        config = super().get_config()
        for name in argument_names(type(self)):
            if hasattr(self, name):  # a subclass of one's own may keep it elsewhere
                value = getattr(self, name)
                config[name] = SERIALIZERS[name](value) if name in SERIALIZERS else value
        return config


class CompositeLayer(ConfiguredLayer):
    """A layer made of layers, whose configuration says which of them are frozen.

    Keras saves one `trainable` for the outermost layer, and loses which of its sublayers are
    frozen. A subclass calls `freeze_sublayers` at the end of its `build`.
    """

    def __init__(self, *, frozen=(), **kwargs):
        super().__init__(**kwargs)
        if not isinstance(frozen, (tuple, list)) or not all(isinstance(n, str) for n in frozen):
            raise TypeError(
                f"`frozen` must be a tuple of names of sublayers. Received: frozen={frozen!r}"
            )
        self._frozen = tuple(frozen)

    def freeze_sublayers(self):
        """Freezes what was frozen when the layer's configuration was taken."""
        layers = dict(_sublayers(self))
        for name in self._frozen if self.trainable else layers:
            if name not in layers:
                raise ValueError(
                    f"`frozen` must name sublayers: {', '.join(layers)}. Received: frozen={name!r}"
                )
            layers[name].trainable = False

    def get_config(self):
        if not self.built:
            frozen = list(self._frozen)
        elif not self.trainable:
            frozen = []  # `trainable` itself says it
        else:
            frozen = [name for name, x in _sublayers(self) if x.weights and not x.trainable]
        return {**super().get_config(), "frozen": frozen}


def within(layer, name):
    """Returns the options of a sublayer: its name, and the layer's data format and type."""
    return {"data_format": layer.data_format, "dtype": layer.dtype_policy, "name": name}


def _sublayers(layer, prefix=""):
    """Yields (name, layer) for all layers within a layer, each before those within it."""
    for sublayer in sublayers(layer):
        name = prefix + sublayer.name
        yield name, sublayer
        yield from _sublayers(sublayer, f"{name}/")
