"""Residual networks and their plain twins for Keras 3."""

from keras_resnets.command_start import imports_of_the_command, is_command, is_trainer

__version__ = "0.1.0"

if is_command() or is_trainer():
    # The commands answer `--help`, and what was mistyped, before they import a backend.
    import importlib

    def __getattr__(name):
        return getattr(importlib.import_module("keras_resnets.public"), name)

else:
    with imports_of_the_command():
        from keras_resnets.public import *  # noqa: F403
        from keras_resnets.public import __all__ as __all__
