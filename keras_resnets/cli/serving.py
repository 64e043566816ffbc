"""The commands that run models: on images, as exported files, and against the clock."""

import contextlib
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from keras_resnets import export
from keras_resnets.cli.open_model import open_model, read_class_names
from keras_resnets.cli.tables import bar, format_table
from keras_resnets.export.formats import FORMATS
from keras_resnets.export.speed import has_torchvision_peer, torchvision_runner
from keras_resnets.models import create_model, list_models
from keras_resnets.preprocessing import classify, model_class_names, model_preprocessing
from keras_resnets.preprocessing.model import image_size, required_preprocessing, scales_itself
from keras_resnets.preprocessing.predictions import number_of_classes

# With names of the usual length, a line then fits into 80 columns.
BAR_WIDTH = 30
NAME_WIDTH = 36
USUAL_SIZE = 224
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
    *("tensorflow", "tensorflow-cpu", "onnxruntime", "openvino", "ai-edge-litert"),
    *("torch", "torchvision"),
)


def predict_command(arguments):
    """Classifies images: the best classes of each, as bars or as JSON."""
    model = open_model(arguments.model, arguments.weights)
    classes = number_of_classes(model)
    _check_preprocessing(model, arguments)
    names = read_class_names(arguments.class_names, model)
    has_names = names or model_class_names(model) or classes == 1000
    if not has_names:  # a single unit has two: it gives the probability of class 1
        names = [f"class {number}" for number in range(max(2, classes))]
    answers = classify(model, arguments.images, top=arguments.top, class_names=names)
    images = list(zip(arguments.images, answers, strict=True))
    if not has_names:
        print("note: the model carries no class names; --class-names gives them", file=sys.stderr)
    if arguments.json:
        found = [
            {"image": image, "predictions": [each._asdict() for each in predictions]}
            for image, predictions in images
        ]
        print(json.dumps(found, indent=2))
        return
    for number, (image, predictions) in enumerate(images):
        print(f"\n{image}" if number else image)
        print(format_table([_prediction_row(each) for each in predictions], "<<><"))


def _check_preprocessing(model, arguments):
    if model_preprocessing(model) is not None:
        return
    if scales_itself(model):  # but not from grey levels: there is no preprocessing to be noted
        required_preprocessing(model)
    weights = f" --weights {arguments.weights}" if arguments.weights else ""
    if str(arguments.weights).endswith(".keras"):  # whose model may scale its images itself
        raise ValueError(
            "The weights alone do not say how the images are prepared: give the whole model, "
            f"`--model {arguments.weights}`. Received: --model {arguments.model}{weights}"
        )
    resize = max(image_size(model) or (USUAL_SIZE,))
    raise ValueError(
        "The model must note how its images are prepared. If by ImageNet's mean and deviation, "
        f"`keras-resnets convert {arguments.model} noted.keras{weights} --resize {resize}` writes "
        f"one that does. Received: --model {arguments.model}{weights}"
    )


def _prediction_row(prediction):
    name = prediction.name
    if len(name) > NAME_WIDTH:
        name = f"{name[: NAME_WIDTH - 1]}…"
    return "", name, f"{prediction.score:.2%}", bar(prediction.score, BAR_WIDTH)


def export_command(arguments):
    """Exports a model to be served: as a SavedModel, and in other formats."""
    model = open_model(arguments.model, arguments.weights)
    names = read_class_names(arguments.class_names, model)
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
        rows = [("format", "file", "MB", "difference", "same class")]
        rows += map(_file_row, report.files)
        columns = 5 if any(row[-1] for row in rows[1:]) else 4
        print(format_table([row[:columns] for row in rows], "<<>>>"[:columns]))
    return failure


def _file_row(file):
    agreement = "" if file.agreement is None else f"{file.agreement:.1%}"
    megabytes, difference = f"{file.size / 1e6:.1f}", f"{file.difference:.1e}"
    return file.format, file.path.name, megabytes, difference, agreement


def benchmark_command(arguments):
    """Times a model in each format that it can be exported in, in turns."""
    formats = arguments.formats
    if formats is None:
        formats = [name for name, kind in FORMATS.items() if all(map(find_spec, kind.packages))]
    if arguments.json and not Path(arguments.json).parent.is_dir():
        raise ValueError(
            f"`--json` must name a file in an existing folder. Received: {arguments.json!r}"
        )
    models = [_open(source) for source in arguments.models]
    results: list = []
    for source, model in zip(arguments.models, models, strict=True):
        name, peers = source.lower(), {}
        with tempfile.TemporaryDirectory() as folder:
            if name.startswith("resnet") and has_torchvision_peer(name):
                peers = {PEER: torchvision_runner(name, model.input_shape[1], Path(folder))}
            try:
                timings = export.time_formats(
                    model, tuple(formats), tuple(arguments.batches), arguments.rounds, peers
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


def _rows(timings):
    """One row a way: milliseconds, the best round's, and the ratio to the fastest exact way's."""
    batches = list(dict.fromkeys(timing.batch for timing in timings))
    inexact = [name for name, kind in FORMATS.items() if kind.is_calibrated]
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
    versions = []
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}, {cores} cores"
    return f"{system}; Python {sys.version.split()[0]}, {', '.join(versions)}"
