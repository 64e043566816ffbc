"""Evaluation batches: every example once, whatever the batch and the number of workers."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.pictures import array_source, write_folder
from training.data.batches import evaluation_batches
from training.data.decoding import central_view, ten_views, view_preprocessing
from training.data.folder import FolderSource
from training.data.normalization import normalization
from training.recipe.recipe import Data, Evaluation, Recipe

VIEW = view_preprocessing(Evaluation(crop_ratio=0.8), 20)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def recipe(batch, image_size=8, per_pixel_mean=False, **evaluation):
    data = Data(
        image_size=image_size,
        per_pixel_mean=per_pixel_mean,
        mean=Data().mean if per_pixel_mean else MEAN,
        std=STD,
    )
    return Recipe(data=data, evaluation=Evaluation(batch=batch, **evaluation))


def all_batches(*arguments, **options):
    return list(evaluation_batches(*arguments, **options).as_numpy_iterator())


def expected_image(view):
    return (np.asarray(view) / 255 - np.array(MEAN)) / np.array(STD)


@pytest.fixture
def files(tmp_path):
    return FolderSource(write_folder(tmp_path, {"test": {"a": 7, "b": 6}}), "test")


@pytest.mark.parametrize("size", [1, 11, 12, 13, 24])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_example_comes_once(size, workers):
    source, chosen = array_source(size), recipe(12)
    parts = [all_batches(source, chosen, worker, workers) for worker in range(workers)]
    assert {len(part) for part in parts} == {-(-size // 12)}
    batches = [batch for part in parts for batch in part]
    assert {batch["image"].shape for batch in batches} == {(12 // workers, 8, 8, 3)}
    index = np.concatenate([batch["index"] for batch in batches])
    weight = np.concatenate([batch["weight"] for batch in batches])
    assert sorted(index[weight == 1]) == list(range(size))
    assert (index[weight == 0] == -1).all()
    assert set(weight) <= {0.0, 1.0}


def test_images_and_labels_are_the_sources(files):
    in_memory = array_source(10)
    for batch in all_batches(in_memory, recipe(4)):
        for index, label, image, weight in zip(
            *(batch[key] for key in ("index", "label", "image", "weight")), strict=True
        ):
            if weight:
                assert label == in_memory.labels[index]
                np.testing.assert_allclose(
                    image, expected_image(in_memory.images[index]), atol=3e-6
                )
    for batch in all_batches(files, recipe(5, image_size=20, crop_ratio=0.8)):
        for index, label, image, weight in zip(
            *(batch[key] for key in ("index", "label", "image", "weight")), strict=True
        ):
            if weight:
                assert label == files.labels[index]
                view = central_view(files.load(tf.constant(index))[0], files, VIEW)
                np.testing.assert_allclose(image, expected_image(view), atol=3e-6)


def test_files_come_once_too(files):
    batches = all_batches(files, recipe(5, image_size=20))
    index = np.concatenate([batch["index"] for batch in batches])
    assert index.tolist() == [*range(13), -1, -1]


def test_ten_crops(files):
    chosen = recipe(4, image_size=20, crop_ratio=0.8, ten_crop=True)
    batches = all_batches(files, chosen, ten_crop=True)
    assert {batch["image"].shape for batch in batches} == {(4, 10, 20, 20, 3)}
    views = ten_views(files.load(tf.constant(6, tf.int64))[0], files, VIEW)
    np.testing.assert_allclose(batches[1]["image"][2], expected_image(views), atol=3e-6)


def test_the_test_images_may_be_larger_than_the_training_images(files):
    batches = all_batches(
        files,
        Recipe(
            data=Data(image_size=16, mean=MEAN, std=STD),
            evaluation=Evaluation(batch=4, image_size=24),
        ),
    )
    assert batches[0]["image"].shape == (4, 24, 24, 3)


def test_the_training_splits_mean_image_is_subtracted():
    train, test = array_source(30), array_source(10)
    chosen = recipe(5, per_pixel_mean=True)
    with pytest.raises(ValueError, match="Received: mean_and_std=None"):
        evaluation_batches(test, chosen)
    mean, std = normalization(train, chosen)
    batches = all_batches(test, chosen, mean_and_std=(mean, std))
    expected = (test.images[:5] / 255 - mean) / std
    np.testing.assert_allclose(batches[0]["image"], expected, atol=3e-6)


def test_a_share_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="Received: batch=5, workers=2"):
        evaluation_batches(array_source(), recipe(5), 0, 2)
