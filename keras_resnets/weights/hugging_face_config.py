"""What no array tells of a Hugging Face network: the `config.json` beside its weights."""

import dataclasses
import json
import reprlib
from pathlib import Path
from typing import Literal

from keras_resnets.weights.recognition import Checkpoint

NAME = "config.json"
MOST_BYTES = 2**20  # names for 1000 classes take 60 kB
# What every network here has. With another `hidden_act`, transformers gives it to the stem and the
# additions alone, and leaves ReLU within the blocks.
FIXED = {"downsample_in_first_stage": False, "hidden_act": "relu"}


def follow_config(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """Returns a checkpoint with the stride that the `config.json` in its folder names.

    The file is read as JSON, and of it only the options that change what a network of the same
    arrays computes. Where there is none, or one of another library, the checkpoint stays as it is.

    Args:
        checkpoint: Arrays of the family `hugging_face`.
        folder: Where its file lies.

    Raises:
        ValueError: If the file cannot be read, or names an option that we have not.
    """
    config = _read(folder / NAME)
    if config.get("model_type") != "resnet":
        return checkpoint
    for option, value in FIXED.items():
        if config.get(option, value) != value:
            raise ValueError(
                f"`source` must have {option}={value!r} in its {NAME}: there is no other network "
                f"here. Received: {option}={reprlib.repr(config[option])}"
            )
    if checkpoint.spec.block != "bottleneck":
        return checkpoint
    in_bottleneck = config.get("downsample_in_bottleneck", False)
    stride_on: Literal["3x3", "1x1"] = "1x1" if in_bottleneck else "3x3"
    # A model that is given must have it, too: the family narrows to what this network is.
    return dataclasses.replace(
        checkpoint,
        family=dataclasses.replace(checkpoint.family, strides_on=(stride_on,)),
        spec=dataclasses.replace(checkpoint.spec, stride_on=stride_on),
    )


def _read(path):
    """Returns the object that a file of JSON holds, or an empty one where there is no file."""
    if not path.is_file():
        return {}
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        config = json.loads(text)
        if not isinstance(config, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"The {NAME} beside `source` tells what no array does, and must be JSON ({error}). "
            f"Received: {str(path)!r}"
        ) from error
    return config
