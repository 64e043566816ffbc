"""Looking at a whole data set."""

import io
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

from tests.training.data.pictures import array_source, encoded, smooth_picture, write_folder
from training.data.decoding import crop_resized, image_shape, what_is_wrong
from training.data.folder import FolderSource
from training.data.source import ArraySource
from training.data.validate import ERRORS, WARNINGS, DatasetReport, Finding, findings_in, validate

PICTURE = smooth_picture(30, 40, seed=1000)
JPEG = encoded(PICTURE)


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def with_orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return saved(Image.fromarray(PICTURE), "JPEG", exif=exif)


def deep_png(pixels):
    return tf.io.encode_png(tf.cast(pixels, tf.uint16) * 255).numpy()


IMAGE = Image.fromarray(PICTURE)
FILES = {
    "cut.jpg": (JPEG[:-300], ["broken"]),
    "empty.jpg": (b"", ["empty"]),
    "text.jpg": (b"This is a shopping list.", ["broken"]),
    "grey.jpg": (saved(IMAGE.convert("L"), "JPEG"), ["grey"]),
    "cmyk.jpg": (saved(IMAGE.convert("CMYK"), "JPEG"), ["CMYK"]),
    "deep.png": (deep_png(PICTURE), ["16-bit"]),
    "deep_grey.png": (deep_png(PICTURE[..., :1]), ["grey", "16-bit"]),
    "clear.png": (saved(IMAGE.convert("RGBA"), "PNG"), ["transparent"]),
    "tiny.png": (saved(IMAGE.resize((40, 10)), "PNG"), ["tiny"]),
    "turned.jpg": (with_orientation(6), ["turned"]),
    "upright.jpg": (with_orientation(1), []),
    "really_a.png": (JPEG + b"\0", ["format"]),
    "fine.jpeg": (encoded(smooth_picture(30, 40, seed=2000)), []),
    "palette.png": (saved(IMAGE.quantize(16), "PNG"), []),
}


def kinds(report):
    return Counter(finding.kind for finding in report.findings)


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_file_is_recognized(tmp_path, name):
    contents, expected = FILES[name]
    root = write_folder(tmp_path, {"train": {"a": 2}})
    (root / "train" / "a" / name).write_bytes(contents)
    report = validate({"train": FolderSource(root, "train")})
    assert [finding.kind for finding in report.findings] == expected
    if name in ("cut.jpg", "text.jpg"):
        assert report.findings[0].detail == what_is_wrong(contents)
    assert all(finding.name == str(root / "train" / "a" / name) for finding in report.findings)
    assert report.is_sound == (not set(expected) & set(ERRORS))
    assert report.class_counts == {"train": {"a": 3}}


def test_huge_images_are_told_by_their_header_or_length(monkeypatch):
    wide = saved(Image.new("1", (10_000, 5_001)), "PNG")
    assert ("huge", "10000×5001") in list(findings_in(wide, "wide.png"))
    monkeypatch.setattr("training.data.validate.HUGE_BYTES", 100)
    assert next(iter(findings_in(JPEG, "a.jpg")))[0] == "huge"


def test_what_validate_calls_broken_neither_training_nor_evaluation_reads_whole(tmp_path, rng):
    """Bytes are changed, and the file cut, at random: the whole image is read by all or by none."""
    folder = tmp_path / "train" / "a"
    folder.mkdir(parents=True)
    for number in range(60):
        contents = bytearray(JPEG)
        if number % 3:
            contents[rng.integers(2, len(contents))] = rng.integers(256)
        else:
            del contents[rng.integers(2, len(contents)) :]
        (folder / f"{number:02}.jpg").write_bytes(contents)
    source = FolderSource(tmp_path, "train")
    findings = validate({"train": source}).findings
    broken = {finding.name for finding in findings if finding.kind == "broken"}
    assert 20 <= len(broken) < 60
    for path in source.paths:
        contents = tf.constant(path.read_bytes())
        try:
            shape = image_shape(contents, source)
            crop_resized(contents, tf.concat([[0, 0], shape], 0), source, 64)
            reads = True
        except tf.errors.OpError:
            reads = False
        assert reads == (str(path) not in broken), path


@pytest.mark.parametrize(
    ("split", "kind"),
    [
        *(("test", "strip"), ("validation", "strip"), ("training", "strip")),
        *(("train", "training strip"), ("train[:90%]", "training strip")),
    ],
)
def test_a_strip_that_cannot_be_resized_is_an_error_but_where_it_is_cut(tmp_path, split, kind):
    """Evaluation resizes whole images, and so do some recipes' crops in training."""
    folder = tmp_path / "test" / "a"
    folder.mkdir(parents=True)
    for width in (1600, 1601):
        Image.new("RGB", (width, 16)).save(folder / f"{width}.png")
    report = validate({split: FolderSource(tmp_path, "test")})
    (finding,) = report.findings
    assert (finding.kind, finding.name[-8:], finding.detail) == (kind, "1601.png", "1601×16")
    assert report.is_sound == (kind in WARNINGS)


def test_twins_are_duplicates_contradictions_or_leaks(tmp_path):
    root = write_folder(tmp_path, {"train": {"a": 2, "b": 2}, "test": {"a": 1, "b": 1}})
    for place in ("train/a/x.jpg", "train/a/y.jpg", "train/b/z.jpg", "test/a/w.jpg"):
        (root / place).write_bytes(JPEG)
    # The same pixels in another file format.
    Image.open(io.BytesIO(JPEG)).save(root / "test/b/v.png")
    sources = {split: FolderSource(root, split) for split in ("train", "test")}
    report = validate(sources)
    assert not report.is_sound
    found = [
        (finding.kind, finding.split, finding.name.removeprefix(f"{root}/"))
        for finding in report.findings
    ]
    assert found == [
        ("duplicate", "train", "train/a/y.jpg"),
        ("contradiction", "train", "train/b/z.jpg"),
        ("leak", "test", "test/a/w.jpg"),
        ("leak", "test", "test/b/v.png"),
    ]
    assert all("train/a/x.jpg" in finding.detail for finding in report.findings)


def test_everything_that_is_not_read_is_named(tmp_path):
    root = write_folder(tmp_path, {"train": {"a": 2, "b": 1}, "test": {"a": 1, "b": 1, "c": 1}})
    train, test = root / "train", root / "test"
    write_folder(train / "a", {"": {"more": 1}})
    unread = {
        train / ".cache": "hidden",
        train / "README": "loose file",
        train / "loose.jpg": "loose file",
        train / "a" / "._0.jpg": "hidden",
        train / "a" / "more": "nested folder",
        train / "a" / "notes.txt": "other file",
        test / "c": "unknown class",
    }
    for path in unread:
        if not path.exists():
            path.write_bytes(b"something")
    sources = {split: FolderSource(root, split, must_be_sound=False) for split in ("train", "test")}
    report = validate(sources)
    assert {Path(finding.name): finding.kind for finding in report.findings} == unread
    assert len(report.findings) == len(unread)
    assert not report.is_sound  # for the class without a counterpart
    assert report.class_counts == {"train": {"a": 2, "b": 1}, "test": {"a": 1, "b": 1}}


def test_a_pipe_and_a_device_are_not_read(tmp_path):
    root = write_folder(tmp_path, {"train": {"a": 2}})
    folder = root / "train" / "a"
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "link.jpg").symlink_to("000.jpg")
    with pytest.raises(ValueError, match=r"must be a regular file.*Received: .*pipe\.jpg"):
        FolderSource(root, "train")
    report = validate({"train": FolderSource(root, "train", must_be_sound=False)})
    assert [(finding.kind, Path(finding.name).name) for finding in report.findings] == [
        ("special", "pipe.jpg"),
        ("special", "zero.png"),
        ("duplicate", "link.jpg"),
    ]
    assert report.class_counts == {"train": {"a": 3}}
    assert not report.is_sound


def test_links_to_nothing_are_broken_and_folders_named_like_images_not_read(tmp_path):
    root = write_folder(tmp_path, {"train": {"a": 2}})
    (root / "train" / "a" / "x.jpg").symlink_to("nowhere.jpg")
    (root / "train" / "a" / "y.jpg").mkdir()
    report = validate({"train": FolderSource(root, "train")})
    assert kinds(report) == {"broken": 1, "nested folder": 1}
    (broken,) = (finding for finding in report.findings if finding.kind == "broken")
    assert broken.detail == "No such file or directory"
    assert report.class_counts == {"train": {"a": 3}}


def test_a_split_without_images_is_a_finding(tmp_path):
    root = write_folder(tmp_path, {"train": {"a": 2}, "test": {"a": 0}})
    sources = {split: FolderSource(root, split, must_be_sound=False) for split in ("train", "test")}
    report = validate(sources)
    assert kinds(report) == {"untested class": 1, "empty split": 1}
    assert report.class_counts == {"train": {"a": 2}, "test": {"a": 0}}


def test_a_class_without_images_is_an_error_in_training_and_a_warning_where_it_is_tested(tmp_path):
    root = write_folder(tmp_path, {"train": {"a": 2, "b": 0}, "test": {"a": 1, "b": 0}})
    sources = {split: FolderSource(root, split, must_be_sound=False) for split in ("train", "test")}
    assert kinds(validate(sources)) == {"empty class": 1, "untested class": 1}
    assert not validate(sources).is_sound
    assert validate({"test": sources["test"]}).is_sound


def test_labels_that_are_no_class_are_found(tmp_path):
    source = FolderSource(write_folder(tmp_path, {"train": {"a": 2, "b": 1}}), "train")
    source._labels = tf.constant([0, 7, 1], tf.int64)
    report = validate({"train": source})
    (finding,) = report.findings
    assert finding == Finding("label", "train", str(source.paths[1]), "7, of 2 classes")
    assert report.class_counts == {"train": {"a": 1, "b": 1}}


def test_arrays_are_looked_at_too():
    train = array_source(6)
    test = ArraySource("test", train.images[3:4], np.array([2]), train.class_names)
    seen = []
    report = validate({"train": train, "test": test}, progress=seen.append)
    assert kinds(report) == {"leak": 1, "untested class": 2}
    assert report.findings[-1].name == "test, example 0"
    assert seen == list(range(1, 8))


def test_the_report_names_a_few_of_each_kind():
    findings = [Finding("broken", "train", f"[{number}].jpg", "why") for number in range(5)]
    findings.append(Finding("grey", "test", "g.jpg"))
    report = DatasetReport({"train": {"cat": 1234, "dog": 1}, "test": {"cat": 7}}, tuple(findings))
    console = Console(file=io.StringIO(), width=100)
    report.print(console, most=3)
    printed = console.file.getvalue()
    for words in ("1,234", "1,235", "5 broken: cannot be decoded", "[2].jpg: why", "and 2 more"):
        assert words in printed
    for words in ("1 grey", "  test  g.jpg", "1,242 images: 5 errors, 1 warning."):
        assert words in printed
    assert "[3].jpg" not in printed
