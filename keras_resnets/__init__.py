"""Residual networks and their plain twins for Keras 3."""

from keras_resnets.command_start import imports_of_the_command, is_command, is_trainer

__version__ = "0.1.0"

from typing import TYPE_CHECKING

if TYPE_CHECKING or not (is_command() or is_trainer()):
    with imports_of_the_command():
        from keras_resnets.public import *  # noqa: F403

        if not TYPE_CHECKING:
            from keras_resnets.public import __all__ as __all__

            def __dir__():
                return [*__all__, "__version__"]
else:
    # The commands answer `--help`, and what was mistyped, before they import a backend.
    import importlib

    def __getattr__(name):
        return getattr(importlib.import_module("keras_resnets.public"), name)
