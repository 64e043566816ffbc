"""Folders of images: one folder for each split, and in it one for each class."""

import hashlib
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data.source import Source

SUFFIXES = (".jpg", ".jpeg", ".png")
TEST_FOLDERS = ("test", "val", "validation")
END_BYTES = 4096  # of a file, at its beginning and at its end
MOST_OPENED = 10_000  # files, at even distances: 0.4 s if they are cached


class FolderSource(Source):
    """JPEG and PNG files in class folders. They are listed once, in order, and read when needed.

    A flat folder, which has its class folders at once and none for the splits, is split by
    `test_share`: see `is_of_test`.

    Attributes:
        folder: The split's folder.
        paths: The files.
        labels: Their labels, int64.
        special: Pipes, devices and sockets named like images, and links to them; not read.
        unknown_classes: Names of the split's folders that are not classes of the training split.
    """

    channels = 3
    encoded = True

    def __init__(self, root: Path, split: str, must_be_sound: bool = True, test_share: float = 0.0):
        flat = is_flat(root)
        _check_share(root, split, flat, test_share)
        self.folder = folder = root if flat else _split_folder(root, split)
        class_root = folder if flat or not (root / "train").is_dir() else root / "train"
        self.class_names = tuple(class_folders(class_root))
        unknown = sorted(set(class_folders(folder)) - set(self.class_names))
        self.unknown_classes = tuple(unknown)
        if unknown and must_be_sound:
            raise ValueError(
                f"Each class of {str(folder)!r} must be one of those in {str(class_root)!r}. "
                f"Received: {', '.join(unknown)}"
            )
        self.paths: list[Path] = []
        self.special: list[Path] = []
        labels = []
        for label, name in enumerate(self.class_names):
            files, special = _image_files(folder / name)
            if flat:
                tests = split == "test"
                files = [path for path in files if is_of_test(path, test_share) == tests]
            self.paths += files
            self.special += special
            labels += [label] * len(files)
        if self.special and must_be_sound:
            raise ValueError(
                "An image must be a regular file, or a link to one: reading a pipe or a device may "
                f"not end. Received: {str(self.special[0])!r}"
            )
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


def is_flat(root: Path) -> bool:
    """Whether images lie right in the folders of a folder, which are then classes, not splits."""
    train = root / "train"
    if not root.is_dir() or (train.is_dir() and class_folders(train)):
        return False
    names = class_folders(root)
    if {"train", *TEST_FOLDERS}.issuperset(names):  # splits without class folders, by mistake
        return False
    return any(any(_image_files(root / name)) for name in names)


def is_of_test(path: Path, share: float) -> bool:
    """Whether an image of a flat folder belongs to the test split, by a hash of the file.

    So the split is the same on every machine, it does not change where images are added, and
    copies of an image are in one part.
    """
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except OSError:  # for example a broken link
        return False
    return int.from_bytes(digest[:8]) < share * 2**64


def _check_share(root, split, flat, share):
    if not flat and share:
        raise ValueError(
            "`data.test_share` is for a folder with its class folders at once; this one has "
            f"folders for its splits. Received: data.test_share={share}, PATH={str(root)!r}"
        )
    if flat and not share:
        raise ValueError(
            f"{str(root)!r} has class folders and none for the splits: pass `--data.test-share "
            "0.2` (`evaluate` has `--test-share`) to test with a fifth of the images, chosen by "
            "their content, or make the folders `train` and `test`. Received: test_share=0.0"
        )
    if flat and split not in ("train", "test"):
        raise ValueError(
            "The splits of a folder without folders for them are 'train' and 'test'. "
            f"Received: split={split!r}"
        )


def _split_folder(root, split):
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
    if is_flat(root):
        return "train", "test"
    splits = class_folders(root) if root.is_dir() else []
    if not splits:
        raise ValueError(
            "`folder:PATH` needs a folder for each split in PATH, with a folder for each class in "
            f"it. Received: PATH={str(root)!r}"
        )
    return tuple(sorted(splits, key=lambda name: (name != "train", name)))


def class_folders(folder: Path) -> list[str]:
    """Returns the names of the folders in a folder, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
        )


def _image_files(folder):
    """Returns the image files in a folder, and pipes, devices and sockets named like images.

    A broken link counts as a file that cannot be read.
    """
    files, special = [], []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES):
                continue
            path = folder / entry.name
            if entry.is_file() or not os.path.exists(path):
                files.append(path)
            elif not entry.is_dir():
                special.append(path)
    return files, special


def _identifier(class_names, folder, paths):
    """Hashes names and sizes of all files, and both ends of up to ten thousand of them.

    Times are left out because a copy has others. Opening a million files would take minutes, and
    hours on a hard disk.
    """
    digest = hashlib.sha256("\n".join([*class_names, ""]).encode())
    every = max(1, -(-len(paths) // MOST_OPENED))
    for number, path in enumerate(paths):
        digest.update(os.fsencode(path.relative_to(folder)) + b"\0")
        try:
            digest.update(_ends(path) if number % every == 0 else b"%d" % path.stat().st_size)
        except OSError:  # for example a broken link
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
