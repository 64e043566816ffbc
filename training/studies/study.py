"""What a study is: a question, the networks that answer it, and what is read off them."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_resnets import VARIANTS, ResNetSpec
from keras_resnets.analysis import count_macs, count_parameters
from training.recipe.files import load_recipe
from training.recipe.recipe import Model, Recipe

Budget = Literal["quick", "full"]
BUDGETS: tuple[Budget, ...] = ("full", "quick")
CIFAR_WIDTHS = (16, 32, 64)
LENGTHS: dict[Budget, str] = {"quick": "12 epochs", "full": "5 epochs"}
# Of the studies of one depth: their contenders are many, and more seeds tell more than more epochs.
SHORT: dict[Budget, str] = {"quick": "12 epochs", "full": "3 epochs"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A question, and the experiment that answers it."""

    name: str  # on the command line, and of its page
    title: str  # the question
    background: str  # what the papers say about it: a paragraph of Markdown
    # From a budget to recipes by label, with seed 0. Studies share the runs of equal recipes.
    contenders: Callable[[Budget], dict[str, Recipe]]
    # From an outcome, and nothing else: pages are rendered without the runs.
    report: Callable[["Outcome"], "Report"]
    # From a finished network, which gives probabilities, and images prepared for it, to JSON.
    measure: Callable[[Any, "Images"], dict[str, Any]] | None = None
    # From a budget and images, as pixels of 0 to 255, to JSON that needs no runs.
    compute: Callable[[Budget, "Images"], dict[str, Any]] | None = None
    # Whether the report reads what the runs observed: two numbers a kernel at every evaluation.
    reads_observed: bool = False
    seeds: int = 3


@dataclasses.dataclass(frozen=True)
class Images:
    """What networks are measured on: float32 pixels and int64 labels of both splits' examples."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a contender: its label and seed, what the run wrote, and what was measured."""

    label: str
    seed: int
    metrics: list[dict[str, Any]]  # the lines of `metrics.jsonl`
    result: dict[str, Any]  # `result.json`
    measured: dict[str, Any]  # by the study, on the finished network


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The results of a study, as they are stored in JSON."""

    study: str
    budget: Budget
    recipes: dict[str, str]  # as TOML, by label
    trials: list[Trial]  # contender by contender and seed by seed
    computed: dict[str, Any]  # what needed no runs
    environment: dict[str, Any]  # versions, threads and devices

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

    def values(self, label: str, read: Callable[[Trial], Any]) -> list[Any]:
        """Returns what `read` gives for each of a contender's trials."""
        return [read(trial) for trial in self.of(label)]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a page shows of an outcome."""

    answer: str  # what the data support, in a few sentences
    limits: str  # what they do not show
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]]]]  # header, rows by caption
    figures: Mapping[str, tuple[Any, str]]  # Matplotlib's, with caption, by file name
    details: str = ""  # what else the data show, in a paragraph


def cost_of(model: keras.Model) -> dict[str, int]:
    """Returns a network's trainable parameters and multiply-adds."""
    return {"parameters": count_parameters(model).trainable, "macs": count_macs(model)}


def cifar_spec(depth: int, **options: Any) -> ResNetSpec:
    """Returns the spec of a CIFAR network of depth 6n + 2 with option A, varied by `options`."""
    repeats = {"repeats": ((depth - 2) // 6,) * 3}
    return dataclasses.replace(VARIANTS["resnet20"], **(repeats | options))


def study_recipe(
    budget: Budget,
    spec: ResNetSpec,
    name: str = "",
    block: Any = "",
    block_options: Mapping[str, Any] | None = None,
    lengths: Mapping[Budget, str] = LENGTHS,
) -> Recipe:
    """Returns the recipe of a budget for a network, where `block` replaces the spec's own blocks.

    Quick: `digits`. Full: `cifar10_fast`, shortened, with the learning rate rising during the first
    epoch.
    """
    recipe = load_recipe({"quick": "digits", "full": "cifar10_fast"}[budget])
    every = {"quick": "3 epochs", "full": "1 epochs"}[budget]
    return dataclasses.replace(
        recipe,
        model=Model(
            name=name or f"{'plain' if spec.shortcut is None else 'resnet'}{spec.depth}",
            spec=spec.to_json(),
            block=block,
            block_options=json.dumps(block_options or {}),
        ),
        length=lengths[budget],
        evaluation=dataclasses.replace(recipe.evaluation, every=every),
        checkpoint_every=every,
        schedule=dataclasses.replace(recipe.schedule, warmup="1 epochs"),
    )
