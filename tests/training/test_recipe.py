"""A recipe checks itself, and nothing in it is silently ignored."""

import dataclasses
import re

import pytest

from training.recipe.files import recipe_from_toml, recipe_to_toml
from training.recipe.recipe import Data, Optimizer, Recipe

SPEC = """model.spec = '{"block": "basic", "repeats": [1], "widths": [8]}'"""
GREY = "data = { source = 'digits', image_size = 8, mean = [0.3], std = [0.4] }"


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().batch = 2


def test_whole_numbers_and_lists_become_what_is_annotated():
    recipe = Recipe(optimizer=Optimizer(learning_rate=1), data=Data(mean=[0, 0, 0]))
    assert repr(recipe.optimizer.learning_rate) == "1.0"
    assert repr(recipe.data.mean) == "(0.0, 0.0, 0.0)"


# A recipe (a semicolon ends a line) and a part of the error.
MISTAKES = """\
model.name = 'resnet21' | must be one of resnet18
model.name = 'plainnet21' | or 'plainnet20' or
model.shortcut = 'E' | must be one of 'default', 'A', 'B', 'C', 'D'
model = { name = 'plainnet20', shortcut = 'A' } | `model.shortcut` has no effect
model.stride_on = '1x1' | belongs to block='bottleneck'
model = { name = 'plainnet20', drop_path_rate = 0.1 } | needs a shortcut
model = { name = 'plainnet20', zero_init_residual = true } | needs a shortcut
model.drop_path_rate = 1.0 | drop_path_rate
model.dropout_rate = 1.0 | dropout_rate
SPEC; model.dropout_rate = 0.3 | no effect beside model.spec=
model.spec = '{' | must be the JSON text of a ResNetSpec
SPEC; model.name = 'a/b' | must consist of letters
SPEC; model.shortcut = 'A' | `model.shortcut` has no effect beside model.spec=
model = { block = 'StackedBlock', block_options = '[' } | must be a JSON object
model = { block = 'StackedBlock', block_options = '[]' } | must be a JSON object
model = { block = 'StackedBlock', block_options = '{"x": 1}' } | arguments of the block
model.block_options = '{"x": 1}' | no effect beside model.block=''
model.classifier_std = -0.1 | must be in [0, inf)
model = { weights = 'a.h5', zero_init_residual = true } | no effect beside model.weights
model.zero_init_residual = 1 | must be true or false
data.source = '' | must be given
data.source = 'folder:' | must have a path
data.train_split = '' | must be given
data.image_size = 0 | must be in [1, inf)
data.image_size = 32.0 | must be a whole number
data.image_size = true | must be a whole number
data.mean = [0.5] | for each of 1 or 3 channels
data = { mean = [0.5, 0.5], std = [1.0, 1.0] } | for each of 1 or 3 channels
data.mean = 0.5 | must be a list
data.mean = ['a', 'b', 'c'] | must be a number
data.std = [1.0, 0.0, 1.0] | `data.std` must be in (0, inf)
data = { per_pixel_mean = true, mean = [0.0, 0.0, 0.0] } | no effect beside
data = { source = 'synthetic', on_bad_image = 'skip' } | no effect beside data.source
augmentation = { crop = 'none', padding = 2 } | no effect beside augmentation.crop='none'
augmentation.area = [0.5, 1.0] | no effect beside augmentation.crop='pad'
augmentation.scale_sides = [1, 2] | no effect beside augmentation.crop='pad'
augmentation.padding = 0 | must be in [1, inf)
augmentation = { crop = 'resized', area = [0.9, 0.5] } | the least value first
augmentation = { crop = 'resized', area = [0.0, 0.5] } | in (0, 1]
augmentation = { crop = 'resized', area = [0.5] } | must have 2 values
augmentation = { crop = 'scale', scale_sides = [480, 256] } | the least value first
augmentation.color_jitter = 1.0 | must be in [0, 1)
augmentation.pca_noise = -0.1 | must be in [0, inf)
augmentation.magnitude = 5.0 | no effect beside augmentation.policy='none'
augmentation = { policy = 'trivialaugment', operations = 3 } | no effect beside
augmentation = { policy = 'randaugment', magnitude = 11.0 } | must be in [0, 10]
augmentation = { policy = 'randaugment', magnitude_std = -1.0 } | must be in [0, inf)
augmentation = { policy = 'randaugment', operations = 0 } | must be in [1, inf)
augmentation = { policy = 'randaugment', policy_probability = 0.0 } | in (0, 1]
augmentation.random_erasing = 1.1 | must be in [0, 1]
augmentation.mixup = -0.2 | must be in [0, inf)
augmentation.cutmix = nan | must be finite
augmentation.repeats = 0 | must be in [1, inf)
optimizer.name = 'sdg' | Did you mean 'sgd'
optimizer.learning_rate = 0.0 | must be in (0, inf)
optimizer.learning_rate = '0.1' | must be a number
optimizer.learning_rate = inf | must be finite
optimizer.reference_batch = -1 | must be in [0, inf)
optimizer.momentum = 1.0 | must be in [0, 1)
optimizer = { momentum = 0.0, nesterov = true } | no effect beside optimizer.momentum=0.0
optimizer.weight_decay = -1.0 | must be in [0, inf)
optimizer = { weight_decay = 0.0, decay = 'decoupled' } | no effect beside
optimizer = { weight_decay = 0.0, decay_norm_and_bias = false } | no effect beside
optimizer.name = 'adamw' | must be 'decoupled' for 'adamw'
optimizer.name = 'lamb' | must be 'decoupled' for 'lamb'
optimizer = { name = 'adamw', decay = 'decoupled', nesterov = true } | no effect beside
optimizer = { name = 'lamb', decay = 'decoupled', momentum = 0.8 } | no effect beside
optimizer.clip_norm = -1.0 | must be in [0, inf)
optimizer.accumulate = 0 | must be in [1, inf)
schedule.name = 'cosin' | Did you mean 'cosine'
schedule.name = 'step' | `schedule.boundaries` must be given
schedule.boundaries = ['1 epochs'] | no effect beside schedule.name='cosine'
schedule = { name = 'step', boundaries = ['0 epochs'] } | longer than 0
schedule = { name = 'step', boundaries = ['soon'] } | A duration must be
schedule.warmup = '5' | `schedule.warmup`: A duration must be
schedule.factor = 0.5 | no effect beside schedule.name='cosine'
schedule = { name = 'plateau', factor = 1.0 } | must be in (0, 1)
schedule = { name = 'plateau', patience = 0 } | must be in [1, inf)
schedule.patience = 3 | no effect beside schedule.name='cosine'
schedule.power = 2.0 | no effect beside schedule.name='cosine'
schedule = { name = 'polynomial', power = 0.0 } | must be in (0, inf)
schedule = { name = 'constant', final = 0.1 } | no effect beside schedule.name='constant'
schedule.final = 1.1 | must be in [0, 1]
schedule.warmup_from = 0.1 | no effect beside schedule.warmup='0 epochs'
schedule = { warmup = '1 epochs', warmup_from = 1.1 } | must be in [0, 1]
schedule.name = 'onecycle' | `schedule.warmup` must be longer than 0
schedule.warmup_until_accuracy = 0.2 | no effect beside schedule.name='cosine'
loss.name = 'mse' | must be one of 'softmax', 'bce'
loss.label_smoothing = 1.0 | must be in [0, 1)
loss.target_threshold = 0.2 | no effect beside loss.name='softmax'
evaluation.every = '0 epochs' | must be longer than 0
evaluation.batch = 0 | must be in [1, inf)
evaluation.image_size = -1 | must be in [0, inf)
evaluation.crop_ratio = 0.0 | must be in (0, 1]
evaluation.ten_crop = true | no effect beside evaluation.crop_ratio=1.0
batch = 0 | must be in [1, inf)
seed = -1 | must be in [0, 2147483647]
ema = 1.0 | must be in [0, 1)
precision = 'float64' | must be one of 'float32'
length = '0 epochs' | `length` must be longer than 0
checkpoint_every = 'never' | `checkpoint_every`: A duration must be
head_only = '1 epochs' | `head_only` needs `model.weights`
batch = 10; optimizer.accumulate = 3 | must be a multiple of
batch = 4; optimizer.accumulate = 4; augmentation.mixup = 1 | Mixing images needs at least 2
data.image_size = 300; augmentation.crop = 'scale' | must not be below `data.image_size`
model.name = 'resnet18'; data.image_size = 31 | at least 32 pixels a side
data.image_size = 4; evaluation.image_size = 3 | at least 4 pixels a side
GREY; augmentation.pca_noise = 0.1 | which is that of grey images
data.source = 'digits' | must have one value for the digits
model.weights = 'a.h5'; head_only = '15 epochs' | `head_only` must be over before the run
model.weights = 'a.h5'; from_stage = 5 | must be at most 3, the number of stages, or 4, for
schedule.warmup = '20 epochs' | over before the run: pass --schedule.warmup '1.5 epochs', or
schedule = { name = 'onecycle', warmup = '8 epochs' } | `schedule.warmup` must be over before
data = { per_pixel_mean = true, std = [0.5, 0.5] } | for each of 1 or 3 channels
data = { per_pixel_mean = true, source = 'digits' } | must have one value for the digits
"""
LONGER_MISTAKES = [
    (
        "[optimizer]; name='adamw'; decay='decoupled'; weight_decay=0.0; decay_norm_and_bias=false",
        "no effect beside optimizer.weight_decay=0.0",
    ),
    (
        "schedule = { name = 'constant', warmup_until_accuracy = 0.2, warmup = '1 epochs' }",
        "`schedule.warmup` has no effect beside",
    ),
    (
        "schedule = { name = 'constant', warmup_until_accuracy = 0.2 }",
        "`schedule.warmup_from` must be positive",
    ),
    (
        "loss = { name = 'bce', target_threshold = 0.2, label_smoothing = 0.1 }",
        "no effect beside loss.target_threshold=0.2",
    ),
    (
        "loss = { name = 'bce', target_threshold = 0.2 }",
        "no effect beside augmentation.mixup=0.0 and augmentation.cutmix=0.0",
    ),
    (
        "length = '1280 examples'\nschedule = { name = 'step', boundaries = ['10 steps'] }",
        "`schedule.boundaries` must be over before the run",
    ),
    (
        "schedule = { name = 'step', boundaries = ['9 epochs', '8 epochs'] }",
        "in growing order: pass --schedule.boundaries '5 epochs' '10 epochs', or a longer --length",
    ),
]


@pytest.mark.parametrize(
    ("text", "rule"),
    [*(line.split(" | ") for line in MISTAKES.splitlines()), *LONGER_MISTAKES],
)
def test_what_is_not_allowed_or_has_no_effect_is_an_error(text, rule):
    text = text.replace("SPEC", SPEC).replace("GREY", GREY).replace("; ", "\n")
    with pytest.raises(ValueError, match=re.escape(rule)) as error:
        recipe_from_toml(text)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "model = { name = 'resnet50', stride_on = '1x1', shortcut = 'C' }",
        "model = { name = 'plainnet50', stride_on = '1x1' }",
        "augmentation = { crop = 'scale', scale_sides = [256, 480] }",
        "augmentation = { policy = 'randaugment', magnitude = 6.0, magnitude_std = 0.5 }",
        "optimizer.weight_decay = 0.0",
        "optimizer = { name = 'lamb', decay = 'decoupled', decay_norm_and_bias = false }",
        "length = '90 epochs'\nschedule = { name = 'step', boundaries = ['1 epochs', "
        "'32000 steps', '40 epochs'] }",
        "schedule = { name = 'onecycle', warmup = '2 epochs', warmup_from = 0.1, final = 0.01 }",
        "schedule = { name = 'plateau', warmup = '1 epochs', patience = 3, factor = 0.5 }",
        "loss = { name = 'bce', label_smoothing = 0.1 }",
        "evaluation = { crop_ratio = 0.875, ten_crop = true }",
        GREY,
        "data = { source = 'digits', image_size = 8, per_pixel_mean = true, std = [0.4] }",
        "batch = 12\noptimizer.accumulate = 3",
        "model.weights = 'a.h5'\nhead_only = '1 epochs'",
        "model.weights = 'a.h5'\nfrom_stage = 4",
        "length = '10 steps'\nschedule.warmup = '1 epochs'",
    ],
)
def test_what_has_an_effect_is_allowed(text):
    recipe = recipe_from_toml(text)
    assert recipe_from_toml(recipe_to_toml(recipe)) == recipe
