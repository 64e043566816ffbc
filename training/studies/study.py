"""What a study is: a question, the networks that answer it, and what is read off them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from training.recipe.recipe import Recipe

Budget = Literal["quick", "full"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A question, and the experiment that answers it.

    Attributes:
        name: As it is called on the command line; that of its page.
        title: The question, in a line.
        background: What the papers say of it, in a paragraph of Markdown.
        contenders: From a budget to the recipes that are compared, by label, with seed 0. Each is
            run with several seeds; contenders of several studies that are the same recipe are run
            once.
        measure: From a finished run's network and the study's images to JSON values. The network
            goes from pixels of 0 to 255 to probabilities. `None` if the run's own metrics do.
        compute: From a budget and the study's images to JSON values that need none of the runs.
            `None` if there are none.
        report: From an outcome to what the page shows. It reads the outcome alone, so that pages
            can be made again without the runs.
        seeds: How many seeds each budget has at least.
    """

    name: str
    title: str
    background: str
    contenders: Callable[[Budget], dict[str, Recipe]]
    report: Callable[["Outcome"], "Report"]
    measure: Callable[[Any, "Images"], dict[str, Any]] | None = None
    compute: Callable[[Budget, "Images"], dict[str, Any]] | None = None
    seeds: Mapping[Budget, int] = dataclasses.field(default_factory=lambda: {"quick": 3, "full": 3})


@dataclasses.dataclass(frozen=True)
class Images:
    """What networks are measured on.

    Attributes:
        train: The first examples of the training split: pixels, float32
            `(examples, height, width, channels)`, and int64 labels `(examples,)`.
        test: The test split, likewise.
    """

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a contender.

    Attributes:
        label: The contender.
        seed: The run's seed.
        metrics: The lines of its `metrics.jsonl`.
        result: Its `result.json`.
        measured: What the study measured on it in the end.
    """

    label: str
    seed: int
    metrics: list[dict[str, Any]]
    result: dict[str, Any]
    measured: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a study has found, as JSON holds it.

    Attributes:
        study: The study's name.
        budget: `"quick"` or `"full"`.
        recipes: The contenders' recipes as TOML, by label.
        trials: The runs, contender by contender and seed by seed.
        computed: What needed none of the runs.
        environment: Versions, threads and devices.
    """

    study: str
    budget: Budget
    recipes: dict[str, str]
    trials: list[Trial]
    computed: dict[str, Any]
    environment: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """The contenders that have run, in order."""
        return list(dict.fromkeys(trial.label for trial in self.trials))

    @property
    def seeds(self) -> list[int]:
        """The seeds that every contender has run with."""
        of_label = [{trial.seed for trial in self.of(label)} for label in self.labels]
        return sorted(set.intersection(*of_label)) if of_label else []

    def of(self, label: str) -> list[Trial]:
        """Returns a contender's trials."""
        return [trial for trial in self.trials if trial.label == label]

    def values(self, label: str, read: Callable[[Trial], float]) -> list[float]:
        """Returns a number of each of a contender's trials."""
        return [read(trial) for trial in self.of(label)]

    def every_seed(self, one: str, other: str, read: Callable[[Trial], float]) -> tuple[int, int]:
        """Counts the seeds for which a number is greater for one contender than for another."""
        values = [{t.seed: read(t) for t in self.of(label)} for label in (one, other)]
        shared = sorted(set(values[0]) & set(values[1]))
        return sum(values[0][seed] > values[1][seed] for seed in shared), len(shared)


@dataclasses.dataclass(frozen=True)
class Report:
    """What a page shows of an outcome.

    Attributes:
        answer: What the data support, in one or two sentences.
        limits: What they do not show.
        tables: Header and rows of each table, by caption.
        figures: Matplotlib figures by file name (without ending), each with its caption. The
            first stands beside the answer in the index.
        details: What else the data show, in a paragraph; empty if nothing.
    """

    answer: str
    limits: str
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]]]]
    figures: Mapping[str, tuple[Any, str]]
    details: str = ""


def spread(values: Sequence[float], digits: int = 2, percent: bool = False) -> str:
    """Returns mean and standard deviation over the seeds, as a table shows them.

    Example:

    >>> spread([0.25, 0.35], percent=True, digits=1)
    '30.0 ± 7.1'
    """
    factor = 100.0 if percent else 1.0
    scaled = [factor * value for value in values]
    mean = f"{np.mean(scaled):.{digits}f}"
    return f"{mean} ± {np.std(scaled, ddof=1):.{digits}f}" if len(scaled) > 1 else mean
