"""Exports a model to be served: as a SavedModel, and in other formats."""

import keras_resnets
from keras_resnets.cli.open_model import HELP, open_model

FORMATS = ("saved_model", "onnx", "litert", "openvino")


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("path", metavar="PATH", help="the folder to write")
    parser.add_argument("--weights", help="for a network's name: a file, or a preset's name")
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=["saved_model"],
        metavar="FORMAT",
        help=f"some of {', '.join(FORMATS)} (default: saved_model)",
    )


def run(arguments):
    """Writes the exported model, compared with the original, and says where."""
    export_model = getattr(keras_resnets, "export_model", None)
    if export_model is None:
        raise ValueError("This version of keras_resnets has no export_model. Received: export")
    model = open_model(arguments.model, arguments.weights)
    export_model(model, arguments.path, formats=tuple(arguments.formats))
    print(f"Wrote {arguments.path}: {', '.join(arguments.formats)}.")
