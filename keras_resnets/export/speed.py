"""How long each format takes for a batch, measured in turns."""

import statistics
import tempfile
import time
from typing import NamedTuple

import numpy as np

from keras_resnets.arguments import check_positive_int
from keras_resnets.export.export_model import export_model
from keras_resnets.export.formats import FORMATS


class Timing(NamedTuple):
    """How long one way of running a model took for a batch.

    Attributes:
        name: A format, or `"keras"` for `model.predict_on_batch`.
        batch: Number of images at once.
        median: Seconds for the batch, the median over the rounds.
        least: Seconds of the fastest round: what a quiet machine would show.
    """

    name: str
    batch: int
    median: float
    least: float


def time_formats(model, formats, batches=(1, 16), rounds=20):
    """Exports a model and times each format, and Keras itself, in turns.

    In each round every format has its turn once, so whatever else the machine does hits all alike.
    All run on the CPU with the threads that they take by default (LiteRT: one for each core). For
    `"litert_int8"` the ranges are taken from random inputs: that is enough for its speed.

    Args:
        model: A model whose input size is known.
        formats: Names as `export_model` takes them.
        batches: How many images at once.
        rounds: How often each is timed, after one run that is not.

    Returns:
        A `Timing` for each format and batch.

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
    shape = model.input_shape[1:]
    if None in shape:
        raise ValueError(
            f"`model` must take images of a known size. Received: {model.name!r} with {shape}"
        )
    rng = np.random.default_rng(0)
    images = rng.standard_normal((max([*batches, 32]), *shape)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        report = export_model(model, folder, formats, signatures=("tensor",), images=images)
        runners = {"keras": model.predict_on_batch}
        for file in report.files:
            runners[file.format] = FORMATS[file.format].open(file.path)["tensor"]
        return [
            timing for batch in batches for timing in _in_turns(runners, images[:batch], rounds)
        ]


def _in_turns(runners, batch, rounds):
    seconds = {name: [] for name in runners}
    for run in runners.values():
        run(batch)
    for _ in range(rounds):
        for name, run in runners.items():
            start = time.perf_counter()
            run(batch)
            seconds[name].append(time.perf_counter() - start)
    return [
        Timing(name, len(batch), statistics.median(times), min(times))
        for name, times in seconds.items()
    ]
