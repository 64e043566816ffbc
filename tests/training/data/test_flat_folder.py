"""A folder of class folders, without folders for the splits, which is split by its files."""

import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from tests.training.data.pictures import write_folder
from training.commands import validate_command
from training.data import folder
from training.data.folder import PLACES, FolderSource, places_in_split
from training.data.prepared import check_source, is_flat
from training.data.sources import list_splits, open_source
from training.recipe.recipe import Data


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Two classes of 60 files each, whose contents are random bytes."""
    root = tmp_path_factory.mktemp("flat") / "photos"
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(60):
            (root / name / f"{number:02}.jpg").write_bytes(generator.bytes(50))
    return root


def names(root, split, share=0.2):
    return {path.relative_to(root) for path in FolderSource(root, split, test_share=share).paths}


def test_each_image_is_in_one_part_and_about_a_fifth_is_tested(flat):
    train, test = names(flat, "train"), names(flat, "test")
    assert not train & test
    assert len(train | test) == 120
    # 24 of 120 are expected; the standard deviation of the count is 4.4.
    assert 24 - 4 * 4.4 < len(test) < 24 + 4 * 4.4
    assert {path.parts[0] for path in test} == {"cat", "dog"}
    assert FolderSource(flat, "test", test_share=0.2).class_names == ("cat", "dog")


def test_the_part_depends_on_the_content_alone(flat, tmp_path):
    """Not on names, places or other files: a copy of an image is in the same part."""
    test = names(flat, "test")
    moved = tmp_path / "moved"
    for number, path in enumerate(sorted(flat.rglob("*.jpg"))):
        target = moved / path.parent.name / f"{path.relative_to(flat) in test}-{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        (moved / path.parent.name / f"more-{number}.jpg").write_bytes(b"%d" % number)
    for path in names(moved, "test"):
        assert path.name.startswith(("True", "more"))
    assert not any(path.name.startswith("True") for path in names(moved, "train"))


def test_a_larger_share_takes_more_and_none_back(flat):
    assert names(flat, "test", 0.1) <= names(flat, "test", 0.2) <= names(flat, "test", 0.5)


def test_a_broken_link_is_of_the_training_split(flat, tmp_path):
    root = shutil.copytree(flat, tmp_path / "photos")
    (root / "cat" / "gone.jpg").symlink_to(tmp_path / "nothing")
    for share in (0.1, 0.9):
        assert root / "cat" / "gone.jpg" in FolderSource(root, "train", test_share=share).paths


def test_both_splits_read_each_file_once(flat, tmp_path, monkeypatch):
    root = shutil.copytree(flat, tmp_path / "photos")
    digest, read = folder.hashlib.file_digest, []

    def counted(file, kind):
        read.append(file.name)
        return digest(file, kind)

    monkeypatch.setattr(folder.hashlib, "file_digest", counted)
    names(root, "train"), names(root, "test")
    assert len(read) == len(set(read)) == 120
    (root / "cat" / "00.jpg").write_bytes(b"another")  # is noticed
    assert names(root, "train").isdisjoint(names(root, "test"))
    assert len(read) == 240


def place(contents, path):
    path.write_bytes(contents)
    return places_in_split((path,))[path] / PLACES


def small_class(tmp_path, flat, low, high):
    """Adds a class of two images with places near these numbers to a flat folder."""
    root = shutil.copytree(flat, tmp_path / "photos")
    (root / "owl").mkdir()
    for number, wanted in enumerate((low, high)):
        path, contents = root / "owl" / f"{number}.jpg", 0
        while not wanted < place(b"%d %d" % (number, contents), path) < wanted + 0.05:
            places_in_split.cache_clear()
            contents += 1
    return root


def test_a_class_without_images_to_train_on_is_refused_with_a_share_that_works(flat, tmp_path):
    root = small_class(tmp_path, flat, 0.3, 0.5)
    with pytest.raises(ValueError, match=r"no image of 'owl' is in the train split: pass") as error:
        FolderSource(root, "train", test_share=0.6)
    share = float(str(error.value).partition("--data.test-share ")[2].partition(",")[0])
    for split in ("train", "test"):
        assert "owl" in {path.parts[0] for path in names(root, split, share)}


def test_a_class_without_test_images_is_warned_of(flat, tmp_path):
    root = small_class(tmp_path, flat, 0.3, 0.5)
    with pytest.warns(UserWarning, match=r"no image of 'owl' is in the test split: pass --data\."):
        FolderSource(root, "test", test_share=0.2)
    (root / "owl" / "1.jpg").unlink()  # one image cannot be in both
    with pytest.warns(UserWarning, match="is in the test split: add images to it, or make"):
        FolderSource(root, "test", test_share=0.2)


def test_folders_with_splits_are_not_flat(tmp_path, flat):
    split = write_folder(tmp_path, {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}})
    assert not is_flat(split)
    assert is_flat(flat)
    assert not is_flat(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"has folders? for its splits.*data\.test_share=0\.2"):
        FolderSource(split, "train", test_share=0.2)


@pytest.mark.parametrize(
    ("split", "share", "message"),
    [
        ("train", 0.0, "pass `--data.test-share 0.2`"),
        ("validation", 0.2, "are 'train' and 'test'. Received: split='validation'"),
    ],
)
def test_what_a_flat_folder_cannot_do_is_an_error(flat, split, share, message):
    with pytest.raises(ValueError, match=message):
        open_source(Data(source=f"folder:{flat}", test_share=share), split)


def test_the_share_belongs_to_folders():
    with pytest.raises(ValueError, match=r"`data\.test_share` has no effect beside data\.source"):
        Data(source="digits", test_share=0.2)


def test_it_is_validated_with_both_parts_and_every_file_is_read_once(tmp_path, capsys):
    root = write_folder(tmp_path, {"photos": {"cat": 6, "dog": 6}}) / "photos"
    (root / "cat" / "notes.txt").touch()
    assert list_splits(f"folder:{root}") == ("train", "test")
    validate_command(f"folder:{root}", test_share=0.5)
    shown = " ".join(capsys.readouterr().out.split())
    assert "12 images" in shown
    assert "1 other file" in shown
    assert "notes.txt" in shown


def test_a_folder_that_is_not_named_as_one_is_suggested(tmp_path):
    with pytest.raises(ValueError, match=f"'folder:{tmp_path}'"):
        check_source("data.source", str(tmp_path))


def test_a_class_may_be_called_train(tmp_path):
    root = write_folder(tmp_path, {"vehicles": {"car": 3, "train": 3}}) / "vehicles"
    assert is_flat(root)
    assert FolderSource(root, "train", test_share=0.3).class_names == ("car", "train")


def test_splits_without_class_folders_are_no_classes(tmp_path):
    root = write_folder(tmp_path, {"photos": {"train": 2, "test": 2}}) / "photos"
    assert not is_flat(root)
