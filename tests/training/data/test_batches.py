"""Batches of training, functions of (seed, step) alone, and of evaluation: every example once."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.counting import CountingSource
from tests.training.data.pictures import array_source, write_folder
from training.data.augment import augmented, is_batchwise, mean_image, normalization
from training.data.batches import evaluation_batches, training_batches
from training.data.decoding import central_view, ten_views, view_preprocessing
from training.data.folder import FolderSource
from training.data.order import example_at, example_seed
from training.recipe.recipe import Augmentation, Data, Evaluation, Recipe

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PADDED = Augmentation(crop="pad", padding=2)
MIXED = dataclasses.replace(PADDED, mixup=0.4, cutmix=1.0, repeats=2)


def recipe(augmentation=PADDED, batch=8, **data):
    values = {"image_size": 8, "mean": MEAN, "std": STD} | data
    return Recipe(data=Data(**values), augmentation=augmentation, batch=batch)


def first(count, *arguments, **options):
    """Returns the first batches as NumPy arrays."""
    return list(training_batches(*arguments, **options).take(count).as_numpy_iterator())


def assert_same(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    counts = {"train": {"a": 7, "b": 6}}
    return FolderSource(write_folder(tmp_path_factory.mktemp("pictures"), counts), "train")


@pytest.fixture(scope="module", params=["whole batches", "one by one"])
def case(request, files):
    """A source and a recipe for each way through the pipeline."""
    if request.param == "whole batches":
        return array_source(), recipe(dataclasses.replace(MIXED, random_erasing=0.5))
    augmentation = Augmentation(crop="resized", policy="trivialaugment", pca_noise=0.1)
    return files, recipe(augmentation, image_size=16)


@pytest.fixture(scope="module")
def dataset(case):
    return training_batches(*case, replicas=4).take(4)


@pytest.fixture(scope="module")
def batches(dataset):
    return list(dataset.as_numpy_iterator())


def test_batches_cross_epochs_and_drop_nothing():
    source = array_source(size=20)
    batches = first(10, source, recipe(batch=8))
    indices = np.concatenate([batch["index"] for batch in batches])
    for epoch in range(4):
        assert sorted(indices[20 * epoch : 20 * epoch + 20]) == list(range(20))
    expected, _, _ = example_at(tf.range(80, dtype=tf.int64), size=20, seed=0)
    np.testing.assert_array_equal(indices, expected)
    for batch in batches:
        np.testing.assert_array_equal(batch["label"], batch["index"] % 3)
        np.testing.assert_array_equal(batch["target"], np.eye(3)[batch["label"]])


def test_the_same_bits_on_any_number_of_threads(case, dataset, batches):
    source, chosen = case
    size, classes = chosen.data.image_size, len(source.class_names)
    spec = dataset.element_spec
    assert spec["image"] == tf.TensorSpec((8, size, size, 3), tf.float32)
    assert spec["target"] == tf.TensorSpec((8, classes), tf.float32)
    assert spec["label"] == spec["index"] == tf.TensorSpec((8,), tf.int64)
    for batch in batches:
        np.testing.assert_allclose(batch["target"].sum(axis=1), 1, atol=1e-6)
        assert np.isfinite(batch["image"]).all()
    for threads in (1, 5):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.threading.max_intra_op_parallelism = threads
        assert_same(list(dataset.with_options(options).as_numpy_iterator()), batches)


def test_from_any_step_on_a_worker_gets_its_part_of_what_one_worker_gets(case, batches):
    second = first(2, *case, start_step=2, worker=1, workers=2, replicas=4)
    parts = [{key: value[4:] for key, value in batch.items()} for batch in batches[2:]]
    assert_same(second, parts)


def test_whole_batches_get_what_single_images_get():
    source, chosen = array_source(), recipe()
    assert is_batchwise(source, chosen)
    single = CountingSource(source)  # not in memory
    assert not is_batchwise(single, chosen)
    assert_same(first(3, single, chosen), first(3, source, chosen))


def test_images_are_those_of_the_definition(files):
    augmentation = Augmentation(crop="resized", color_jitter=0.2, repeats=2)
    chosen = dataclasses.replace(recipe(augmentation, batch=4, image_size=16), seed=1)
    (batch,) = first(1, files, chosen, start_step=3)
    positions = tf.range(12, 16, dtype=tf.int64)
    index, epoch, repetition = example_at(positions, files.size, seed=1, repeats=2)
    np.testing.assert_array_equal(batch["index"], index)
    for number in range(4):
        seed = example_seed(1, epoch[number], index[number], repetition[number])
        image, label = files.load(index[number])
        pixels = augmented(image, seed, files, chosen).numpy()
        expected = (pixels / 255 - np.array(MEAN)) / np.array(STD)
        np.testing.assert_allclose(batch["image"][number], expected, atol=3e-6)
        assert batch["label"][number] == label


def test_what_comes_before_the_first_step_is_not_read():
    counting = CountingSource(array_source(size=1000))
    chosen = recipe(batch=4)
    batches = first(2, counting, chosen, start_step=100)
    expected, _, _ = example_at(tf.range(400, 1000, dtype=tf.int64), size=1000, seed=0)
    np.testing.assert_array_equal(np.concatenate([b["index"] for b in batches]), expected[:8])
    assert sorted(counting.read) == sorted(expected.numpy()[: len(counting.read)])
    assert len(counting.read) < 200  # some are read ahead


def test_replicas_part_the_repeats_of_an_image_and_mix_as_one_does():
    source = array_source(classes=20)
    one, several = (first(3, source, recipe(MIXED), replicas=count) for count in (1, 4))
    for alone, shared in zip(one, several, strict=True):
        # The same examples, bit for bit, in another order: a a b b c c d d.
        places = [0, 2, 4, 6, 1, 3, 5, 7]
        for key in alone:
            np.testing.assert_array_equal(shared[key], alone[key][places], err_msg=key)
        for share in np.split(shared["index"], 4):
            assert len(set(share)) == 2


def test_a_worker_reads_few_examples_that_it_only_mixes_with():
    # A part of 16 of 32, of 16 images twice: each worker has all 16, and so all partners.
    counting = CountingSource(array_source(size=1000))
    chosen = recipe(MIXED, batch=32)
    dataset = training_batches(counting, chosen, worker=1, workers=2)
    indices = [batch["index"] for batch in dataset.take(3).as_numpy_iterator()]
    assert [len(set(index)) for index in indices] == [16] * 3
    # Batches are read ahead and at the same time, so that reads have no order.
    assert set(np.concatenate(indices)) <= set(counting.read)
    assert len(counting.read) == len(set(counting.read))


def test_repeats_are_not_mixed_with_themselves():
    source = array_source(classes=20)
    chosen = recipe(Augmentation(padding=1, mixup=1.0, repeats=2))
    for batch in first(5, source, chosen):
        partner = np.roll(batch["label"], 2)
        share = batch["target"][np.arange(8), batch["label"]]
        np.testing.assert_allclose(batch["target"][np.arange(8), partner], 1 - share, atol=1e-6)


def test_the_mean_image_is_subtracted_before_padding():
    source = array_source()
    augmentation = Augmentation(crop="pad", padding=3)
    chosen = recipe(augmentation, per_pixel_mean=True, mean=Data().mean, std=(1.0, 1.0, 1.0))
    mean = mean_image(source, chosen.data)
    for batch in first(3, source, chosen):
        for number, image in zip(batch["index"], batch["image"], strict=True):
            clean = source.images[number] / 255 - mean
            shifted = np.pad(clean, [(3, 3), (3, 3), (0, 0)])
            crops = [
                crop[:, ::turn]
                for top in range(7)
                for left in range(7)
                for crop in [shifted[top : top + 8, left : left + 8]]
                for turn in (1, -1)
            ]
            assert min(np.abs(image - crop).max() for crop in crops) < 1e-5


def test_a_known_mean_image_is_not_computed_again(monkeypatch):
    source = array_source()
    chosen = recipe(per_pixel_mean=True, mean=Data().mean)
    known = normalization(source, chosen)
    monkeypatch.setattr("training.data.augment.mean_image", None)
    training_batches(source, chosen, mean_and_std=known)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"worker": 3, "workers": 3}, "Received: worker=3, workers=3"),
        ({"worker": 0, "workers": 3}, "Received: batch=8, workers=3"),
    ],
)
def test_a_share_that_does_not_exist_is_an_error(options, words):
    for make, chosen in ((training_batches, recipe()), (evaluation_batches, evaluation_recipe(8))):
        with pytest.raises(ValueError, match=words):
            make(array_source(), chosen, **options)


def test_a_batch_too_small_to_mix_is_an_error():
    chosen = recipe(dataclasses.replace(MIXED, repeats=8))
    with pytest.raises(ValueError, match=r"Received: batch=8, augmentation.repeats=8"):
        training_batches(array_source(), chosen)


VIEW = view_preprocessing(Evaluation(crop_ratio=0.8), 20)


def evaluation_recipe(batch, image_size=8, per_pixel_mean=False, **evaluation):
    chosen = recipe(
        image_size=image_size,
        per_pixel_mean=per_pixel_mean,
        mean=Data().mean if per_pixel_mean else MEAN,
    )
    return dataclasses.replace(chosen, evaluation=Evaluation(batch=batch, **evaluation))


def evaluated(*arguments, **options):
    return list(evaluation_batches(*arguments, **options).as_numpy_iterator())


def expected_image(view):
    return (np.asarray(view) / 255 - np.array(MEAN)) / np.array(STD)


@pytest.mark.parametrize(("size", "workers"), [(1, 2), (11, 1), (12, 3), (13, 3), (24, 2)])
def test_every_example_comes_once(size, workers):
    source, chosen = array_source(size), evaluation_recipe(12)
    parts = [evaluated(source, chosen, worker, workers) for worker in range(workers)]
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
    for source, chosen, image_of in (
        (in_memory, evaluation_recipe(4), in_memory.images.__getitem__),
        (
            files,
            evaluation_recipe(5, image_size=20, crop_ratio=0.8),
            lambda index: central_view(files.load(tf.constant(index))[0], files, VIEW),
        ),
    ):
        batches = evaluated(source, chosen)
        columns = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
        padding = -source.size % chosen.evaluation.batch
        assert columns["index"].tolist() == [*range(source.size), *[-1] * padding]
        for index in range(source.size):
            assert columns["label"][index] == source.labels[index]
            expected = expected_image(image_of(index))
            np.testing.assert_allclose(columns["image"][index], expected, atol=3e-6)


def test_ten_crops(files):
    chosen = evaluation_recipe(4, image_size=20, crop_ratio=0.8, ten_crop=True)
    batches = evaluated(files, chosen, ten_crop=True)
    assert {batch["image"].shape for batch in batches} == {(4, 10, 20, 20, 3)}
    views = ten_views(files.load(tf.constant(6, tf.int64))[0], files, VIEW)
    np.testing.assert_allclose(batches[1]["image"][2], expected_image(views), atol=3e-6)


def test_the_training_splits_mean_image_is_subtracted():
    train, test = array_source(30), array_source(10)
    chosen = evaluation_recipe(5, per_pixel_mean=True)
    with pytest.raises(ValueError, match="Received: mean_and_std=None"):
        evaluation_batches(test, chosen)
    mean, std = normalization(train, chosen)
    batches = evaluated(test, chosen, mean_and_std=(mean, std))
    expected = (test.images[:5] / 255 - mean) / std
    np.testing.assert_allclose(batches[0]["image"], expected, atol=3e-6)
