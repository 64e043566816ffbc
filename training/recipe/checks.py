"""Which values a recipe may have, and which contradict each other."""

import dataclasses
import json
import re
from typing import Any

import keras_resnets
from keras_resnets import ResNetSpec
from keras_resnets.architecture.spec import VARIANTS
from keras_resnets.arguments import nearest
from training.recipe.duration import parse_duration
from training.recipe.fields import (
    lasts,
    require,
    require_duration,
    require_effect,
    require_effects,
    require_ranges,
    settle_types,
)

# The fields of a group that have an effect for one value of another field.
_SCHEDULE_FIELDS = {
    "constant": ("warmup", "warmup_from", "warmup_until_accuracy"),
    "step": ("warmup", "warmup_from", "warmup_until_accuracy", "boundaries", "factor"),
    "plateau": ("warmup", "warmup_from", "factor", "patience"),
    "cosine": ("warmup", "warmup_from", "final"),
    "onecycle": ("warmup", "warmup_from", "final"),
    "polynomial": ("warmup", "warmup_from", "power", "final"),
}
_CROP_FIELDS = {
    "none": (),
    "pad": ("padding",),
    "resized": ("area",),
    "scale": ("scale_sides",),
}
_POLICY_FIELDS = {
    "none": (),
    "randaugment": ("magnitude", "magnitude_std", "operations", "policy_probability"),
    "trivialaugment": (),
}


def check_model(model: Any) -> None:
    """Raises if there is no such network, or it has no such option."""
    settle_types(model, "model.")
    require_ranges(model, "model.", {"classifier_std": "[0, inf)"})
    _check_block(model)
    if model.spec:
        _check_spec(model)
        return
    known = keras_resnets.list_models()
    if model.name not in known:
        raise ValueError(
            f"`model.name` must be one of {', '.join(known)}.{nearest(model.name, known)} "
            f"Received: model.name={model.name!r}"
        )
    spec = VARIANTS[model.name]
    options = {
        "stride_on": model.stride_on,
        "zero_init_residual": model.zero_init_residual,
        "drop_path_rate": model.drop_path_rate,
    }
    if model.shortcut != "default":
        require(
            spec.shortcut is not None,
            "`model.shortcut` has no effect beside a plain network, which has none",
            model__shortcut=model.shortcut,
            model__name=model.name,
        )
        options["shortcut"] = model.shortcut
    try:
        dataclasses.replace(spec, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The network {model.name!r} cannot be varied so. {error}") from error
    if model.weights:
        beside = f"model.weights={model.weights!r}"
        require_effect(model, "model.", ("zero_init_residual",), beside)


def _check_spec(model):
    """Raises if `spec` is not one, or another field says what it says."""
    try:
        keras_resnets.ResNetSpec.from_json(model.spec)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`model.spec` must be the JSON text of a ResNetSpec. {error}. "
            f"Received: model.spec={model.spec!r}"
        ) from error
    require(
        bool(re.fullmatch(r"[A-Za-z0-9_.-]+", model.name)),
        "`model.name` must be of letters, digits, `_`, `.` and `-`",
        model__name=model.name,
    )
    names = ("shortcut", "stride_on", "zero_init_residual", "drop_path_rate")
    require_effect(model, "model.", names, "model.spec, which has such fields itself")


def _check_block(model):
    """Raises if the options of the blocks are not JSON, or there are no such blocks."""
    if not model.block:
        require_effect(model, "model.", ("block_options",), "model.block=''")
        return
    try:
        options = json.loads(model.block_options)
    except ValueError as error:
        raise ValueError(
            f"`model.block_options` must be JSON: {error}. "
            f"Received: model.block_options={model.block_options!r}"
        ) from error
    require(
        isinstance(options, dict),
        "`model.block_options` must be a JSON object",
        model__block_options=model.block_options,
    )
    own = {name: value for name, value in options.items() if name not in ("first", "last")}
    for position in ("first", "last"):
        block = getattr(keras_resnets.layers, model.block)
        try:
            block(16, **own, **options.get(position, {}))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`model.block_options` must be arguments of {model.block}. {error}. "
                f"Received: model.block_options={model.block_options!r}"
            ) from error


def check_data(data: Any) -> None:
    """Raises if a source, a size or a normalization is not allowed."""
    settle_types(data, "data.")
    for name in ("source", "train_split", "test_split"):
        value = getattr(data, name)
        require(bool(value), f"`data.{name}` must be given", **{f"data__{name}": value})
    require(
        data.source != "folder:",
        "`data.source` must have a path after 'folder:'",
        data__source=data.source,
    )
    require_ranges(data, "data.", {"image_size": "[1, inf)"})
    require(
        len(data.mean) == len(data.std) and len(data.mean) in (1, 3),
        "`data.mean` and `data.std` must each have a value for each of 1 or 3 channels",
        data__mean=data.mean,
        data__std=data.std,
    )
    require(all(std > 0 for std in data.std), "`data.std` must be positive", data__std=data.std)
    if data.per_pixel_mean:
        require_effect(data, "data.", ("mean",), "data.per_pixel_mean=True")
    if data.source in ("digits", "synthetic"):
        require_effect(data, "data.", ("on_bad_image",), f"data.source={data.source!r}")


def check_augmentation(augmentation: Any) -> None:
    """Raises if a strength or probability is out of its range, or has no effect."""
    settle_types(augmentation, "augmentation.")
    for chosen, fields in (("crop", _CROP_FIELDS), ("policy", _POLICY_FIELDS)):
        require_effects(augmentation, "augmentation.", chosen, fields)
    least, greatest = augmentation.area
    require(
        0 < least <= greatest <= 1,
        "`augmentation.area` must be two parts in (0, 1], the least first",
        augmentation__area=augmentation.area,
    )
    least, greatest = augmentation.scale_sides
    require(
        1 <= least <= greatest,
        "`augmentation.scale_sides` must be two positive lengths, the least first",
        augmentation__scale_sides=augmentation.scale_sides,
    )
    require_ranges(
        augmentation,
        "augmentation.",
        {
            "padding": "[1, inf)",
            "color_jitter": "[0, 1)",
            "pca_noise": "[0, inf)",
            "magnitude": "[0, 10]",
            "magnitude_std": "[0, inf)",
            "operations": "[1, inf)",
            "policy_probability": "(0, 1]",
            "random_erasing": "[0, 1]",
            "mixup": "[0, inf)",
            "cutmix": "[0, inf)",
            "repeats": "[1, inf)",
        },
    )


def check_optimizer(optimizer: Any) -> None:
    """Raises if a coefficient is out of its range, or the method has none such."""
    settle_types(optimizer, "optimizer.")
    require_ranges(
        optimizer,
        "optimizer.",
        {
            "learning_rate": "(0, inf)",
            "reference_batch": "[0, inf)",
            "momentum": "[0, 1)",
            "weight_decay": "[0, inf)",
            "clip_norm": "[0, inf)",
            "accumulate": "[1, inf)",
        },
    )
    if optimizer.name == "sgd":
        if not optimizer.momentum:
            require_effect(optimizer, "optimizer.", ("nesterov",), "optimizer.momentum=0.0")
        if not optimizer.weight_decay:
            beside = "optimizer.weight_decay=0.0"
            require_effect(optimizer, "optimizer.", ("decay", "decay_norm_and_bias"), beside)
        return
    beside = f"optimizer.name={optimizer.name!r}"
    require_effect(optimizer, "optimizer.", ("momentum", "nesterov"), beside)
    require(
        optimizer.decay == "decoupled",
        f"`optimizer.decay` must be 'decoupled' for {optimizer.name!r}",
        optimizer__decay=optimizer.decay,
        optimizer__name=optimizer.name,
    )
    if optimizer.name == "adamw" and not optimizer.weight_decay:
        beside = "optimizer.weight_decay=0.0"
        require_effect(optimizer, "optimizer.", ("decay_norm_and_bias",), beside)


def check_schedule(schedule: Any) -> None:
    """Raises if a part of the schedule is not allowed, or this kind of schedule has it not."""
    settle_types(schedule, "schedule.")
    require_effects(schedule, "schedule.", "name", _SCHEDULE_FIELDS)
    require_ranges(
        schedule,
        "schedule.",
        {
            "warmup_from": "[0, 1]",
            "warmup_until_accuracy": "[0, 1)",
            "factor": "(0, 1)",
            "patience": "[1, inf)",
            "power": "(0, inf)",
            "final": "[0, 1]",
        },
    )
    require_duration("schedule.warmup", schedule.warmup, positive=False)
    for boundary in schedule.boundaries:
        require_duration("schedule.boundaries", boundary)
    require(
        bool(schedule.boundaries) == (schedule.name == "step"),
        "`schedule.boundaries` must be given for schedule.name='step'",
        schedule__boundaries=schedule.boundaries,
    )
    if schedule.warmup_until_accuracy:
        beside = f"schedule.warmup_until_accuracy={schedule.warmup_until_accuracy!r}"
        require(
            not lasts(schedule.warmup),
            f"`schedule.warmup` must last for nothing beside {beside}",
            schedule__warmup=schedule.warmup,
        )
        require(
            schedule.warmup_from > 0,
            f"`schedule.warmup_from` must be positive beside {beside}: without a step nothing "
            "becomes more accurate",
            schedule__warmup_from=schedule.warmup_from,
        )
    elif not lasts(schedule.warmup):
        beside = f"schedule.warmup={schedule.warmup!r}"
        require_effect(schedule, "schedule.", ("warmup_from",), beside)
        require(
            schedule.name != "onecycle",
            "`schedule.warmup` must last for schedule.name='onecycle', whose rise it is",
            schedule__warmup=schedule.warmup,
        )


def check_loss(loss: Any) -> None:
    """Raises if the targets cannot be made so."""
    settle_types(loss, "loss.")
    require_ranges(loss, "loss.", {"label_smoothing": "[0, 1)", "target_threshold": "[0, 1)"})
    if loss.name != "bce":
        require_effect(loss, "loss.", ("target_threshold",), f"loss.name={loss.name!r}")
    if loss.target_threshold:
        beside = f"loss.target_threshold={loss.target_threshold!r}"
        require_effect(loss, "loss.", ("label_smoothing",), beside)


def check_evaluation(evaluation: Any) -> None:
    """Raises if the test images cannot be taken so."""
    settle_types(evaluation, "evaluation.")
    require_duration("evaluation.every", evaluation.every)
    require_ranges(
        evaluation,
        "evaluation.",
        {"batch": "[1, inf)", "image_size": "[0, inf)", "crop_ratio": "(0, 1]"},
    )
    if evaluation.crop_ratio == 1:
        require_effect(evaluation, "evaluation.", ("ten_crop",), "evaluation.crop_ratio=1.0")


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
