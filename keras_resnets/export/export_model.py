"""A model as files that serve without this package."""

import contextlib
import json
import os
import signal
import tempfile
import threading
from pathlib import Path

import keras

from keras_resnets.analysis import count_parameters
from keras_resnets.architecture.editing import fuse_batch_norm
from keras_resnets.arguments import check_bool, check_positive_int
from keras_resnets.export.formats import FORMATS, check_packages
from keras_resnets.export.parity import (
    ExportedFile,
    ExportError,
    ExportReport,
    Parity,
    ParityError,
    Samples,
)
from keras_resnets.export.served_model import SIGNATURES, ServedModel, check_resizing, has_blocks

# Converters say what is wrong at the beginning or, behind pages of paths, at the end.
LONGEST_REASON = 500
DESCRIPTIONS = {
    "serving_default": (
        "`image_bytes`: JPEG or PNG files, `string (batch,)`",
        "`scores`, `top_scores`, `top_classes`, `top_names`",
    ),
    "image": (
        "`images`: {colours}, `uint8 (batch, height, width, channels)`, of any size",
        "`scores`, `top_scores`, `top_classes`, `top_names`",
    ),
    "tensor": ("`inputs`: prepared as below, `float32`", "`outputs`: what the model puts out"),
    "features": ("`inputs`: prepared as below, `float32`", "`stage1`, …: feature maps"),
}


def write_model_card(served, files, folder):
    """Writes `README.md`, and `labels.txt` and `preprocessing.json` where they are known."""
    import tensorflow as tf

    model = served.model
    has_saved_model = any(file.format == "saved_model" for file in files)
    colours = {1: "grey", 3: "RGB"}.get(served.channels, f"{served.channels} channels")
    lines = [
        f"# {model.name}\n",
        f"Inputs {model.input_shape}, outputs {model.output_shape}, "
        f"{count_parameters(model).total:,} parameters.",
        f"Written with TensorFlow {tf.__version__} and Keras {keras.__version__}.\n",
        "## Signatures\n\n| signature | takes | gives |\n|-|-|-|",
    ]
    for name in served.signatures if has_saved_model else ("tensor",):
        takes, gives = DESCRIPTIONS[name]
        lines.append(f"| `{name}` | {takes.format(colours=colours)} | {gives} |")
    lines.append("\nOnly the SavedModel has other signatures than `tensor`.")
    if has_saved_model and not has_blocks(model):
        lines.append("There is no `features`: the blocks are not layers of the model itself.")
    lines += [
        "\n## Files\n",
        "Each was loaded again and compared with the model, at batches of 1, 2, 3, 7 and 32.\n",
        "| format | file | bytes | largest difference | same class |\n|-|-|-|-|-|",
    ]
    for file in files:
        agreement = "" if file.agreement is None else f"{file.agreement:.1%}"
        name = "saved_model.pb" if file.format == "saved_model" else file.path.name
        lines.append(
            f"| {file.format} | {name} | {file.size:,} | {file.difference:.1e} | {agreement} |"
        )
    lines.append("\n## Preprocessing\n")
    if served.preprocessing is None:
        lines.append("The model notes none.\n")
    else:
        text = json.dumps(served.preprocessing.to_dict(), indent=2)
        (folder / "preprocessing.json").write_text(f"{text}\n", encoding="utf-8")
        lines.append(f"```json\n{text}\n```\n")
    if served.class_names is not None:
        names = "".join(f"{name}\n" for name in served.class_names)
        (folder / "labels.txt").write_text(names, encoding="utf-8")
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def choose_version(path, version):
    """Returns the folder of a version: of the given one, or of the one after the last."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"`path` must be a folder. Received: path={str(path)!r}")
    names = [child.name for child in path.iterdir()] if path.exists() else []
    numbers = [int(name) for name in names if name.isdecimal()]
    if version is None:
        return path / str(max(numbers, default=0) + 1)
    if check_positive_int("version", version) in numbers:
        raise FileExistsError(
            f"`version` must be a new one. Received: version={version}, path={str(path)!r}"
        )
    return path / str(version)


def take_version(unfinished, path, version):
    """Renames a finished folder to that of its version, the next one if another export took it."""
    while True:
        folder = choose_version(path, version)
        try:
            return unfinished.rename(folder)
        except OSError:
            if not folder.exists():
                raise


@contextlib.contextmanager
def written_aside(base: Path):
    """Yields a folder within `base` for `take_version` to rename; deletes it otherwise.

    A server that watches `base` for new versions therefore never sees half of one.
    """
    is_new = not base.exists()
    base.mkdir(parents=True, exist_ok=True)
    try:
        # Within the watched folder, which may be a file system of its own: none can be renamed
        # into another. Servers take no name for a version that is not a number.
        with (
            _terminated_by_an_exception(),
            tempfile.TemporaryDirectory(prefix=".unfinished-", dir=base) as temporary,
        ):
            unfinished = Path(temporary) / "whole"
            unfinished.mkdir()
            yield unfinished
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # not empty: somebody else's by now
                base.rmdir()
        raise


@contextlib.contextmanager
def _terminated_by_an_exception():
    """Has SIGTERM raise `SystemExit`, where it would end the process at once."""
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number, frame):
        signal.signal(number, signal.SIG_IGN)  # a second one would interrupt the tidying up
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def export_model(
    model,
    path,
    formats=("saved_model",),
    signatures=None,
    class_names=None,
    top=5,
    images=None,
    version=None,
    fuse=True,
    scores=None,
):
    """Writes a model as files that serve without this package, and checks each of them.

    Every file is loaded again and compared with the model at batches of 1, 2, 3, 7 and 32. A format
    that cannot be written is left out, and so is one that differs by more than 1e-5 (relative to
    the largest output, where that exceeds 1; 1e-2 for models that compute in float16, 8e-2 in
    bfloat16). The other formats are kept, and the error names those that failed.

    An export is one numbered folder, `<path>/1`, which appears whole, with `labels.txt`,
    `preprocessing.json` and a `README.md`. The next export is `<path>/2`. `docs/serving.md` says
    which format to choose, and how to call it.

    Args:
        model: A model of the zoo, or one built upon it, with one input and one output.
        path: A folder; it need not exist.
        formats: Any of `"saved_model"`, `"onnx"`, `"litert"`, `"litert_int8"` (8 bits, with ranges
            taken from `images`) and `"openvino"`. A model that computes in 16 or 64 bits only has
            `"saved_model"`.
        signatures: Ways to call the SavedModel. `"serving_default"` takes JPEG and PNG files and
            `"image"` a batch of `uint8` images of any size; both return scores and the names of the
            best classes. `"tensor"` takes the model's inputs and returns its outputs, `"features"`
            the feature maps of the stages. `None` takes all that the model has. The other formats
            only have `"tensor"`.
        class_names: Name of each class, as `classify` takes them; `None` for those that the model
            carries (see `set_class_names`), or else ImageNet's 1000.
        top: How many classes the SavedModel names, at most.
        images: Images to compare on: paths of JPEG or PNG files, `uint8` arrays, or one float array
            of the model's inputs. `None` draws random discs; better pass images of the model's
            kind. `"litert_int8"` needs a few hundred of them.
        version: Number of the folder; `None` for the one after the last.
        fuse: Whether to fold the normalizations into the convolutions first (`fuse_batch_norm`).
        scores: How the SavedModel turns logits into probabilities: `"softmax"`, `"sigmoid"`, or
            `None` for softmax, and sigmoid for a single unit. `"probabilities"` leaves outputs that
            already are.

    Returns:
        An `ExportReport`: the folder, and each format's file, size and difference.

    Raises:
        keras_resnets.export.ExportError: If a format cannot be written. Its `report` has the other
            formats, or is `None`.
        keras_resnets.export.ParityError: Likewise, if a file's outputs differ from the model's.
        ValueError, TypeError: If an argument is not as described, the model does not have what a
            signature or a format needs, or the backend is not TensorFlow.
        FileExistsError: If the version exists.
        ModuleNotFoundError: If a format needs a package that is not installed.

    Example:

    >>> import tempfile
    >>> model = keras_resnets.ResNet20(input_shape=(16, 16, 3))
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(16, 16))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = keras_resnets.export_model(
    ...         model, folder, signatures=("image",), class_names=list("abcdefghij")
    ...     )
    ...     report.path.name, sorted(path.name for path in report.path.glob("*.*"))
    ('1', ['README.md', 'fingerprint.pb', 'labels.txt', 'preprocessing.json', 'saved_model.pb'])
    >>> report.files[0].difference < 1e-5
    True
    """
    _check_model(model)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be the path of a folder. Received: path={path!r}")
    formats = _choices("formats", formats, FORMATS)
    if signatures is not None:
        signatures = _choices("signatures", signatures, SIGNATURES)
    top = check_positive_int("top", top)
    check_bool("fuse", fuse)
    if "litert_int8" in formats and images is None:
        raise ValueError(
            "The format 'litert_int8' needs `images` to take the ranges of the activations from. "
            f"Received: formats={formats!r}, images=None"
        )
    check_resizing(model, formats)
    check_packages(formats)
    choose_version(Path(path), version)  # raises before any work, not after it
    if "saved_model" not in formats:
        if signatures not in (None, ("tensor",)):
            raise ValueError(
                "`signatures` belongs to the format 'saved_model'; the others have 'tensor' alone. "
                f"Received: signatures={signatures!r}, formats={formats!r}"
            )
        signatures = ("tensor",)
    if signatures is None:
        signatures = SIGNATURES if has_blocks(model) else SIGNATURES[:-1]

    original = ServedModel(model, class_names, top, signatures, scores)
    if original.precision != "float32" and formats != ("saved_model",):
        raise ValueError(
            "A model that computes in 16 or 64 bits has the format 'saved_model' alone; for "
            "others, build it under the dtype policy 'float32' and load its weights. "
            f"Received: formats={formats!r}, a model in {original.precision}"
        )
    samples = Samples(original, images)
    parity = Parity(original, samples)
    for signature in signatures:
        parity.answers(signature)  # an error about the model is none about each format
    served = original
    if fuse:
        served = ServedModel(_fused(model), class_names, top, signatures, scores)
    files, failures = [], []
    with written_aside(Path(path)) as unfinished:
        for name in formats:
            try:
                files.append(_export(name, served, unfinished, samples, parity))
            except ExportError as error:
                failures.append(error)
        if not files:
            raise _failure(failures)
        write_model_card(served, files, unfinished)
        folder = take_version(unfinished, Path(path), version)
    placed = tuple(file._replace(path=folder / file.path) for file in files)
    report = ExportReport(folder, placed)
    if failures:
        raise _failure(failures, report)
    return report


def _export(name, served, unfinished, samples, parity):
    """Writes and tries a format beside the others, which get the file when it is found good."""
    folder = unfinished.parent / name
    folder.mkdir()
    kind = FORMATS[name]
    agreement = None
    try:
        if kind.is_calibrated:
            path = kind.write(served, folder, samples.tensors)
            difference, agreement = parity.agreement(kind.open(path)["tensor"])
        else:
            path = kind.write(served, folder)
            difference = parity.check(name, kind.open(path))
    except ExportError:
        raise
    except Exception as error:  # what converters and runtimes raise has no common base
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        if len(reason) > LONGEST_REASON:
            half = LONGEST_REASON // 2
            reason = f"{reason[:half]} […] {reason[-half:]}"
        raise ExportError(f"{name!r} cannot be written or run: {reason}") from error
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    for each in folder.iterdir():
        each.rename(unfinished / each.name)
    return ExportedFile(name, path.relative_to(folder), size, difference, agreement)


def _failure(errors, report=None):
    """Returns one error about all formats that failed."""
    kind = ParityError if all(isinstance(error, ParityError) for error in errors) else ExportError
    kept = ""
    if report is not None:
        names = ", ".join(repr(file.format) for file in report.files)
        kept = f". Kept in {str(report.path)!r}: {names}"
    failure = kind("; ".join(map(str, errors)) + kept, report)
    failure.__cause__ = errors[0].__cause__
    return failure


def _fused(model):
    try:
        return fuse_batch_norm(model)
    except (ValueError, TypeError) as error:  # Keras's, of a layer that cannot be made again
        rule = "`fuse=True` must be possible; with `fuse=False` the model is exported as it is."
        raise ValueError(f"{rule} {error}") from error


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    # A subclass of `keras.Model` has no such attributes, or `None`.
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "`model` must be functional, with one input and one output. "
            f"Received: {model.name!r} with {len(inputs)} and {len(outputs)}"
        )
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Exporting needs TensorFlow: save the model as a .keras file, and export it with "
            "KERAS_BACKEND=tensorflow. "
            f"Received: keras.backend.backend()={keras.backend.backend()!r}"
        )


def _choices(name, values, allowed):
    allowed = tuple(allowed)
    is_tuple = isinstance(values, (tuple, list)) and len(values) > 0
    if not is_tuple or any(value not in allowed or values.count(value) > 1 for value in values):
        raise ValueError(
            f"`{name}` must be a tuple of one or more of {', '.join(map(repr, allowed))}, each "
            f"once. Received: {name}={values!r}"
        )
    return tuple(values)
