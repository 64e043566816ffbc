"""Reading a whole data set before training, to find what is broken in it."""

import concurrent.futures
import hashlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from training.data.bad_images import is_strip, why_not_loaded
from training.data.dataset_report import DatasetReport, Finding
from training.data.folder import FolderSource, class_folders
from training.data.inspection import findings_in, pixels_of
from training.data.source import ArraySource, Source

CHUNK = 256

Seen = tuple[int | None, bytes | None, list[tuple[str, str]]]
"""An example's label if it is known, a hash of its pixels if decoded, and what was found."""


def validate(
    sources: Mapping[str, Source], progress: Callable[[int], None] | None = None
) -> DatasetReport:
    """Reads every image of a data set and reports what is broken, unusual or there twice.

    Args:
        sources: The splits, by name.
        progress: Called with the number of images read so far.

    Returns:
        The report. Two images are the same if their decoded pixels are.

    Example:

    >>> from training.data.bundled import digits
    >>> validate({"train": digits("train"), "test": digits("test")}).is_sound
    True
    """
    findings: list[Finding] = []
    class_counts = {}
    places: dict[bytes, list[tuple[str, int, int]]] = {}
    read = 0
    for split, source in sources.items():
        counts = np.zeros(len(source.class_names), np.int64)
        for index, (label, digest, found) in enumerate(_examples(source)):
            if label is not None and 0 <= label < len(counts):
                counts[label] += 1
            elif label is not None:
                found.append(("label", f"{label}, of {len(counts)} classes"))
            if digest is not None and label is not None:
                places.setdefault(digest, []).append((split, index, label))
            findings += [
                Finding(kind, split, _name(source, index), detail) for kind, detail in found
            ]
            read += 1
            if progress is not None:
                progress(read)
        class_counts[split] = dict(zip(source.class_names, counts.tolist(), strict=True))
        findings += _class_findings(split, source, counts)
    for same in places.values():
        if len(same) > 1:
            findings += _twins(same, sources)
    return DatasetReport(class_counts, tuple(findings))


def _examples(source: Source) -> Iterator[Seen]:
    """Reads all examples, in order."""
    if isinstance(source, ArraySource):
        for image, label in zip(source.images, source.labels, strict=True):
            yield int(label), _digest(image), []
        return

    def seen(index):
        try:
            contents, label = source.load(tf.constant(index, tf.int64))
        except tf.errors.OpError as error:
            label = int(source.labels[index]) if isinstance(source, FolderSource) else None
            return label, None, [("broken", why_not_loaded(error))]
        contents = contents.numpy()
        found = list(findings_in(contents, _name(source, index)))
        pixels = pixels_of(contents, source.channels) if contents else ""
        if isinstance(pixels, str):
            return int(label), None, found + ([("broken", pixels)] if pixels else [])
        if is_strip(pixels.shape):
            found.append(("strip", "×".join(map(str, pixels.shape[1::-1]))))
        return int(label), _digest(pixels.numpy()), found

    # Decoding lets go of Python's lock. A chunk at a time, for results wait for their turn.
    with concurrent.futures.ThreadPoolExecutor() as threads:
        for start in range(0, source.size, CHUNK):
            yield from threads.map(seen, range(start, min(start + CHUNK, source.size)))


def _class_findings(split, source, counts):
    """Yields classes without images, and what stands in a split's folder and is not read."""
    for name, count in zip(source.class_names, counts, strict=True):
        if count == 0:
            yield Finding("empty class", split, name)
    if isinstance(source, FolderSource):
        yield from _unread(split, source)


def _unread(split, source):
    """Yields what a folder source passes over, each with the reason."""
    if not source.size:
        yield Finding("empty split", split, str(source.folder))
    classes = class_folders(source.folder)
    for name in source.unknown_classes:
        yield Finding("unknown class", split, str(source.folder / name), "its files are not read")
    for path in sorted(source.folder.iterdir()):
        if path.name.startswith("."):
            yield Finding("hidden", split, str(path))
        elif path.name not in classes:
            yield Finding("loose file", split, str(path))
    read = set(source.paths)
    for name in classes:
        for path in sorted((source.folder / name).iterdir()):
            if path in read or name in source.unknown_classes:
                continue
            if path.name.startswith("."):
                yield Finding("hidden", split, str(path))
            elif path in source.special:
                yield Finding("special", split, str(path))
            elif path.is_dir():
                yield Finding("nested folder", split, str(path))
            else:
                yield Finding("other file", split, str(path))


def _twins(same, sources):
    """Yields one finding for each further place of the same pixels."""
    first_split, first_index, first_label = same[0]
    first_name = f"{first_split}, {_name(sources[first_split], first_index)}"
    for split, index, label in same[1:]:
        if split != first_split:
            kind = "leak"
        elif label != first_label:
            kind = "contradiction"
        else:
            kind = "duplicate"
        yield Finding(kind, split, _name(sources[split], index), f"as {first_name}")


def _name(source: Source, index: int) -> str:
    return source.name_of(tf.constant(index, tf.int64)).numpy().decode()


def _digest(pixels):
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()
