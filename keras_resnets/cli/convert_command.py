"""Converts a checkpoint to a file of Keras, or a model to a file for torch.

The ending of DEST says which: .keras for a whole model, .weights.h5 for its weights alone, and
.safetensors for torch: under torchvision's names, which are timm's too, or another family's.
"""

import dataclasses
import os
from pathlib import Path

from keras_resnets.cli.open_model import HELP, open_model
from keras_resnets.preprocessing import model_preprocessing, set_preprocessing
from keras_resnets.weights import to_torch_state_dict

SUFFIXES = (".weights.h5", ".keras", ".safetensors")


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument("source", metavar="SOURCE", help=HELP)
    parser.add_argument("dest", metavar="DEST", type=Path, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace DEST if it exists")
    parser.add_argument("--weights", help="for a network's name: a file, or a preset's name")
    parser.add_argument("--classes", type=int, help="a new classifier of so many classes")
    parser.add_argument(
        "--stride-on",
        choices=("3x3", "1x1"),
        help="which of a bottleneck's convolutions has the stride; no checkpoint tells",
    )
    parser.add_argument("--resize", type=int, help="what the model is to note: the shorter side")
    parser.add_argument("--crop", type=int, help="likewise: the central crop")
    parser.add_argument(
        "--interpolation", choices=("nearest", "bilinear", "bicubic"), help="likewise"
    )
    parser.add_argument(
        "--family",
        choices=("torchvision", "hugging_face", "akamaster"),
        help="for .safetensors: whose names; torchvision's by default",
    )


def run(arguments):
    """Writes the file, and says what it holds."""
    dest = arguments.dest
    _check_dest(dest, arguments.overwrite, arguments.family)
    model = open_model(
        arguments.source,
        arguments.weights,
        classes=arguments.classes,
        stride_on=arguments.stride_on,
    )
    _note_preprocessing(model, arguments)
    if dest.name.endswith(".safetensors"):
        to_torch_state_dict(model, dest, arguments.family or "torchvision")
    else:
        _save(model, dest)
    shape = "×".join("any" if size is None else str(size) for size in model.input_shape[1:])
    print(f"Wrote {dest}: {model.name}, from images {shape} to {model.output_shape[-1]} numbers.")


def _check_dest(dest, overwrite, family):
    if not dest.name.endswith(SUFFIXES):
        raise ValueError(f"DEST must end in {', '.join(SUFFIXES)}. Received: {str(dest)!r}")
    if dest.exists() and not overwrite:
        raise ValueError(f"DEST must not exist, without --overwrite. Received: {str(dest)!r}")
    if not dest.parent.is_dir():
        raise ValueError(f"DEST must lie in an existing folder. Received: {str(dest)!r}")
    if family is not None and not dest.name.endswith(".safetensors"):
        raise ValueError(f"`--family` belongs to .safetensors. Received: --family {family}")


def _note_preprocessing(model, arguments):
    given = {
        name: value
        for name in ("resize", "crop", "interpolation")
        if (value := getattr(arguments, name)) is not None
    }
    if not given:
        return
    present = model_preprocessing(model)
    if present is None:
        raise ValueError(
            "`--resize`, `--crop` and `--interpolation` change a preprocessing that the source "
            f"has, and it has none. Received: {given}"
        )
    set_preprocessing(model, dataclasses.replace(present, **given))


def _save(model, dest):
    """Writes a file of Keras that appears at its path only when it is whole."""
    suffix = next(suffix for suffix in SUFFIXES if dest.name.endswith(suffix))
    unfinished = dest.with_name(f".{dest.name}.{os.getpid()}{suffix}")
    try:
        if suffix == ".keras":
            model.save(unfinished)
        else:
            model.save_weights(unfinished)
        os.replace(unfinished, dest)
    finally:
        unfinished.unlink(missing_ok=True)
