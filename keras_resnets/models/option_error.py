"""Weights of equal shapes that another network computes with."""

import reprlib

from keras_resnets.architecture.spec import OPTIONS
from keras_resnets.files.errors import WeightsFileError


class OptionError(WeightsFileError):
    """A file's network has an option otherwise than the model, be it that every array would fit.

    Args:
        model: Name of the model.
        path: Path of the file.
        option: The option that differs.
        in_file: Its value in the file.
        in_model: Its value in the model.
        opener: The function that opens the file with its own options.

    Attributes:
        contradiction: What differs, in short, for whoever gives other advice.
    """

    def __init__(self, model, path, option, in_file, in_model, opener):
        present, wanted = reprlib.repr(in_file), reprlib.repr(in_model)
        self.contradiction = f"the file's network has {option}={present}, not {option}={wanted}"
        is_plain = option == "shortcut" and in_model is None  # whose factories have no shortcuts
        is_argument = option in OPTIONS and not is_plain
        advice = f"pass {option}={present}, or " if is_argument else ""
        super().__init__(
            f"`weights` must be of a network with the options of {model!r}, and the file's has "
            f"{option}={present}: {advice}open the file with `{opener}`. "
            f"Received: weights={str(path)!r}, {option}={wanted}"
        )
