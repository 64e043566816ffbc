"""The formats that a model can be exported in."""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

from keras_resnets.export.litert_file import open_litert, write_litert, write_litert_int8
from keras_resnets.export.onnx_file import open_onnx, write_onnx
from keras_resnets.export.openvino_file import open_openvino, write_openvino
from keras_resnets.export.saved_model import open_saved_model, write_saved_model


class Format(NamedTuple):
    """A format.

    Attributes:
        write: From a `ServedModel` and a folder to the path of what was written; with
            `is_calibrated`, from a batch of the model's inputs as well.
        open: From that path to a function for each signature, which takes a batch and returns a
            dictionary of arrays.
        packages: What it needs beside TensorFlow.
        extra: The extra of this package that installs them.
        is_calibrated: Whether it is written for a sample of images, and only near to the model.
    """

    write: Callable[..., Any]
    open: Callable[[Any], dict[str, Callable[..., Any]]]
    packages: tuple[str, ...] = ()
    extra: str | None = None
    is_calibrated: bool = False


FORMATS = {
    "saved_model": Format(write_saved_model, open_saved_model),
    "onnx": Format(write_onnx, open_onnx, ("tf2onnx", "onnxruntime"), "onnx"),
    "litert": Format(write_litert, open_litert, ("ai_edge_litert",), "litert"),
    "litert_int8": Format(
        write_litert_int8, open_litert, ("ai_edge_litert",), "litert", is_calibrated=True
    ),
    "openvino": Format(write_openvino, open_openvino, ("openvino",), "openvino"),
}


def check_packages(names):
    """Raises if a package is missing that one of the formats needs."""
    for name in names:
        for package in FORMATS[name].packages:
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(
                    f"The format {name!r} needs the package {package!r}: "
                    f"`pip install 'keras-resnets[{FORMATS[name].extra}]'`.",
                    name=package,
                )
