"""Checks of a data set before training."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.data.decoding import STRIP, decoded_file, is_strip, what_is_wrong
from training.data.folder import FolderSource
from training.data.prepared import class_folders
from training.data.source import ArraySource, Source, why_not_loaded

# Errors make training fail or teach it something wrong; warnings are worth knowing.
ERRORS = {
    "broken": "cannot be decoded",
    "empty": "has no bytes",
    "strip": f"{STRIP}, and evaluation cannot resize it",
    "special": "not read: a pipe, device or socket, whose reading may not end",
    "label": "has a label that is not a class",
    "contradiction": "same pixels in several classes",
    "leak": "same pixels in several splits",
    "empty class": "a class without images",
    "empty split": "a split without images",
    "unknown class": "not read: not a class of the training split",
}
WARNINGS = {
    "huge": "more pixels than 50 million, or than 50 MB",
    "tiny": "a side shorter than 16 pixels",
    "grey": "one channel; it is read as three equal ones",
    "CMYK": "four printing colours; they are converted without a profile",
    "16-bit": "the lower 8 bits are dropped",
    "transparent": "has an alpha channel, which is dropped",
    "training strip": f"{STRIP}, which evaluation and the crops 'none' and 'pad' cannot resize",
    "animated": "only the first frame is read",
    "turned": "the orientation that the camera noted is ignored",
    "format": "the name says another format",
    "untested class": "a class without images in a split to test with",
    "duplicate": "same pixels as another image of its class and split",
    "other file": "not read: not a JPEG or PNG file by its name",
    "loose file": "not read: it is beside the class folders, not in one",
    "nested folder": "not read: a folder in a class folder",
    "hidden": "not read: its name begins with a dot",
}
HUGE_PIXELS = 50_000_000
HUGE_BYTES = 50_000_000
TINY_SIDE = 16
ORIENTATION = 0x0112  # the tag of EXIF
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something wrong or unusual: its kind, a key of `ERRORS` or `WARNINGS`, and where it is."""

    kind: str
    split: str
    name: str  # of the file, record or class
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class DatasetReport:
    """The number of images of each class in each split, and all findings."""

    class_counts: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether there are no errors; warnings do not count."""
        return not any(finding.kind in ERRORS for finding in self.findings)

    def values(self) -> dict[str, Any]:
        """Returns the report as JSON values: a list of findings, with the meaning of each kind."""
        kinds = {finding.kind for finding in self.findings}
        return {
            "sound": self.is_sound,
            "class_counts": self.class_counts,
            "errors": {kind: meaning for kind, meaning in ERRORS.items() if kind in kinds},
            "warnings": {kind: meaning for kind, meaning in WARNINGS.items() if kind in kinds},
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def print(self, console: Console, most: int = 10, most_classes: int = 30) -> None:
        """Prints a table of the classes, and the first findings of each kind."""
        console.print(self._class_table(most_classes))
        kinds = Counter(finding.kind for finding in self.findings)
        for meanings, colour in ((ERRORS, "red"), (WARNINGS, "yellow")):
            for kind in (kind for kind in meanings if kinds[kind]):
                console.print(f"[bold {colour}]{kinds[kind]:,} {kind}[/]: {meanings[kind]}")
                named = [finding for finding in self.findings if finding.kind == kind]
                for finding in named[:most]:
                    detail = f": {finding.detail}" if finding.detail else ""
                    text = Text(f"  {finding.split}  {finding.name}{detail}")
                    console.print(text, soft_wrap=True)
                if len(named) > most:
                    console.print(f"  and {len(named) - most:,} more")
        images = sum(sum(counts.values()) for counts in self.class_counts.values())
        errors = sum(kinds[kind] for kind in ERRORS)
        counts = {"error": errors, "warning": len(self.findings) - errors}
        words = ", ".join(f"{n:,} {word}{'' if n == 1 else 's'}" for word, n in counts.items())
        console.print(f"{images:,} images: {words}.", highlight=False)

    def _class_table(self, most):
        splits = list(self.class_counts)
        table = Table(title="Images of each class", title_justify="left")
        table.add_column("class")
        for split in splits:
            table.add_column(Text(split), justify="right")
        names = dict.fromkeys(name for counts in self.class_counts.values() for name in counts)
        rows = {name: [self.class_counts[split].get(name, 0) for split in splits] for name in names}
        shown = sorted(names, key=rows.__getitem__)[:most] if len(names) > most else names
        for name in shown:
            table.add_row(Text(name), *[f"{count:,}" for count in rows[name]])
        if len(names) > most:
            table.add_row(f"and {len(names) - most:,} classes with more")
        table.add_section()
        table.add_row("all", *[f"{sum(column):,}" for column in zip(*rows.values(), strict=True)])
        return table


CHUNK = 256

Seen = tuple[int | None, bytes | None, list[tuple[str, str]]]
"""An example's label if it is known, a hash of its pixels if decoded, and what was found."""


def validate(
    sources: Mapping[str, Source], progress: Callable[[int], None] | None = None
) -> DatasetReport:
    """Reads every image of a data set and reports what is broken, unusual or duplicated."""
    findings: list[Finding] = []
    class_counts = {}
    folders: dict[Path, dict[str, FolderSource]] = {}
    places: dict[bytes, list[tuple[str, int, int]]] = {}
    read = 0
    for split, source in sources.items():
        counts = dict.fromkeys(source.class_names, 0)
        for index, (label, digest, found) in enumerate(_examples(split, source)):
            if label is not None and 0 <= label < len(counts):
                counts[source.class_names[label]] += 1
            elif label is not None:
                found.append(("label", f"{label}, of {len(counts)} classes"))
            if digest is not None and label is not None:
                places.setdefault(digest, []).append((split, index, label))
            findings += [Finding(kind, split, _name(source, index), why) for kind, why in found]
            read += 1
            if progress is not None:
                progress(read)
        class_counts[split] = counts
        kind = "empty class" if split.partition("[")[0] == "train" else "untested class"
        findings += [Finding(kind, split, name) for name in counts if not counts[name]]
        if isinstance(source, FolderSource):
            folders.setdefault(source.folder, {})[split] = source
    for of_folder in folders.values():
        findings += _unread(of_folder)
    for same in places.values():
        findings += _twins(same, sources)
    return DatasetReport(class_counts, tuple(findings))


def _examples(split: str, source: Source) -> Iterator[Seen]:
    """Reads all examples, in order."""
    if isinstance(source, ArraySource):
        for image, label in zip(source.images, source.labels, strict=True):
            yield int(label), _digest(image), []
        return
    # In training, random crops are cut out of a strip before they are resized.
    strip = "training strip" if split.partition("[")[0] == "train" else "strip"

    def seen(index):
        try:
            contents, label = source.load(tf.constant(index, tf.int64))
        except tf.errors.OpError as error:
            label = int(source.labels[index]) if isinstance(source, FolderSource) else None
            return label, None, [("broken", why_not_loaded(error))]
        contents, label = contents.numpy(), int(label)
        found = list(findings_in(contents, _name(source, index)))
        if not contents:
            return label, None, found
        try:
            pixels = decoded_file(contents, source.channels)
        except tf.errors.OpError:
            return label, None, [*found, ("broken", what_is_wrong(contents))]
        if is_strip(pixels.shape):
            found.append((strip, "×".join(map(str, pixels.shape[1::-1]))))
        return label, _digest(pixels.numpy()), found

    # Decoding releases Python's lock. A chunk at a time, because results wait for their turn.
    with concurrent.futures.ThreadPoolExecutor() as threads:
        for start in range(0, source.size, CHUNK):
            yield from threads.map(seen, range(start, min(start + CHUNK, source.size)))


def findings_in(contents: bytes, name: str) -> Iterator[tuple[str, str]]:
    """Looks at an image file's header."""
    if not contents:
        yield "empty", ""
        return
    if len(contents) > HUGE_BYTES:
        yield "huge", f"{len(contents) / 1e6:.0f} MB"
    # The decoder reports a broken file; what Pillow finds too large is huge.
    errors = (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError)
    with contextlib.suppress(*errors), Image.open(io.BytesIO(contents)) as image:
        yield from _findings_in_header(image, contents, name)


def _findings_in_header(image, contents, name):
    width, height = image.size
    if width * height > HUGE_PIXELS and len(contents) <= HUGE_BYTES:  # else reported already
        yield "huge", f"{width}×{height}"
    if min(width, height) < TINY_SIDE:
        yield "tiny", f"{width}×{height}"
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I"):
        yield "grey", f"mode {image.mode}"
    if image.mode == "CMYK":
        yield "CMYK", ""
    # The depth of a PNG's samples is in its header; Pillow reduces 16-bit colours to 8.
    if image.format == "PNG" and contents[24] == 16:
        yield "16-bit", ""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        yield "transparent", ""
    if getattr(image, "is_animated", False):
        yield "animated", f"{image.n_frames} frames"
    if 1 < image.getexif().get(ORIENTATION, 1) <= 8:
        yield "turned", f"orientation {image.getexif()[ORIENTATION]}"
    suffix = f".{name.rsplit('.')[-1].lower()}"
    if FORMATS.get(suffix, image.format) != image.format:
        yield "format", f"it is a {image.format} file"


def _unread(sources):
    """Yields what the splits in one folder pass over, each with the reason."""
    for split, source in sources.items():
        if not source.size:
            yield Finding("empty split", split, str(source.folder))
    split, source = next(iter(sources.items()))
    classes = class_folders(source.folder)
    for name in source.unknown_classes:
        yield Finding("unknown class", split, str(source.folder / name), "its files are not read")
    read = {path for each in sources.values() for path in each.paths}
    for path in sorted(source.folder.iterdir()):
        if path.name not in classes:
            yield Finding("hidden" if path.name[0] == "." else "loose file", split, str(path))
    for name in source.class_names:
        folder = source.folder / name
        for path in sorted(set(folder.iterdir()) - read) if folder.is_dir() else ():
            if path.name.startswith("."):
                kind = "hidden"
            elif path in source.special:
                kind = "special"
            else:
                kind = "nested folder" if path.is_dir() else "other file"
            yield Finding(kind, split, str(path))


def _twins(same, sources):
    """Yields one finding for each further place of the same pixels."""
    first_split, first_index, first_label = same[0]
    first_name = f"{first_split}, {_name(sources[first_split], first_index)}"
    for split, index, label in same[1:]:
        kind = "contradiction" if label != first_label else "duplicate"
        kind = "leak" if split != first_split else kind
        yield Finding(kind, split, _name(sources[split], index), f"as {first_name}")


def _name(source: Source, index: int) -> str:
    return source.name_of(tf.constant(index, tf.int64)).numpy().decode()


def _digest(pixels):
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()
