"""The command `keras-resnets`."""

from keras_resnets.cli.main import main

__all__ = ["main"]
