"""Times a model in each format that it can be exported in, in turns.

Only the ratios within one table tell something: times depend on the machine, and on what else it
does. They are to the fastest way that answers as the model does, which 8 bits do not.

Beside a network that torchvision has too, torchvision's is timed in ONNX Runtime, if torch,
torchvision and onnx are installed.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from keras_resnets.cli.open_model import HELP, open_model
from keras_resnets.cli.tables import format_table
from keras_resnets.models import create_model, list_models

PEER = "torchvision"
TITLES = {
    "keras": "Keras, predict_on_batch",
    "saved_model": "SavedModel, TensorFlow",
    "onnx": "ONNX Runtime",
    "litert": "LiteRT",
    "litert_int8": "LiteRT, 8 bits",
    "openvino": "OpenVINO",
    PEER: "torchvision's, ONNX Runtime",
}
PACKAGES = (
    "tensorflow",
    "tensorflow-cpu",
    "onnxruntime",
    "openvino",
    "ai-edge-litert",
    "torch",
    "torchvision",
)


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help=HELP)
    parser.add_argument(
        "--formats",
        nargs="+",
        metavar="FORMAT",
        help="some of saved_model, onnx, litert, litert_int8, openvino (default: all that are "
        "installed)",
    )
    parser.add_argument(
        "--batches",
        nargs="+",
        type=int,
        default=[1, 16],
        metavar="N",
        help="how many images at once (default: 1 16)",
    )
    parser.add_argument(
        "--rounds", type=int, default=10, help="how often each has its turn (default: 10)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file, too")


def run(arguments):
    """Prints a table for each model, and what it was measured on."""
    export = importlib.import_module("keras_resnets.export")  # only this command needs it
    formats = arguments.formats
    if formats is None:
        formats = [name for name, kind in _formats().items() if _is_installed(kind.packages)]
    if arguments.json and not Path(arguments.json).parent.is_dir():
        raise ValueError(
            f"`--json` must name a file in an existing folder. Received: {arguments.json!r}"
        )
    models = [_open(source) for source in arguments.models]
    results: list = []
    for source, model in zip(arguments.models, models, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            try:
                timings = export.time_formats(
                    model,
                    tuple(formats),
                    tuple(arguments.batches),
                    arguments.rounds,
                    _peers(source.lower(), model, Path(folder)),
                )
            except export.ExportError as error:
                raise ValueError(str(error)) from error
        if not results:  # only now it is sure that nothing was wrong with the arguments
            print(_machine())
        print(f"\n{source}, {'×'.join(map(str, model.inputs[0].shape[1:]))}\n")
        print(format_table(_rows(timings), "<" + ">>>" * len(set(arguments.batches))), flush=True)
        results += [{"model": source, **timing._asdict()} for timing in timings]
    if arguments.json:
        text = json.dumps({"measured_on": _machine(), "timings": results}, indent=1)
        Path(arguments.json).write_text(text + "\n", encoding="utf-8")
        print(f"\nWrote {arguments.json}")


def _open(source):
    if source.lower() in list_models():
        # The logits of a network that has learned nothing are so large that rounding decides on
        # its probabilities. Logits can be compared, and torchvision's networks give them, too.
        return create_model(source, classifier_activation=None)
    return open_model(source)


def _formats():
    return importlib.import_module("keras_resnets.export.formats").FORMATS


def _is_installed(packages):
    return all(importlib.util.find_spec(package) is not None for package in packages)


def _peers(name, model, folder):
    peer = importlib.import_module("keras_resnets.export.speed")
    if not name.startswith("resnet") or not peer.has_torchvision_peer(name):
        return {}
    return {PEER: peer.torchvision_runner(name, model.input_shape[1], folder)}


def _rows(timings):
    """One row a way: milliseconds, the best round's, and the ratio to the fastest exact way's."""
    batches = list(dict.fromkeys(timing.batch for timing in timings))
    inexact = [name for name, kind in _formats().items() if kind.is_calibrated]
    exact = [timing for timing in timings if timing.name not in inexact]
    fastest = {
        batch: min(timing.median for timing in exact if timing.batch == batch) for batch in batches
    }
    header = ["way"]
    for batch in batches:
        header += [f"batch {batch}: ms", "least", "to fastest"]
    ways = {timing.name: [TITLES[timing.name]] for timing in timings}
    for timing in timings:
        ways[timing.name] += [
            f"{1000 * timing.median:.1f}",
            f"{1000 * timing.least:.1f}",
            f"{timing.median / fastest[timing.batch]:.2f}",
        ]
    return [tuple(header), *map(tuple, ways.values())]


def _machine():
    versions = [
        f"{package} {importlib.metadata.version(package)}"
        for package in PACKAGES
        if _is_distributed(package)
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}, {cores} cores"
    return f"{system}; Python {sys.version.split()[0]}, {', '.join(versions)}"


def _is_distributed(package):
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
