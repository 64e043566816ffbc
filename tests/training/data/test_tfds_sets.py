"""Sets in TFDS's format, made in the test; and CIFAR-10 where it is at hand."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.data.pictures import encoded, smooth_picture

pytest.importorskip("tensorflow_datasets")

from tests.training.data.tfds_writing import NAMES, write_set
from training.data import sources
from training.data.prepared import find_prepared
from training.data.source import ArraySource
from training.data.sources import RecordSource, open_source, tfds_source
from training.recipe.recipe import Data

SIZES = {"train": 23, "test": 7}


def examples(height_step=0, kind="PNG"):
    """Returns pictures of both splits with their labels; a step makes their heights differ."""
    return {
        split: [
            (
                encoded(smooth_picture(8 + height_step * (number % 3), 10, number + size), kind),
                (2 * number + 1) % 3,
            )
            for number in range(size)
        ]
        for split, size in SIZES.items()
    }


def in_order_of_files(pairs):
    """Returns a split's examples as they lie in its three files."""
    return [pair for shard in range(3) for pair in pairs[shard::3]]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    write_set(folder, "small", examples(), (8, 10, 3))
    write_set(folder, "lossy", examples(kind="JPEG"), (8, 10, 3))
    write_set(folder, "varied", examples(height_step=2, kind="JPEG"), (None, None, 3))
    return folder


@pytest.mark.parametrize(("name", "kind"), [("small", "PNG"), ("lossy", "JPEG")])
def test_a_small_set_of_one_shape_is_held_in_memory(data_dir, name, kind):
    source = open_source(Data(source=name), "train", data_dir)
    assert isinstance(source, ArraySource)
    assert source.images.shape == (23, 8, 10, 3)
    assert source.class_names == NAMES

    def pairs(images, labels):
        rows = zip(images, labels, strict=True)
        return sorted((image.tobytes(), int(label)) for image, label in rows)

    pictures = examples(kind=kind)["train"]
    expected = [np.asarray(Image.open(io.BytesIO(contents))) for contents, _ in pictures]
    labels = [label for _, label in examples()["train"]]
    assert pairs(source.images, source.labels) == pairs(expected, labels)
    again = tfds_source(name, "train", data_dir, download=False)
    np.testing.assert_array_equal(again.images, source.images)
    assert again.identifier == source.identifier
    assert source.identifier != tfds_source(name, "test", data_dir, False).identifier


def assert_reads(source, expected):
    assert source.size == len(expected)
    for index, (contents, label) in enumerate(expected):
        found, found_label = source.load(tf.constant(index, tf.int64))
        assert found.numpy() == contents
        assert int(found_label) == label


@pytest.mark.parametrize("reason", ["shapes differ", "too large for memory"])
def test_other_sets_are_read_from_their_records_in_any_order(data_dir, monkeypatch, reason):
    name, kind, step = ("varied", "JPEG", 2) if reason == "shapes differ" else ("small", "PNG", 0)
    monkeypatch.setattr(sources, "IN_MEMORY_BYTES", 1000)
    source = open_source(Data(source=name), "train", data_dir)
    assert isinstance(source, RecordSource)
    assert source.encoded
    assert (source.channels, source.class_names) == (3, NAMES)
    assert_reads(source, in_order_of_files(examples(step, kind)["train"]))
    # The first file holds 8 of the 23.
    assert source.name_of(tf.constant(9)).numpy().endswith(b"tfrecord-00001-of-00003, record 1")
    mapped = tf.data.Dataset.range(23).map(source.load, num_parallel_calls=4)
    assert [int(label) for _, label in mapped] == [
        label for _, label in in_order_of_files(examples(step, kind)["train"])
    ]


@pytest.mark.parametrize("split", ["train[5:20]", "train[50%:]", "test+train[:3]"])
def test_slices_are_parts_of_files(data_dir, split):
    lying = {name: in_order_of_files(pairs) for name, pairs in examples(2, "JPEG").items()}
    expected = {
        "train[5:20]": lying["train"][5:20],
        "train[50%:]": lying["train"][12:],
        "test+train[:3]": lying["test"] + lying["train"][:3],
    }
    assert_reads(tfds_source("varied", split, data_dir, False), expected[split])


def test_a_damaged_file_of_records_is_named(data_dir, tmp_path):
    folder = write_set(tmp_path, "cut", examples(2, "JPEG"), (None, None, 3))
    path = folder / "cut-train.tfrecord-00001-of-00003"
    contents = path.read_bytes()
    source = tfds_source("cut", "train", tmp_path, False)
    path.write_bytes(contents[:-20])
    with pytest.raises(ValueError, match=r"00001-of-00003' must hold 8 whole records"):
        tfds_source("cut", "train", tmp_path, False)
    # TensorFlow's own exception in a graph.
    with pytest.raises((ValueError, tf.errors.OpError), match=r"record 7 cannot be read"):
        source.load(tf.constant(15, tf.int64))


@pytest.mark.parametrize(("change", "batch"), [(-1, 1000), (1, 1000), (-1, 22), (1, 23)])
def test_a_set_in_memory_must_have_the_images_of_its_description(
    tmp_path, change, batch, monkeypatch
):
    """Also where the images that are described, or those that are there, fill whole batches."""
    in_batches = tf.data.Dataset.batch
    monkeypatch.setattr(tf.data.Dataset, "batch", lambda data, _: in_batches(data, batch))
    folder = write_set(tmp_path, "small", examples(), (8, 10, 3))
    info = json.loads((folder / "dataset_info.json").read_text())
    [train] = [split for split in info["splits"] if split["name"] == "train"]
    train["shardLengths"][-1] = str(int(train["shardLengths"][-1]) + change)
    (folder / "dataset_info.json").write_text(json.dumps(info))
    described = sum(map(int, train["shardLengths"]))
    with pytest.raises(ValueError, match=f"must hold the {described} images .*'train' with others"):
        tfds_source("small", "train", tmp_path, False)


def test_a_missing_set_is_an_error_at_once_that_says_two_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="`--data-dir`") as error:
        open_source(Data(source="cifar10"), "train")
    for words in ("'cifar10'", str(tmp_path), "`--download`", "Received: source='cifar10'"):
        assert words in str(error.value)


def test_a_mistyped_name_is_told_by_the_nearest(tmp_path):
    prepare(tmp_path, "flowers/1.0.0", "birds/small/1.0.0")
    for name, meant in {"cifar01": "cifar10", "flower": "flowers", "brids": "birds"}.items():
        with pytest.raises(ValueError, match=f"Did you mean '{meant}'.* source='{name}'"):
            open_source(Data(source=name), "train", tmp_path)


def test_an_unknown_name_is_an_error_with_download_too(tmp_path):
    with pytest.raises(ValueError, match="Received: source='no_such_set'"):
        tfds_source("no_such_set", "train", tmp_path, download=True)


@pytest.mark.parametrize("split", ["dev", "train[:5", "train[:5]+dev"])
def test_an_unknown_split_is_an_error(data_dir, split):
    with pytest.raises(ValueError, match="has the splits train, test") as error:
        tfds_source("small", split, data_dir, False)
    assert f"Received: split={split!r}" in str(error.value)


def prepare(tmp_path, *folders):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "dataset_info.json").write_text("{}")


def test_versions_and_configurations_are_found(tmp_path):
    prepare(tmp_path, "one/3.9.0", "one/3.10.0", "two/big/1.0.0", "three/a/1.0.0", "three/b/1.0.0")
    assert find_prepared("one", tmp_path) == tmp_path / "one/3.10.0"
    assert find_prepared("one:3.9.0", tmp_path) == tmp_path / "one/3.9.0"
    assert find_prepared("one:4.0.0", tmp_path) is None
    assert find_prepared("two", tmp_path) == tmp_path / "two/big/1.0.0"
    assert find_prepared("three/b", tmp_path) == tmp_path / "three/b/1.0.0"
    assert find_prepared("four", tmp_path) is None
    with pytest.raises(ValueError, match=r"three/a, three/b; name one. Received: source='three'"):
        find_prepared("three", tmp_path)


def test_a_set_without_classes_is_an_error(tmp_path):
    folder = write_set(tmp_path, "bare", examples(), (8, 10, 3))
    features = json.loads((folder / "features.json").read_text())
    del features["featuresDict"]["features"]["label"]
    (folder / "features.json").write_text(json.dumps(features))
    with pytest.raises(ValueError, match="one image and one class label"):
        tfds_source("bare", "train", tmp_path, False)


def test_a_set_in_another_format_is_an_error(tmp_path):
    folder = write_set(tmp_path, "rows", examples(), (8, 10, 3))
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "array_record"}))
    with pytest.raises(ValueError, match="prepared as array_record"):
        tfds_source("rows", "train", tmp_path, False)


def test_the_label_may_have_another_name(tmp_path):
    write_set(tmp_path, "flowers", examples(2, "JPEG"), (None, None, 3), label_key="species")
    source = tfds_source("flowers", "test", tmp_path, False)
    assert_reads(source, in_order_of_files(examples(2, "JPEG")["test"]))


def test_cifar10(shared_data):
    source = open_source(Data(source="cifar10"), "test", shared_data / "tfds")
    assert source.images.shape == (10_000, 32, 32, 3)
    assert np.bincount(source.labels).tolist() == [1000] * 10
    assert source.class_names[3] == "cat"
    original = np.load(shared_data / "cifar10_test_first500.npz")
    wanted = original["images"][:6].reshape(6, -1).astype(np.int16)
    flat = source.images.reshape(10_000, -1).astype(np.int16)
    for image, label in zip(wanted, original["labels"], strict=False):
        nearest = np.abs(flat - image).mean(axis=1).argmin()  # these have been through JPEG
        assert source.labels[nearest] == label
