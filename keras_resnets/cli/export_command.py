"""Exports a model to be served: as a SavedModel, and in other formats.

Each file is loaded again and compared with the model. What cannot be written, or answers otherwise,
is left out; the exit status is then 1.
"""

import importlib

from keras_resnets.cli.open_model import CLASS_NAMES_HELP, HELP, open_model, read_class_names
from keras_resnets.cli.tables import format_table
from keras_resnets.preprocessing.predictions import number_of_classes


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("path", metavar="PATH", help="the folder, in which the version is one")
    parser.add_argument("--weights", help="for a network's name: a file, or a preset's name")
    parser.add_argument(
        "--formats",
        nargs="+",
        default=["saved_model"],
        metavar="FORMAT",
        help="some of saved_model, onnx, litert, litert_int8, openvino (default: saved_model)",
    )
    parser.add_argument("--class-names", metavar="NAMES", help=CLASS_NAMES_HELP)
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="IMAGE",
        help="image files to compare on (default: images of random discs, which a trained model "
        "knows as little as noise); litert_int8 needs them, to take its ranges from",
    )


def run(arguments):
    """Writes the exported model, and says how far each file is from the original."""
    export = importlib.import_module("keras_resnets.export")  # only this command needs it
    model = open_model(arguments.model, arguments.weights)
    names = arguments.class_names
    if names is not None:
        names = read_class_names(names, number_of_classes(model))
    failure = None
    try:
        report = export.export_model(
            model,
            arguments.path,
            formats=tuple(arguments.formats),
            class_names=names,
            images=arguments.images,
        )
    except export.ExportError as error:
        failure, report = error, error.report
    if report is not None:
        print(f"Wrote {report.path}\n")
        header = ("format", "file", "MB", "difference", "same class")
        print(format_table([header, *map(_row, report.files)], "<<>>>"))
    return failure


def _row(file):
    agreement = "" if file.agreement is None else f"{file.agreement:.1%}"
    return (
        file.format,
        file.path.name,
        f"{file.size / 1e6:.1f}",
        f"{file.difference:.1e}",
        agreement,
    )
