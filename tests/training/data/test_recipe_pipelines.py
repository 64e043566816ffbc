"""The pipelines of the recipes for photographs, on photographs, at reduced size."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from training.data.batches import evaluation_batches, training_batches
from training.data.folder import FolderSource
from training.recipe.files import load_recipe

# The other recipes' pipelines have fewer steps of the same kinds.
NAMES = ("imagenet_a3", "imagenet_torchvision_v2", "imagenet_paper")
SIZE, BATCH = 48, 8


@pytest.fixture(scope="module")
def photographs(shared_data, tmp_path_factory):
    """Sixteen photographs, a quarter as wide and high, in four classes."""
    root = tmp_path_factory.mktemp("photographs")
    for number, path in enumerate(sorted((shared_data / "photos").glob("*.JPEG"))[::7][:16]):
        folder = root / "train" / f"class{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.reduce(4).convert("RGB").save(folder / path.name, quality=90)
    return FolderSource(root, "train")


def reduced(name):
    """Returns a recipe as it is, but for the sizes of images and batches."""
    recipe = load_recipe(name)
    augmentation = recipe.augmentation
    if augmentation.crop == "scale":
        augmentation = dataclasses.replace(augmentation, scale_sides=(SIZE, 2 * SIZE))
    return dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, image_size=SIZE),
        augmentation=augmentation,
        evaluation=dataclasses.replace(
            recipe.evaluation, batch=5, image_size=SIZE + 16 if recipe.evaluation.image_size else 0
        ),
        batch=BATCH,
        optimizer=dataclasses.replace(recipe.optimizer, accumulate=1),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_s_pipeline_gives_batches_as_it_says(photographs, name):
    recipe = reduced(name)
    batches = list(training_batches(photographs, recipe).take(4).as_numpy_iterator())
    least = (0 - np.array(recipe.data.mean)) / recipe.data.std
    greatest = (1 - np.array(recipe.data.mean)) / recipe.data.std
    for batch in batches:
        assert batch["image"].shape == (BATCH, SIZE, SIZE, 3)
        assert (batch["image"] >= least - 1e-4).all()
        assert (batch["image"] <= greatest + 1e-4).all()
        assert batch["image"].std() > 0.1
        np.testing.assert_allclose(batch["target"].sum(axis=1), 1, rtol=1e-5)
    repeats = recipe.augmentation.repeats
    index = np.concatenate([batch["index"] for batch in batches])
    runs = index[: len(index) // repeats * repeats].reshape(-1, repeats)
    assert (runs == runs[:, :1]).all()
    assert len(set(runs[:16, 0])) == min(16, len(runs))
    targets = np.concatenate([batch["target"] for batch in batches])
    mixes = recipe.augmentation.mixup or recipe.augmentation.cutmix
    assert (targets.max(axis=1) < 0.85).any() == bool(mixes)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_s_evaluation_sees_each_photograph_once(photographs, name):
    recipe = reduced(name)
    batches = list(evaluation_batches(photographs, recipe).as_numpy_iterator())
    size = recipe.evaluation.image_size or SIZE
    assert {batch["image"].shape for batch in batches} == {(5, size, size, 3)}
    assert np.concatenate([batch["index"] for batch in batches]).tolist() == [*range(16), *[-1] * 4]
