"""Folders of images: one folder for each split, and in it one for each class."""

import contextlib
import functools
import hashlib
import math
import os
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data.prepared import SUFFIXES, class_folders, folder_of_split, image_files
from training.data.source import Source

END_BYTES = 4096  # of a file, at its beginning and at its end
PLACES = 2**64
MOST_OPENED = 10_000  # files, at even distances: 0.4 s if they are cached


class FolderSource(Source):
    """JPEG and PNG files in class folders. They are listed once, in order, and read when needed.

    A flat folder, which has its class folders at once and none for the splits, is split by
    `test_share`: see `places_in_split`.
    """

    channels = 3
    encoded = True
    special: list[Path]  # pipes, devices and sockets named like images, and links to them; not read
    unknown_classes: tuple[str, ...]  # folders that are not classes of the training split

    def __init__(self, root: Path, split: str, must_be_sound: bool = True, test_share: float = 0.0):
        folder, flat = folder_of_split(root, split, test_share)
        self.folder = folder
        class_root = folder if flat or not (root / "train").is_dir() else root / "train"
        self.class_names = tuple(class_folders(class_root))
        self.unknown_classes = tuple(sorted(set(class_folders(folder)) - set(self.class_names)))
        if self.unknown_classes and must_be_sound:
            raise ValueError(
                f"Each class of {str(folder)!r} must be one of those in {str(class_root)!r}. "
                f"Received: {', '.join(self.unknown_classes)}"
            )
        found = {name: image_files(folder / name) for name in self.class_names}
        self.special = [path for _, special in found.values() for path in special]
        of_classes = {name: files for name, (files, _) in found.items()}
        if flat:
            of_classes = _part(of_classes, split, test_share, must_be_sound)
        self.paths = [path for files in of_classes.values() for path in files]
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
        counts = [len(files) for files in of_classes.values()]
        self.labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        self.identifier = _identifier(self.class_names, folder, self.paths)
        with tf.device("CPU"):
            self._paths = tf.constant([str(path) for path in self.paths], tf.string)
            self._labels = tf.constant(self.labels)

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.io.read_file(self.name_of(index)), tf.gather(self._labels, index)

    def name_of(self, index: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._paths, index)


def _part(of_classes, split, share, must_be_sound):
    """Returns the files of each class of a flat folder that are in a split.

    A class must have an image to train on. One without a test image is warned of.
    """
    present = [path for files in of_classes.values() for path in files if path.exists()]
    status = [path.stat() for path in present]
    places = places_in_split(
        tuple(present), tuple((each.st_size, each.st_mtime_ns) for each in status)
    )
    tests = {path for path, place in places.items() if place < share * PLACES}
    parts = {
        name: [path for path in files if (path in tests) == (split == "test")]
        for name, files in of_classes.items()
    }
    empty = [name for name, files in parts.items() if not files]
    if empty and must_be_sound:
        message = (
            f"By `data.test_share`, no image of {', '.join(map(repr, empty))} is in the {split} "
            f"split: {_share_for_all(of_classes, places)}add images to "
            f"{'it' if len(empty) == 1 else 'them'}, or make the folders `train` and `test`. "
            f"Received: data.test_share={share}"
        )
        if split == "train":
            raise ValueError(message)
        warnings.warn(message, stacklevel=3)
    return parts


@functools.lru_cache(maxsize=1)  # both splits are opened one after the other
def places_in_split(
    paths: tuple[Path, ...], sizes_and_times: tuple[tuple[int, int], ...] = ()
) -> dict[Path, int]:
    """Returns a number below `PLACES` for each file of a flat folder, by a hash of its content.

    The files in the first part, which `test_share` gives, are the test split. So it is the same on
    every machine, it does not change where images are added, and copies of an image are in one
    part. Files with other sizes or times are read again.
    """
    places = {}
    for path in paths:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            places[path] = int.from_bytes(digest[:8])
    return places


def _share_for_all(of_classes, places):
    """Returns the advice of a share with which each class has images in both parts, if any has."""
    of_class = [[places[path] for path in files if path in places] for files in of_classes.values()]
    if not all(of_class):
        return ""
    least = (math.floor(100 * max(map(min, of_class)) / PLACES) + 1) / 100
    can_be = least * PLACES <= min(map(max, of_class))
    return f"pass --data.test-share {least:g}, " if can_be else ""


def _identifier(class_names, folder, paths):
    """Hashes names and sizes of all files, and both ends of up to ten thousand of them."""
    # Without times, for a copy has others. Opening a million files would take minutes.
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
