"""What an export has written, and how near it is to the model."""

from pathlib import Path
from typing import NamedTuple


class ExportedFile(NamedTuple):
    """One format of an export.

    Attributes:
        format: Its name, such as `"onnx"`.
        path: The file; of a SavedModel the folder.
        size: Bytes in all.
        difference: The largest difference from the model's own outputs, over all that was compared,
            where outputs beyond 1 count relative to the largest.
        agreement: Share of the images in [0, 1] for which it names the same class as the model;
            `None` where the difference says all.

    Example:

    >>> file = keras_resnets.export.ExportedFile("onnx", "m/1/model.onnx", 1000, 2e-7, None)
    >>> file.format
    'onnx'
    """

    format: str
    path: Path
    size: int
    difference: float
    agreement: float | None


class ExportReport(NamedTuple):
    """What `export_model` has written.

    Attributes:
        path: The folder of this version.
        files: An `ExportedFile` for each format, in the order asked for.

    Example:

    >>> keras_resnets.export.ExportReport("models/flowers/1", ()).path
    'models/flowers/1'
    """

    path: Path
    files: tuple[ExportedFile, ...]


class ExportError(Exception):
    """Formats of an export could not be written, or do not answer as the model does.

    Args:
        message: What went wrong.
        report: The `ExportReport` of the other formats, which are kept; `None` if there are none.

    Example:

    >>> keras_resnets.export.ExportError("'onnx' was not exported").report is None
    True
    """

    def __init__(self, message, report=None):
        super().__init__(message)
        self.report = report
