"""Reading arrays out of files that a stranger may have made: nothing in them is ever executed."""

from keras_resnets.files.errors import WeightsFileError

__all__ = ["WeightsFileError"]
