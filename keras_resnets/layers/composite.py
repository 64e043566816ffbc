"""Layers that are made of layers."""

import re

import keras


def automatic_stem(layer):
    """Returns what Keras names a layer of this class, before the number: `"conv2d"`."""
    name = re.sub(r"\W+", "", type(layer).__name__)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_automatic(name, stem):
    """Whether a name is the stem, or the stem and a number."""
    return re.fullmatch(rf"{re.escape(stem)}(_\d+)?", name) is not None


class CompositeLayer(keras.layers.Layer):
    """A layer made of layers, whose configuration says which of them are frozen.

    Keras keeps one `trainable` a configuration, that of the outermost layer; which of its sublayers
    are frozen would be lost in saving and cloning. A subclass calls `freeze_sublayers` at the end
    of its `build`.
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
        return {**super().get_config(), "frozen": self._frozen_now()}

    def _frozen_now(self):
        if not self.built:
            return list(self._frozen)
        if not self.trainable:
            return []  # `trainable` itself says it
        return [name for name, layer in _sublayers(self) if layer.weights and not layer.trainable]


def _sublayers(layer, prefix=""):
    """Yields (name, layer) for all layers within a layer, each before those within it."""
    for sublayer in layer._flatten_layers(include_self=False, recursive=False):
        name = prefix + sublayer.name
        yield name, sublayer
        yield from _sublayers(sublayer, f"{name}/")
