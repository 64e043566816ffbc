"""Bundled data sets, images in memory, and class folders of files."""

import os
import shutil

import numpy as np
import pytest
import sklearn.datasets
import sklearn.neighbors
import tensorflow as tf

from tests.training.data.pictures import encoded, smooth_picture, write_folder
from training.data import folder
from training.data.folder import FolderSource
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
    # A fifth of each class is for the test.
    counts = np.bincount(test.labels)
    np.testing.assert_allclose(counts / (counts + np.bincount(train.labels)), 0.2, atol=0.01)


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


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, -1, 1]])
def test_labels_that_are_not_classes_are_an_error(labels):
    images = np.zeros((3, 4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match=f"labels from {min(labels)} to {max(labels)}"):
        ArraySource("bad", images, np.array(labels, np.int64), ("a", "b"))


COUNTS = {"train": {"cat": 3, "ant": 2, "bee": 1}, "val": {"bee": 2, "cat": 1}}


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path, COUNTS)


def test_classes_and_files_are_sorted_and_read(root):
    source = FolderSource(root, "train")
    assert source.class_names == ("ant", "bee", "cat")
    assert source.labels.tolist() == [0, 0, 1, 2, 2, 2]
    names = [str(path.relative_to(root)) for path in source.paths]
    assert names == sorted(names)
    assert source.size == 6
    for index in range(6):
        contents, label = source.load(tf.constant(index, tf.int64))
        assert contents.numpy() == source.paths[index].read_bytes()
        assert int(label) == source.labels[index]
        assert source.name_of(tf.constant(index)).numpy().decode() == str(source.paths[index])


@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_the_test_split_may_have_any_of_three_names(root, name):
    os.rename(root / "val", root / name)
    source = open_source(Data(source=f"folder:{root}"), "test")
    assert source.class_names == ("ant", "bee", "cat")  # the training split's
    assert source.labels.tolist() == [1, 1, 2]


def test_a_folder_without_training_split_has_its_own_classes(root):
    os.rename(root / "train", root / "elsewhere")
    assert FolderSource(root, "test").class_names == ("bee", "cat")
    assert FolderSource(root, "elsewhere").class_names == ("ant", "bee", "cat")


def test_only_image_files_count(root):
    ant = root / "train" / "ant"
    (ant / "notes.txt").write_text("none of it")
    (ant / "._0.jpg").write_bytes(b"what macOS leaves behind")
    (ant / "Z.JPEG").write_bytes(encoded(smooth_picture(20, 20)))
    (ant / "z.png").write_bytes(encoded(smooth_picture(20, 20), "PNG"))
    (root / "train" / ".cache").mkdir()
    source = FolderSource(root, "train")
    names = [path.name for path in source.paths if path.parent == ant]
    assert names == ["000.jpg", "001.jpg", "Z.JPEG", "z.png"]
    assert source.class_names == ("ant", "bee", "cat")


def test_the_identifier_changes_with_names_and_sizes_but_not_with_the_place(root, tmp_path):
    identifier = FolderSource(root, "train").identifier
    assert FolderSource(root, "train").identifier == identifier
    os.rename(root / "train" / "ant" / "000.jpg", root / "train" / "ant" / "0000.jpg")
    renamed = FolderSource(root, "train").identifier
    with open(root / "train" / "bee" / "000.jpg", "ab") as file:
        file.write(b"\0")
    grown = FolderSource(root, "train").identifier
    assert len({identifier, renamed, grown}) == 3
    moved = root.with_name("moved")
    os.rename(root, moved)
    assert FolderSource(moved, "train").identifier == grown


def test_the_identifier_tells_other_contents_of_the_same_size_but_not_a_copy(root, tmp_path):
    identifier = FolderSource(root, "train").identifier
    copy = shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)  # other times
    os.utime(copy / "train" / "bee" / "000.jpg", (0, 0))
    assert FolderSource(copy, "train").identifier == identifier
    path = copy / "train" / "bee" / "000.jpg"
    for place in (0, path.stat().st_size - 1):
        before = FolderSource(copy, "train").identifier
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(b"?")
        assert FolderSource(copy, "train").identifier != before


def test_of_very_many_files_some_are_opened_at_even_distances(root, monkeypatch):
    opened = []
    monkeypatch.setattr(folder, "_ends", lambda path: opened.append(path) or b"")
    monkeypatch.setattr(folder, "MOST_OPENED", 3)
    source = FolderSource(root, "train")
    assert opened == source.paths[::2]


def test_what_is_missing_is_named(root):
    os.rename(root / "val", root / "dev")
    with pytest.raises(ValueError, match=r"'test' or 'val' or 'validation'.* split='test'"):
        FolderSource(root, "test")
    with pytest.raises(ValueError, match="Received: PATH='/none', split='train'"):
        open_source(Data(source="folder:/none"), "train")
    (root / "dev" / "dog").mkdir()
    with pytest.raises(ValueError, match="Received: dog"):
        FolderSource(root, "dev")
    (root / "empty" / "ant").mkdir(parents=True)
    with pytest.raises(ValueError, match="no such file in 3 folders"):
        FolderSource(root, "empty")


def test_symbolic_links_are_followed(root):
    os.symlink(root / "train" / "cat", root / "val" / "ant")
    np.testing.assert_array_equal(FolderSource(root, "test").labels, [0, 0, 0, 1, 1, 2])


def test_images_beside_the_folders_are_advised_on_only_where_there_are_no_folders(root, tmp_path):
    (root / "cover.png").touch()
    with pytest.raises(ValueError, match=r"needs a folder 'dev' in PATH") as raised:
        FolderSource(root, "dev")
    assert "images in PATH" not in str(raised.value)
    with pytest.raises(ValueError, match="There are images in PATH itself: if they are one class"):
        FolderSource(root / "train" / "ant", "train")
