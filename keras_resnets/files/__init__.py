"""Reading arrays out of files that a stranger may have made: nothing in them is ever executed."""

from keras_resnets.files.elements import WeightsFileError
from keras_resnets.files.read_arrays import read_arrays

__all__ = ["WeightsFileError", "read_arrays"]
