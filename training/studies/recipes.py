"""The recipes that the studies vary: one for each budget."""

import dataclasses
from typing import Any

from keras_resnets import ResNetSpec
from training.recipe.files import load_recipe
from training.recipe.recipe import Model, Recipe
from training.studies.study import Budget

CIFAR_WIDTHS = (16, 32, 64)


def cifar_spec(depth: int, **options: Any) -> ResNetSpec:
    """Returns the spec of a CIFAR network of depth 6n + 2 with option A, varied by `options`."""
    fields = {
        "block": "basic",
        "repeats": ((depth - 2) // 6,) * 3,
        "widths": CIFAR_WIDTHS,
        "stem": "cifar",
        "shortcut": "A",
    }
    return ResNetSpec(**{**fields, **options})


def study_recipe(budget: Budget, spec: ResNetSpec, **changes: Any) -> Recipe:
    """Returns the recipe of a budget for a network.

    Quick: `digits`, over 12 epochs. Full: `cifar10_fast` over 5 epochs instead of 15, with the
    learning rate rising during the first.
    """
    recipe = load_recipe({"quick": "digits", "full": "cifar10_fast"}[budget])
    length, every = {"quick": ("12 epochs", "3 epochs"), "full": ("5 epochs", "1 epochs")}[budget]
    fields = {
        "model": Model(name=_name(spec), spec=spec.to_json()),
        "length": length,
        "evaluation": dataclasses.replace(recipe.evaluation, every=every),
        "checkpoint_every": every,
        "schedule": dataclasses.replace(recipe.schedule, warmup="1 epochs"),
    }
    return dataclasses.replace(recipe, **{**fields, **changes})


def _name(spec):
    kind = "plain" if spec.shortcut is None else "resnet"
    return f"{kind}{spec.depth}"
