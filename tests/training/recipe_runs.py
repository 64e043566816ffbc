"""A process of its own: a few steps by each recipe of the trainer, and what came of them.

Everything is the recipe's but for what costs time: the network has one block, the images
are few and small, the batches small, and all durations steps.
"""

import dataclasses
import json
import sys
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

import keras_resnets
from keras_resnets.architecture.spec import VARIANTS
from tests.training.data.pictures import write_folder
from training.data.batches import evaluation_batches
from training.data.sources import open_source
from training.recipe.fields import parse_duration
from training.recipe.files import list_recipes, load_recipe
from training.recipe.recipe import Recipe
from training.run.checkpoint import latest_checkpoint, load_checkpoint
from training.run.session import Session

SIZE, LARGER, BATCH = 16, 24, 8


def main(root):
    write_folder(root / "pictures", {"train": {"a": 10, "b": 9}, "test": {"a": 2, "b": 3}})
    for name in {load_recipe(name).model.name for name in list_recipes()}:  # of one block each
        VARIANTS[name] = dataclasses.replace(VARIANTS[name], repeats=(1,), widths=(4,))
    # What is fine-tuned: weights of a network with other classes.
    keras_resnets.create_model("resnet50", classes=3).save(root / "weights.keras")
    return {name: outcome(reduced(name, root), root / name) for name in list_recipes()}


def reduced(name, root):
    """Returns a recipe as it is, but for the network's depth and the sizes and durations."""
    recipe, replace = load_recipe(name), dataclasses.replace
    model, data, augmentation = recipe.model, recipe.data, recipe.augmentation
    if model.weights:
        model = replace(model, weights=str(root / "weights.keras"))
    if data.source != "digits":
        source = f"folder:{root / 'pictures'}"
        data = replace(data, source=source, train_split="train", test_split="test", image_size=SIZE)
    if augmentation.crop == "scale":
        augmentation = replace(augmentation, scale_sides=(SIZE, 2 * SIZE))
    boundaries = [f"{1 + place} steps" for place in range(len(recipe.schedule.boundaries))]
    return replace(
        recipe,
        model=model,
        data=data,
        augmentation=augmentation,
        optimizer=replace(recipe.optimizer, accumulate=min(recipe.optimizer.accumulate, 2)),
        schedule=replace(
            recipe.schedule, warmup=shortened(recipe.schedule.warmup), boundaries=boundaries
        ),
        evaluation=replace(
            recipe.evaluation,
            every="2 steps",
            batch=4,
            image_size=LARGER if recipe.evaluation.image_size else 0,
        ),
        head_only=shortened(recipe.head_only),
        batch=BATCH,
        length="4 steps",
        checkpoint_every="2 steps",
    )


def shortened(duration):
    number, _ = parse_duration(duration)
    return "1 steps" if number else duration


def outcome(recipe: Recipe, run_dir):
    keras.utils.clear_session()
    console = Console(file=sys.stderr, quiet=True)
    status = Session(recipe, run_dir, console=console).run()
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    early = load_checkpoint(run_dir / "checkpoints" / "step-00000002").arrays
    late = latest_checkpoint(run_dir / "checkpoints")[0].arrays
    model = keras.models.load_model(run_dir / "model.keras")
    return {
        "status": status,
        "metrics": [json.loads(line) for line in lines],
        "kernels": sum(name.endswith("kernel") for name in late if name.startswith("model/")),
        "unmoved": [
            name
            for name, array in late.items()
            if name.startswith("model/")
            and name.endswith("kernel")
            and np.array_equal(array, early[name])
        ],
        "image_size": model.input_shape[1],
        "test_accuracy": json.loads((run_dir / "result.json").read_text())["test_accuracy"],
        "of_model": accuracy(model, recipe),
    }


def accuracy(model, recipe):
    """Returns the part of the test images that the model which was handed on has right."""
    source = open_source(recipe.data, recipe.data.test_split)
    ten_crop = recipe.evaluation.ten_crop
    pixels = np.zeros(source.channels, "float32"), np.full(source.channels, 1 / 255, "float32")
    right = 0
    for batch in evaluation_batches(source, recipe, ten_crop=ten_crop, mean_and_std=pixels):
        images = batch["image"].numpy()
        views = np.clip(images.reshape(-1, *images.shape[-3:]), 0, 255)  # of rounding
        scores = np.asarray(model(keras_resnets.preprocess_input(views, model))).reshape(
            len(images), -1, model.output_shape[-1]
        )
        is_right = scores.mean(axis=1).argmax(axis=1) == batch["label"].numpy()
        right += int(np.sum(is_right * batch["weight"].numpy()))
    return right / source.size


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
