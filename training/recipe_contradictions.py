"""What the groups of a recipe must keep to beside each other."""

from typing import Any

from keras_resnets import ResNetSpec
from keras_resnets.architecture.spec import VARIANTS
from training.duration import parse_duration
from training.recipe_fields import (
    lasts,
    require,
    require_duration,
    require_effect,
    require_ranges,
    settle_types,
)


def check_recipe(recipe: Any) -> None:
    """Raises if the groups contradict each other."""
    settle_types(recipe, "")
    require_ranges(recipe, "", {"batch": "[1, inf)", "seed": "[0, 2147483647]", "ema": "[0, 1)"})
    for name in ("length", "checkpoint_every"):
        require_duration(name, getattr(recipe, name))
    require_duration("head_only", recipe.head_only, positive=False)
    optimizer, augmentation = recipe.optimizer, recipe.augmentation
    require(
        recipe.batch % optimizer.accumulate == 0,
        "`batch` must divide by `optimizer.accumulate`",
        batch=recipe.batch,
        optimizer__accumulate=optimizer.accumulate,
    )
    mixes = bool(augmentation.mixup or augmentation.cutmix)
    require(
        not mixes or recipe.batch // optimizer.accumulate > 1,
        "Mixing images needs at least 2 of them at a time",
        batch=recipe.batch,
        optimizer__accumulate=optimizer.accumulate,
        augmentation__mixup=augmentation.mixup,
        augmentation__cutmix=augmentation.cutmix,
    )
    if not mixes:
        beside = "augmentation.mixup=0.0 and augmentation.cutmix=0.0"
        require_effect(recipe.loss, "loss.", ("target_threshold",), beside)
    if augmentation.crop == "scale":
        require(
            augmentation.scale_sides[0] >= recipe.data.image_size,
            "`augmentation.scale_sides` must not be below `data.image_size`, which is cut out",
            augmentation__scale_sides=augmentation.scale_sides,
            data__image_size=recipe.data.image_size,
        )
    if len(recipe.data.mean) == 1:
        beside = f"data.mean={recipe.data.mean!r}, which is that of grey images"
        require_effect(augmentation, "augmentation.", ("pca_noise",), beside)
    require(
        recipe.data.source != "digits" or len(recipe.data.mean) == 1,
        "`data.mean` and `data.std` must have one value for the digits, which are grey",
        data__mean=recipe.data.mean,
        data__std=recipe.data.std,
    )
    _check_sizes(recipe)
    _check_durations(recipe)


def _check_sizes(recipe):
    """Raises if the network would halve an image more often than it can be halved."""
    chosen = recipe.model
    spec = ResNetSpec.from_json(chosen.spec) if chosen.spec else VARIANTS[chosen.name]
    sizes = {"data.image_size": recipe.data.image_size}
    if recipe.evaluation.image_size:
        sizes["evaluation.image_size"] = recipe.evaluation.image_size
    for name, size in sizes.items():
        require(
            size >= spec.natural_stride,
            f"`{name}` must be at least {spec.natural_stride}, the stride of this network",
            **{name.replace(".", "__"): size, "model__name": chosen.name},
        )


def _check_durations(recipe):
    """Raises if a part is as long as the whole, as far as that can be said without the data."""
    if lasts(recipe.head_only):
        require(
            bool(recipe.model.weights),
            "`head_only` needs `model.weights`: a classifier alone learns nothing from a "
            "backbone that knows nothing",
            head_only=recipe.head_only,
            model__weights=recipe.model.weights,
        )
    schedule = recipe.schedule
    parts = [("head_only", recipe.head_only), ("schedule.warmup", schedule.warmup)]
    parts += [("schedule.boundaries", boundary) for boundary in schedule.boundaries]
    for name, part in parts:
        require(
            _is_shorter(part, recipe.length, recipe.batch),
            f"`{name}` must be over before the run",
            **{name.replace(".", "__"): part, "length": recipe.length},
        )
    for one, next_one in zip(schedule.boundaries, schedule.boundaries[1:], strict=False):
        require(
            _is_shorter(one, next_one, recipe.batch),
            "`schedule.boundaries` must grow",
            schedule__boundaries=schedule.boundaries,
        )


def _is_shorter(one, other, batch):
    """Returns whether a duration is shorter than another, or cannot be compared with it."""
    numbers, kinds = [], set()
    for number, unit in map(parse_duration, (one, other)):
        numbers.append(number * batch if unit == "steps" else number)
        kinds.add(unit == "epochs")
    return len(kinds) == 2 or numbers[0] < numbers[1]
