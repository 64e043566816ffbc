"""Folders of one's own pictures: a folder a split, in it a folder a class."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data.source import Source

SUFFIXES = (".jpg", ".jpeg", ".png")
TEST_FOLDERS = ("test", "val", "validation")
END_BYTES = 4096  # of a file, at its beginning and at its end
MOST_OPENED = 10_000  # files, at even distances: 0.4 s where they are cached


class FolderSource(Source):
    """JPEG and PNG files in class folders. They are listed once, in order, and read when needed.

    Attributes:
        folder: The split's folder.
        paths: The files.
        labels: Their labels, int64.
        special: Pipes, devices and sockets named like images, and links to them; not read.
        unknown_classes: Names of the split's folders that are no classes of the training split.
    """

    channels = 3
    encoded = True

    def __init__(self, root: Path, split: str, must_be_sound: bool = True):
        self.folder = folder = split_folder(root, split)
        self.class_names = tuple(class_folders(_class_root(root, folder)))
        unknown = sorted(set(class_folders(folder)) - set(self.class_names))
        self.unknown_classes = tuple(unknown)
        if unknown and must_be_sound:
            raise ValueError(
                f"Each class of {str(folder)!r} must be one of those in "
                f"{str(_class_root(root, folder))!r}. Received: {', '.join(unknown)}"
            )
        self.special = special_files(folder, self.class_names)
        if self.special and must_be_sound:
            raise ValueError(
                "A file of images must be a regular file, or a link to one: reading a pipe or a "
                f"device may not end. Received: {str(self.special[0])!r}"
            )
        self.paths: list[Path] = []
        labels = []
        for label, name in enumerate(self.class_names):
            files = image_files(folder / name)
            self.paths += files
            labels += [label] * len(files)
        if not self.paths and must_be_sound:
            raise ValueError(
                f"There must be images ({', '.join(SUFFIXES)}) in class folders of "
                f"{str(folder)!r}. Received: no such file in {len(self.class_names)} folders"
            )
        self.size = len(self.paths)
        self.labels = np.array(labels, np.int64)
        self.identifier = _identifier(self.class_names, folder, self.paths)
        with tf.device("CPU"):
            self._paths = tf.constant([str(path) for path in self.paths], tf.string)
            self._labels = tf.constant(self.labels)

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.io.read_file(self.name_of(index)), tf.gather(self._labels, index)

    def name_of(self, index: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._paths, index)


def split_folder(root: Path, split: str) -> Path:
    """Finds the folder of a split."""
    names = TEST_FOLDERS if split == "test" else (split,)
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise ValueError(
        f"`folder:PATH` needs a folder {' or '.join(repr(name) for name in names)} in PATH, with a "
        f"folder for each class in it. Received: PATH={str(root)!r}, split={split!r}"
    )


def folder_splits(root: Path) -> tuple[str, ...]:
    """Returns the names of the splits in a folder, `train` before the others."""
    splits = class_folders(root) if root.is_dir() else []
    if not splits:
        raise ValueError(
            "`folder:PATH` needs a folder for each split in PATH, with a folder for each class in "
            f"it. Received: PATH={str(root)!r}"
        )
    return tuple(sorted(splits, key=lambda name: (name != "train", name)))


def class_folders(folder: Path) -> list[str]:
    """Returns the names of a folder's folders, sorted; those that begin with a dot do not count."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
        )


def image_files(folder: Path) -> list[Path]:
    """Returns the image files right in a folder, sorted; none where there is no such folder.

    A link to nothing is one of them: a bad image, if it comes to be read.
    """
    return [
        folder / entry.name
        for entry in _named_like_images(folder)
        if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry))
    ]


def special_files(folder: Path, class_names: Iterable[str]) -> list[Path]:
    """Returns what is named like an image in class folders, and is neither a file nor a folder."""
    return [
        folder / name / entry.name
        for name in class_names
        for entry in _named_like_images(folder / name)
        if os.path.exists(entry) and not entry.is_file() and not entry.is_dir()
    ]


def _named_like_images(folder):
    """Returns the entries of a folder by their names, sorted."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        named = [
            entry
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")
        ]
    return sorted(named, key=lambda entry: entry.name)


def _class_root(root, folder):
    return root / "train" if (root / "train").is_dir() else folder


def _identifier(class_names, folder, paths):
    """Hashes names and sizes of all files, and both ends of up to ten thousand of them.

    Times do not count, for a copy on another machine has others. To open a million files for their
    contents would take minutes, and hours from a disk with a moving head.
    """
    digest = hashlib.sha256("\n".join([*class_names, ""]).encode())
    every = max(1, -(-len(paths) // MOST_OPENED))
    for number, path in enumerate(paths):
        digest.update(os.fsencode(path.relative_to(folder)) + b"\0")
        try:
            digest.update(_ends(path) if number % every == 0 else b"%d" % path.stat().st_size)
        except OSError:  # a link to nothing, for instance: a bad image, if it comes to be read
            digest.update(b"unreadable")
        digest.update(b"\n")
    return digest.hexdigest()


def _ends(path):
    """Returns a file's size, its first and its last bytes."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(END_BYTES)
        file.seek(max(size - END_BYTES, 0))
        return b"%d" % size + first + file.read(END_BYTES)
