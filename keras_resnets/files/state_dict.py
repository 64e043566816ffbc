"""Which part of a saved object is the state dict: the weights, by name."""

from typing import Any

from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.torch_tensors import Tensor

# Where training scripts put the weights in a checkpoint, beside the epoch and the optimizer. If a
# file has several, the first of these is read: the trained weights before their moving average.
ENTRIES = ("state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema")
MOST_LEVELS = 4


def find_state_dict(saved: Any) -> dict[str, Tensor]:
    """Returns the tensors of a saved object by name.

    The state dict is the object itself, or what stands under the first of `ENTRIES` that is a
    dictionary with tensors, there or further down by the same rule. Its entries that are no
    tensors are left out, and so is all that stands beside it: epoch, accuracy, optimizer.

    Args:
        saved: What the pickle holds.

    Raises:
        WeightsFileError: If that is no dictionary, or there are no tensors in it, or one has no
            text for a name.
    """
    if type(saved) is not dict:
        raise WeightsFileError(
            f"The file must hold a dictionary of tensors, not a {type(saved).__name__}."
        )
    state_dict = _innermost(saved, MOST_LEVELS)
    if state_dict is None:
        keys = ", ".join(shown(str(key)) for key in list(saved)[:5]) or "nothing"
        raise WeightsFileError(
            "The file must hold a dictionary of tensors, bare or under one of "
            f"{', '.join(ENTRIES)}; this one holds {keys}."
        )
    for name, value in state_dict.items():
        if type(value) is Tensor and type(name) is not str:
            raise WeightsFileError(f"A tensor must have a text for a name; one has {name}.")
    return {name: value for name, value in state_dict.items() if type(value) is Tensor}


def _innermost(entries, levels):
    """Returns the dictionary of tensors at or below `entries`, or `None` if there is none."""
    if levels:  # a dictionary may contain itself
        for key in ENTRIES:
            if type(entries.get(key)) is dict:
                found = _innermost(entries[key], levels - 1)
                if found is not None:
                    return found
    has_tensors = any(type(value) is Tensor for value in entries.values())
    return entries if has_tensors else None
