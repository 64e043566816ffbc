"""Converts a checkpoint to a file of Keras, or a model to a file for torch.

The ending of DEST says which: .keras for a whole model, .weights.h5 for its weights alone, and
.safetensors for torch: under torchvision's names, which are timm's too, or another family's.
"""

import dataclasses
import os
import sys
from pathlib import Path

from keras_resnets.architecture.spec import OPTIONS
from keras_resnets.cli.open_model import HELP, open_model
from keras_resnets.models import list_models, model_spec
from keras_resnets.preprocessing import Preprocessing, model_preprocessing, set_preprocessing
from keras_resnets.preprocessing.model import (
    image_size,
    required_preprocessing,
    scales_itself,
    stem_convolution,
)
from keras_resnets.weights import to_torch_state_dict
from keras_resnets.weights.keras_files import FOREIGN_SUFFIXES

SUFFIXES = (".weights.h5", ".keras", ".safetensors")
# What shows in no array's shape, and changes what a network computes of them.
SILENT_OPTIONS = [name for name, option in OPTIONS.items() if option.changes == "answers"]


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument("source", metavar="SOURCE", help=HELP)
    parser.add_argument(
        "dest",
        metavar="DEST",
        type=Path,
        nargs="?",
        help="the file to write (default: SOURCE's name with .keras, in the current folder)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DEST if it exists")
    parser.add_argument("--weights", help="for a network's name: a file, or a preset's name")
    parser.add_argument("--classes", type=int, help="a new classifier of so many classes")
    parser.add_argument(
        "--stride-on",
        choices=("3x3", "1x1"),
        help="which of a bottleneck's convolutions has the stride; no checkpoint tells",
    )
    parser.add_argument(
        "--resize",
        type=int,
        help="what the model is to note: the shorter side; ImageNet's mean and deviation where "
        "the source notes no preprocessing and does not scale its images itself",
    )
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
    dest = arguments.dest or _default_dest(arguments.source)
    _check_dest(dest, arguments.overwrite, arguments.family)
    model = open_model(
        arguments.source,
        arguments.weights,
        classes=arguments.classes,
        stride_on=arguments.stride_on,
    )
    notes = _note_preprocessing(model, arguments)
    if arguments.weights is None and arguments.source.lower() in list_models():
        notes.append("the weights are new ones, untrained; --weights takes a file or a preset")
    if dest.name.endswith(".safetensors"):
        to_torch_state_dict(model, dest, arguments.family or "torchvision")
    else:
        _save(model, dest)
    images, numbers = _sizes(model.inputs), _sizes(model.outputs)
    print(f"Wrote {dest}: {model.name}, from images {images} to {numbers} numbers.")
    if dest.name.endswith(".weights.h5"):
        notes += _options_lost(model)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _sizes(tensors):
    return " and ".join(
        "×".join("any" if size is None else str(size) for size in tensor.shape[1:])
        for tensor in tensors
    )


def _options_lost(model):
    """Returns a note of the options that a `.weights.h5` file does not hold, where they matter."""
    try:
        spec = model_spec(model)
    except ValueError:  # of other blocks, or a network within another model
        return []
    options = {
        field.name: getattr(spec, field.name)
        for field in dataclasses.fields(spec)
        if field.name in SILENT_OPTIONS and getattr(spec, field.name) != field.default
    }
    listed = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return [f"a .weights.h5 file does not say {listed}; a .keras file does"] if options else []


def _default_dest(source):
    """Returns the source's name with `.keras`, in the current folder."""
    name = Path(source).name
    suffix = next((end for end in (*FOREIGN_SUFFIXES, ".keras") if name.endswith(end)), "")
    # `resnet20.pth.tar` has two endings.
    name = name.removesuffix(suffix).removesuffix(".pth") or name
    return Path(f"{name}.keras")


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
    """Makes a model carry what the arguments say, and returns what is to be said of it."""
    given = {
        name: value
        for name in ("resize", "crop", "interpolation")
        if (value := getattr(arguments, name)) is not None
    }
    if not given:
        return []
    present = model_preprocessing(model)
    notes = []
    if present is None:
        present = _first_preprocessing(model, given)
        notes = ["the source notes no preprocessing: ImageNet's mean and deviation are noted"]
    set_preprocessing(model, dataclasses.replace(present, **given))
    return notes


def _first_preprocessing(model, given):
    """Returns ImageNet's for a model that notes none, at the size of its images."""
    if scales_itself(model):  # but not from grey levels
        required_preprocessing(model)
    if stem_convolution(model).conv.kernel.shape[2] != 3:
        raise ValueError(
            "`--resize`, `--crop` and `--interpolation` change a preprocessing that the source "
            f"has, or note ImageNet's for a network of three channels. Received: {given}"
        )
    size = image_size(model)
    is_square = size is not None and size[0] == size[1]
    crop = given.get("crop") or (size[0] if is_square else size)
    resize = given.get("resize") or (max(crop) if isinstance(crop, tuple) else crop)
    return Preprocessing.imagenet(resize, crop)


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
