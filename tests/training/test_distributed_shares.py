"""Each worker reads its own part of every batch, and together they read all of it, once."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from training.data.batches import evaluation_batches, training_batches
from training.data.source import digits
from training.recipe.files import load_recipe
from training.recipe.recipe import Evaluation, Recipe

SIZE = {"train": 1437, "test": 360}  # of the 1,797 digits


def columns(dataset, batches, names):
    """Returns the first batches, each column put together."""
    taken = list(dataset.take(batches).as_numpy_iterator())
    return [[batch[name] for batch in taken] for name in names]


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_part_a_batch_of_training(workers):
    recipe = load_recipe("digits")
    source = digits("train")
    steps = -(-SIZE["train"] // recipe.batch)
    names = ("index", "image", "target")
    whole = columns(training_batches(source, recipe), steps, names)
    parts = [
        columns(training_batches(source, recipe, worker=worker, workers=workers), 3, names)
        for worker in range(workers)
    ]
    for column, batches in enumerate(whole):
        for step in range(3):
            joined = np.concatenate([part[column][step] for part in parts])
            np.testing.assert_array_equal(joined, batches[step])
    # An epoch, over its border: every digit once.
    positions = np.concatenate(whole[0])[: SIZE["train"]]
    np.testing.assert_array_equal(np.sort(positions), np.arange(SIZE["train"]))


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_part_an_evaluation_whose_last_batch_is_short(workers):
    recipe = Recipe(
        data=load_recipe("digits").data, evaluation=Evaluation(batch=100), length="1 epochs"
    )
    source = digits("test")
    seen = []
    for worker in range(workers):
        dataset = evaluation_batches(source, recipe, worker=worker, workers=workers)
        batches = list(dataset.as_numpy_iterator())
        # 360 = 3 · 100 + 60: four batches for each worker, or the others would wait for it.
        assert [len(batch["index"]) for batch in batches] == [100 // workers] * 4
        seen.append(np.concatenate([batch["index"] for batch in batches]))
    counted = np.concatenate(seen)
    np.testing.assert_array_equal(np.sort(counted[counted >= 0]), np.arange(SIZE["test"]))
