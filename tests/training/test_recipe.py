"""A recipe checks itself, and nothing in it is silently ignored."""

import dataclasses
import re

import pytest

from training.recipe.recipe import (
    Augmentation,
    Data,
    Evaluation,
    Loss,
    Model,
    Optimizer,
    Recipe,
    Schedule,
)

GREY = Data(source="digits", image_size=8, mean=(0.3,), std=(0.4,))


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().batch = 2


def test_whole_numbers_and_lists_become_what_is_annotated():
    recipe = Recipe(optimizer=Optimizer(learning_rate=1), data=Data(mean=[0, 0, 0]))
    assert repr(recipe.optimizer.learning_rate) == "1.0"
    assert repr(recipe.data.mean) == "(0.0, 0.0, 0.0)"


@pytest.mark.parametrize(
    ("group", "values", "rule"),
    [
        (Model, {"name": "resnet21"}, "must be one of resnet18"),
        (Model, {"name": "resnet21"}, "or 'resnet20' or"),
        (Model, {"shortcut": "D"}, "must be one of 'default', 'A', 'B', 'C'"),
        (Model, {"name": "plainnet20", "shortcut": "A"}, "`model.shortcut` has no effect"),
        (Model, {"stride_on": "1x1"}, "belongs to block='bottleneck'"),
        (Model, {"name": "plainnet20", "drop_path_rate": 0.1}, "needs a shortcut"),
        (Model, {"name": "plainnet20", "zero_init_residual": True}, "needs a shortcut"),
        (Model, {"drop_path_rate": 1.0}, "drop_path_rate"),
        (Model, {"classifier_std": -0.1}, "must be in [0, inf)"),
        (Model, {"weights": "a.h5", "zero_init_residual": True}, "no effect beside model.weights"),
        (Model, {"zero_init_residual": 1}, "must be true or false"),
        (Data, {"source": ""}, "must be given"),
        (Data, {"source": "folder:"}, "must have a path"),
        (Data, {"train_split": ""}, "must be given"),
        (Data, {"image_size": 0}, "must be in [1, inf)"),
        (Data, {"image_size": 32.0}, "must be a whole number"),
        (Data, {"image_size": True}, "must be a whole number"),
        (Data, {"mean": (0.5,)}, "for each of 1 or 3 channels"),
        (Data, {"mean": (0.5, 0.5), "std": (1.0, 1.0)}, "for each of 1 or 3 channels"),
        (Data, {"mean": 0.5}, "must be a list"),
        (Data, {"mean": ("a", "b", "c")}, "must be a number"),
        (Data, {"std": (1.0, 0.0, 1.0)}, "`data.std` must be in (0, inf)"),
        (Data, {"per_pixel_mean": True, "mean": (0.0, 0.0, 0.0)}, "no effect beside"),
        (Data, {"source": "synthetic", "on_bad_image": "skip"}, "no effect beside data.source"),
        (Augmentation, {"crop": "none", "padding": 2}, "no effect beside augmentation.crop='none'"),
        (Augmentation, {"area": (0.5, 1.0)}, "no effect beside augmentation.crop='pad'"),
        (Augmentation, {"scale_sides": (1, 2)}, "no effect beside augmentation.crop='pad'"),
        (Augmentation, {"padding": 0}, "must be in [1, inf)"),
        (Augmentation, {"crop": "resized", "area": (0.9, 0.5)}, "the least value first"),
        (Augmentation, {"crop": "resized", "area": (0.0, 0.5)}, "in (0, 1]"),
        (Augmentation, {"crop": "resized", "area": (0.5,)}, "must have 2 values"),
        (Augmentation, {"crop": "scale", "scale_sides": (480, 256)}, "the least value first"),
        (Augmentation, {"color_jitter": 1.0}, "must be in [0, 1)"),
        (Augmentation, {"pca_noise": -0.1}, "must be in [0, inf)"),
        (Augmentation, {"magnitude": 5.0}, "no effect beside augmentation.policy='none'"),
        (Augmentation, {"policy": "trivialaugment", "operations": 3}, "no effect beside"),
        (Augmentation, {"policy": "randaugment", "magnitude": 11.0}, "must be in [0, 10]"),
        (Augmentation, {"policy": "randaugment", "magnitude_std": -1.0}, "must be in [0, inf)"),
        (Augmentation, {"policy": "randaugment", "operations": 0}, "must be in [1, inf)"),
        (Augmentation, {"policy": "randaugment", "policy_probability": 0.0}, "in (0, 1]"),
        (Augmentation, {"random_erasing": 1.1}, "must be in [0, 1]"),
        (Augmentation, {"mixup": -0.2}, "must be in [0, inf)"),
        (Augmentation, {"cutmix": float("nan")}, "must be finite"),
        (Augmentation, {"repeats": 0}, "must be in [1, inf)"),
        (Optimizer, {"name": "sdg"}, "Did you mean 'sgd'"),
        (Optimizer, {"learning_rate": 0.0}, "must be in (0, inf)"),
        (Optimizer, {"learning_rate": "0.1"}, "must be a number"),
        (Optimizer, {"learning_rate": float("inf")}, "must be finite"),
        (Optimizer, {"reference_batch": -1}, "must be in [0, inf)"),
        (Optimizer, {"momentum": 1.0}, "must be in [0, 1)"),
        (Optimizer, {"momentum": 0.0, "nesterov": True}, "no effect beside optimizer.momentum=0.0"),
        (Optimizer, {"weight_decay": -1.0}, "must be in [0, inf)"),
        (Optimizer, {"weight_decay": 0.0, "decay": "decoupled"}, "no effect beside"),
        (Optimizer, {"weight_decay": 0.0, "decay_norm_and_bias": False}, "no effect beside"),
        (Optimizer, {"name": "adamw"}, "must be 'decoupled' for 'adamw'"),
        (Optimizer, {"name": "lamb"}, "must be 'decoupled' for 'lamb'"),
        (Optimizer, {"name": "adamw", "decay": "decoupled", "nesterov": True}, "no effect beside"),
        (Optimizer, {"name": "lamb", "decay": "decoupled", "momentum": 0.8}, "no effect beside"),
        (
            Optimizer,
            {
                "name": "adamw",
                "decay": "decoupled",
                "weight_decay": 0.0,
                "decay_norm_and_bias": False,
            },
            "no effect beside optimizer.weight_decay=0.0",
        ),
        (Optimizer, {"clip_norm": -1.0}, "must be in [0, inf)"),
        (Optimizer, {"accumulate": 0}, "must be in [1, inf)"),
        (Schedule, {"name": "cosin"}, "Did you mean 'cosine'"),
        (Schedule, {"name": "step"}, "`schedule.boundaries` must be given"),
        (Schedule, {"boundaries": ("1 epochs",)}, "no effect beside schedule.name='cosine'"),
        (Schedule, {"name": "step", "boundaries": ("0 epochs",)}, "longer than 0"),
        (Schedule, {"name": "step", "boundaries": ("soon",)}, "A duration must be"),
        (Schedule, {"warmup": "5"}, "`schedule.warmup`: A duration must be"),
        (Schedule, {"factor": 0.5}, "no effect beside schedule.name='cosine'"),
        (Schedule, {"name": "plateau", "factor": 1.0}, "must be in (0, 1)"),
        (Schedule, {"name": "plateau", "patience": 0}, "must be in [1, inf)"),
        (Schedule, {"patience": 3}, "no effect beside schedule.name='cosine'"),
        (Schedule, {"power": 2.0}, "no effect beside schedule.name='cosine'"),
        (Schedule, {"name": "polynomial", "power": 0.0}, "must be in (0, inf)"),
        (Schedule, {"name": "constant", "final": 0.1}, "no effect beside schedule.name='constant'"),
        (Schedule, {"final": 1.1}, "must be in [0, 1]"),
        (Schedule, {"warmup_from": 0.1}, "no effect beside schedule.warmup='0 epochs'"),
        (Schedule, {"warmup": "1 epochs", "warmup_from": 1.1}, "must be in [0, 1]"),
        (Schedule, {"name": "onecycle"}, "`schedule.warmup` must be longer than 0"),
        (Schedule, {"warmup_until_accuracy": 0.2}, "no effect beside schedule.name='cosine'"),
        (
            Schedule,
            {"name": "constant", "warmup_until_accuracy": 0.2, "warmup": "1 epochs"},
            "`schedule.warmup` has no effect beside",
        ),
        (
            Schedule,
            {"name": "constant", "warmup_until_accuracy": 0.2},
            "`schedule.warmup_from` must be positive",
        ),
        (Loss, {"name": "mse"}, "must be one of 'softmax', 'bce'"),
        (Loss, {"label_smoothing": 1.0}, "must be in [0, 1)"),
        (Loss, {"target_threshold": 0.2}, "no effect beside loss.name='softmax'"),
        (
            Loss,
            {"name": "bce", "target_threshold": 0.2, "label_smoothing": 0.1},
            "no effect beside loss.target_threshold=0.2",
        ),
        (Evaluation, {"every": "0 epochs"}, "must be longer than 0"),
        (Evaluation, {"batch": 0}, "must be in [1, inf)"),
        (Evaluation, {"image_size": -1}, "must be in [0, inf)"),
        (Evaluation, {"crop_ratio": 0.0}, "must be in (0, 1]"),
        (Evaluation, {"ten_crop": True}, "no effect beside evaluation.crop_ratio=1.0"),
        (Recipe, {"batch": 0}, "must be in [1, inf)"),
        (Recipe, {"seed": -1}, "must be in [0, 2147483647]"),
        (Recipe, {"ema": 1.0}, "must be in [0, 1)"),
        (Recipe, {"precision": "float64"}, "must be one of 'float32'"),
        (Recipe, {"length": "0 epochs"}, "`length` must be longer than 0"),
        (Recipe, {"checkpoint_every": "never"}, "`checkpoint_every`: A duration must be"),
        (Recipe, {"head_only": "1 epochs"}, "`head_only` needs `model.weights`"),
        (Recipe, {"model": "resnet20"}, "`model` must be a Model"),
        (Recipe, {"batch": 10, "optimizer": Optimizer(accumulate=3)}, "must be a multiple of"),
        (
            Recipe,
            {
                "batch": 4,
                "optimizer": Optimizer(accumulate=4),
                "augmentation": Augmentation(mixup=1),
            },
            "Mixing images needs at least 2",
        ),
        (
            Recipe,
            {"loss": Loss(name="bce", target_threshold=0.2)},
            "no effect beside augmentation.mixup=0.0 and augmentation.cutmix=0.0",
        ),
        (
            Recipe,
            {"data": Data(image_size=300), "augmentation": Augmentation(crop="scale")},
            "must not be below `data.image_size`",
        ),
        (
            Recipe,
            {"model": Model(name="resnet18"), "data": Data(image_size=31)},
            "at least 32 pixels a side",
        ),
        (
            Recipe,
            {"data": Data(image_size=4), "evaluation": Evaluation(image_size=3)},
            "at least 4 pixels a side",
        ),
        (
            Recipe,
            {"data": GREY, "augmentation": Augmentation(pca_noise=0.1)},
            "which is that of grey images",
        ),
        (Recipe, {"data": Data(source="digits")}, "must have one value for the digits"),
        (
            Recipe,
            {"model": Model(weights="a.h5"), "head_only": "15 epochs"},
            "`head_only` must be over before the run",
        ),
        (
            Recipe,
            {"schedule": Schedule(warmup="20 epochs")},
            "`schedule.warmup` must be over before the run",
        ),
        (
            Recipe,
            {
                "length": "1280 examples",
                "schedule": Schedule(name="step", boundaries=("10 steps",)),
            },
            "`schedule.boundaries` must be over before the run",
        ),
        (
            Recipe,
            {"schedule": Schedule(name="step", boundaries=("9 epochs", "8 epochs"))},
            "`schedule.boundaries` must grow",
        ),
    ],
)
def test_what_is_not_allowed_or_has_no_effect_is_an_error(group, values, rule):
    with pytest.raises(ValueError, match=re.escape(rule)) as error:
        group(**values)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize(
    ("group", "values"),
    [
        (Model, {"name": "resnet50", "stride_on": "1x1", "shortcut": "C"}),
        (Model, {"name": "plainnet50", "stride_on": "1x1"}),
        (Augmentation, {"crop": "scale", "scale_sides": (256, 480)}),
        (Augmentation, {"policy": "randaugment", "magnitude": 6.0, "magnitude_std": 0.5}),
        (Optimizer, {"weight_decay": 0.0}),
        (Optimizer, {"name": "lamb", "decay": "decoupled", "decay_norm_and_bias": False}),
        (Schedule, {"name": "step", "boundaries": ("1 epochs", "32000 steps", "40 epochs")}),
        (Schedule, {"name": "onecycle", "warmup": "2 epochs", "warmup_from": 0.1, "final": 0.01}),
        (Schedule, {"name": "plateau", "warmup": "1 epochs", "patience": 3, "factor": 0.5}),
        (Loss, {"name": "bce", "label_smoothing": 0.1}),
        (Evaluation, {"crop_ratio": 0.875, "ten_crop": True}),
        (Recipe, {"data": GREY}),
        (Recipe, {"batch": 12, "optimizer": Optimizer(accumulate=3)}),
        (Recipe, {"model": Model(weights="a.h5"), "head_only": "1 epochs"}),
        # Epochs and steps can only be compared once the data are known.
        (Recipe, {"length": "10 steps", "schedule": Schedule(warmup="1 epochs")}),
    ],
)
def test_what_has_an_effect_is_allowed(group, values):
    made = group(**values)
    for name, value in values.items():
        assert getattr(made, name) == value
