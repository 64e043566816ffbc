"""How fast the exported files answer."""

import functools
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_resnets.arguments import check_positive_int
from keras_resnets.export.export_model import export_model
from keras_resnets.export.formats import FORMATS

# From a batch of images, (batch, height, width, channels), to what runs the model on it.
Runner = Callable[[np.ndarray], Callable[[], Any]]
# Some runtimes' threads spin for a while when there is no more to do, and would slow the next.
PAUSE_SECONDS = 0.02


def has_torchvision_peer(name):
    """Whether torchvision has a network of this name, and all that it takes to run it is here."""
    try:
        import onnxruntime  # noqa: F401
        import torchvision
    except (ImportError, RuntimeError):  # the latter where torchvision was built for another torch
        return False
    return name in torchvision.models.list_models(module=torchvision.models)


def torchvision_runner(name, size, folder):
    """Exports torchvision's network to ONNX as torchvision's users do."""
    import onnxruntime
    import torch
    import torchvision

    path = str(folder / "torchvision.onnx")
    model = torchvision.models.get_model(name, weights=None).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, size, size),),
            path,
            input_names=["inputs"],
            output_names=["outputs"],
            dynamic_axes={"inputs": {0: "batch"}, "outputs": {0: "batch"}},
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def bind(batch):
        inputs = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        return lambda: session.run(["outputs"], {"inputs": inputs})

    return bind


class Timing(NamedTuple):
    """How long one way of running a model took for a batch.

    Attributes:
        name: A format, `"keras"` for `model.predict_on_batch`, or a peer's name.
        batch: Number of images at once.
        median: Seconds for the batch, the median over the rounds.
        least: Seconds of the fastest round: what a quiet machine would show.
    """

    name: str
    batch: int
    median: float
    least: float


def time_formats(model, formats, batches=(1, 16), rounds=20, peers=None):
    """Exports a model and times each format, Keras itself and its peers, in turns.

    Each has its turn once a round, so that whatever else the machine does hits all alike. A turn is
    a short pause, a run that is not timed, and one that is. All run on the CPU with their default
    threads (LiteRT: one for each core). `"litert_int8"` takes its ranges from random inputs.

    Args:
        model: A model whose input size is known.
        formats: Names as `export_model` takes them; there may be none.
        batches: How many images at once.
        rounds: How often each is timed.
        peers: What else to time: a dictionary from names to functions that take a batch of images,
            `(batch, height, width, channels)`, and return a function without arguments.

    Returns:
        A `Timing` for each way and batch.

    Raises:
        ValueError: If an argument is not allowed.
        ModuleNotFoundError: If a format needs a package that is not installed.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> timings = keras_resnets.export.time_formats(model, ("saved_model",), (1,), rounds=2)
    >>> [timing.name for timing in timings]
    ['keras', 'saved_model']
    """
    rounds = check_positive_int("rounds", rounds)
    batches = [check_positive_int("batches", batch) for batch in batches]
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if len(shapes) != 1 or None in shapes[0]:
        raise ValueError(
            "`model` must have one input, of images of a known size. "
            f"Received: {model.name!r} with inputs of the shapes {shapes}"
        )
    rng = np.random.default_rng(0)
    images = rng.standard_normal((max(*batches, 32), *shapes[0])).astype("float32")
    runners: dict[str, Runner] = {"keras": _runner(model.predict_on_batch)}
    with tempfile.TemporaryDirectory() as folder:
        if formats:
            report = export_model(model, folder, formats, signatures=("tensor",), images=images)
            for file in report.files:
                runners[file.format] = _runner(FORMATS[file.format].open(file.path)["tensor"])
        runners |= peers or {}
        return [each for batch in batches for each in _in_turns(runners, images[:batch], rounds)]


def _runner(function):
    return lambda batch: functools.partial(function, batch)


def _in_turns(runners, batch, rounds):
    bound = {name: bind(batch) for name, bind in runners.items()}
    seconds = {name: [] for name in bound}
    for _ in range(rounds):
        for name, run in bound.items():
            time.sleep(PAUSE_SECONDS)
            run()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return [Timing(name, len(batch), statistics.median(x), min(x)) for name, x in seconds.items()]
