"""Models as files that serve without this package."""

from keras_resnets.export.export_model import export_model
from keras_resnets.export.parity import ExportedFile, ExportError, ExportReport, ParityError
from keras_resnets.export.speed import Timing, time_formats

__all__ = [
    "ExportError",
    "ExportReport",
    "ExportedFile",
    "ParityError",
    "Timing",
    "export_model",
    "time_formats",
]
