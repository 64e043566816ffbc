"""Sources without files."""

import numpy as np
import pytest
import sklearn.datasets
import sklearn.neighbors
import tensorflow as tf

from training.data.source import ArraySource, digits, synthetic
from training.data.sources import open_source
from training.recipe.recipe import Data


def test_digits_are_all_there_once_with_their_labels():
    train, test = digits("train"), digits("test")
    assert (train.size, test.size) == (1437, 360)
    assert train.class_names == tuple("0123456789")
    assert train.channels == 1
    images, labels = sklearn.datasets.load_digits(return_X_y=True)

    def rows(images, labels):
        return sorted(map(tuple, np.column_stack([images.reshape(len(labels), -1), labels])))

    scaled = np.round(images * 255 / 16).astype(int)
    both = np.concatenate([train.images, test.images]).astype(int)
    assert rows(both, np.concatenate([train.labels, test.labels])) == rows(scaled, labels)


def test_each_class_of_digits_gives_a_fifth_to_the_test():
    train, test = (np.bincount(digits(split).labels) for split in ("train", "test"))
    np.testing.assert_allclose(test / (train + test), 0.2, atol=0.01)


def test_synthetic_is_the_same_each_time_and_differs_between_splits():
    one, again, other = synthetic("train", 16), synthetic("train", 16), synthetic("test", 16)
    np.testing.assert_array_equal(one.images, again.images)
    assert one.identifier == again.identifier != other.identifier
    assert (one.images[: other.size] != other.images).mean() > 0.9
    assert one.image_shape == (16, 16)


def test_synthetic_can_be_learned():
    train, test = synthetic("train", 12), synthetic("test", 12)
    colours = [source.images.mean(axis=(1, 2)) for source in (train, test)]
    model = sklearn.neighbors.NearestCentroid().fit(colours[0], train.labels)
    assert model.score(colours[1], test.labels) > 0.9


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_an_unknown_split_is_an_error(name):
    with pytest.raises(ValueError, match="Received: split='validation'"):
        open_source(Data(source=name, mean=(0.5,), std=(0.5,)), "validation")


def test_an_array_source_is_read_one_by_one_or_many_at_once(rng):
    images = rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    source = ArraySource("six", images, np.array([0, 1, 1, 0, 1, 0]), ("a", "b"))
    image, label = source.load(tf.constant(2, tf.int64))
    np.testing.assert_array_equal(image, images[2])
    assert int(label) == 1
    many, labels = source.load(tf.constant([5, 1], tf.int64))
    np.testing.assert_array_equal(many, images[[5, 1]])
    assert labels.numpy().tolist() == [0, 1]
    assert source.name_of(tf.constant(4)).numpy() == b"six, example 4"
    assert (source.size, source.channels, source.image_shape) == (6, 3, (4, 5))


def test_the_identifier_changes_with_pixels_labels_and_names(rng):
    images = rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    labels = np.array([0, 1, 1, 0, 1, 0])
    changed = images.copy()
    changed[3, 2, 1, 0] ^= 1
    identifiers = {
        ArraySource("six", images, labels, ("a", "b")).identifier,
        ArraySource("six", changed, labels, ("a", "b")).identifier,
        ArraySource("six", images, 1 - labels, ("a", "b")).identifier,
        ArraySource("six", images, labels, ("a", "c")).identifier,
        ArraySource("sex", images, labels, ("a", "b")).identifier,
    }
    assert len(identifiers) == 5


@pytest.mark.parametrize(
    ("shape", "dtype", "labels", "words"),
    [
        ((6, 4, 5, 3), np.float32, [0] * 6, "images of float32"),
        ((6, 4, 5), np.uint8, [0] * 6, r"shape \(6, 4, 5\)"),
        ((6, 4, 5, 3), np.uint8, [0] * 5, "6 images and labels of shape"),
        ((0, 4, 5, 3), np.uint8, [], "0 images"),
        ((6, 4, 5, 3), np.uint8, [0, 1, 2, 0, 0, 0], "labels from 0 to 2"),
        ((6, 4, 5, 3), np.uint8, [0, -1, 0, 0, 0, 0], "labels from -1 to 0"),
    ],
)
def test_arrays_that_do_not_fit_are_an_error(shape, dtype, labels, words):
    with pytest.raises(ValueError, match=words):
        ArraySource("bad", np.zeros(shape, dtype), np.array(labels, np.int64), ("a", "b"))
