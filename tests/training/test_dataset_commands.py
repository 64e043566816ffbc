"""The commands that look at data."""

import json
import warnings

import pytest
import tyro
from matplotlib.image import imread

from tests.training.data.pictures import write_folder
from training.__main__ import main
from training.commands import data_command, validate_command
from training.data.sources import list_splits


@pytest.fixture
def folder(tmp_path):
    counts = {"val": {"a": 1, "b": 1}, "train": {"a": 2, "b": 3}, "extra": {"a": 1, "b": 1}}
    return write_folder(tmp_path / "pictures", counts)


def test_a_sound_folder_is_read_whole(folder, tmp_path, capfd):
    path = tmp_path / "report.json"
    assert validate_command(f"folder:{folder}", json=path) == 0
    printed = capfd.readouterr().out
    assert "9 images: 0 errors, 0 warnings." in printed
    report = json.loads(path.read_text())
    assert report["class_counts"]["train"] == {"a": 2, "b": 3}
    assert report["findings"] == []


def test_a_damaged_image_gives_status_1_and_is_reported(folder, tmp_path, capfd):
    bad = folder / "val" / "b" / "001.jpg"
    bad.write_bytes((folder / "val" / "b" / "000.jpg").read_bytes()[:-200])
    path = tmp_path / "report.json"
    splits = ("train", "val")
    assert validate_command(f"folder:{folder}", splits=splits, json=path) == 1
    printed = capfd.readouterr()
    assert "1 broken: cannot be decoded" in printed.out
    assert f"{bad}: the JPEG file is cut off" in printed.out
    assert "JPEG" not in printed.err  # the decoder's own complaint names no file
    report = json.loads(path.read_text())
    assert report["sound"] is False
    assert report["errors"] == {"broken": "cannot be decoded"}
    (finding,) = report["findings"]
    assert [*finding.values()] == ["broken", "val", str(bad), "the JPEG file is cut off"]
    assert [*finding] == ["kind", "split", "name", "detail"]


def test_a_class_that_training_lacks_is_reported_and_the_rest_is_read(folder, tmp_path, capfd):
    write_folder(folder, {"val": {"c": 1}})
    (folder / "train" / "a" / "x.jpg").symlink_to("nowhere.jpg")
    path = tmp_path / "report.json"
    assert validate_command(f"folder:{folder}", json=path) == 1
    assert "1 unknown class: not read" in capfd.readouterr().out
    report = json.loads(path.read_text())
    assert report["class_counts"]["extra"] == {"a": 1, "b": 1}
    assert {(finding["kind"], finding["name"]) for finding in report["findings"]} >= {
        ("unknown class", str(folder / "val" / "c")),
        ("broken", str(folder / "train" / "a" / "x.jpg")),
    }


def test_splits_are_found(folder, tmp_path):
    assert list_splits(f"folder:{folder}") == ("train", "extra", "val")
    assert list_splits("synthetic") == ("train", "test")
    with pytest.raises(ValueError, match="a folder for each split"):
        list_splits(f"folder:{tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="is not prepared"):
        list_splits("cifar10", tmp_path)


def test_of_many_classes_the_smallest_are_shown(tmp_path, capfd):
    counts = {f"class{number:02}": 1 + (number != 33) for number in range(40)}
    root = write_folder(tmp_path / "many", {"train": counts}, height=16, width=16)
    assert validate_command(f"folder:{root}") == 0
    printed = capfd.readouterr().out
    assert printed.index("class33") < printed.index("class00")
    assert "and 10 classes with more" in printed
    assert "79" in printed


def test_data_draws_a_sheet_of_the_recipe_as_it_was_changed(folder, tmp_path, capfd):
    sheet = tmp_path / "sheet.png"
    line = ["finetune", "--data.source", f"folder:{folder}", "--data.image-size", "32"]
    line += ["--sheet", str(sheet), "--images", "2", "--versions", "3"]
    assert tyro.cli(data_command(line), prog="data", args=line) == 0
    printed = capfd.readouterr().out
    assert "train: 5 images of 2 classes" in printed
    assert "test: 2 images of 2 classes" in printed
    assert imread(sheet).shape[1] == 4 * 165


def test_a_sheet_names_the_image_that_cannot_be_read(folder, tmp_path, capfd):
    bad = folder / "train" / "b" / "001.jpg"
    bad.write_bytes(bad.read_bytes()[:-200])
    line = ["data", "finetune", "--data.source", f"folder:{folder}", "--data.image-size", "32"]
    assert main([*line, "--sheet", str(tmp_path / "sheet.png")]) == 1
    assert capfd.readouterr().err == (
        f"error: {bad} cannot be read: the JPEG file is cut off. Mend or remove it; `python -m "
        "training validate` finds all that cannot be read.\n"
    )


def test_a_folder_that_is_missing_is_told_before_anything_is_read(tmp_path, capfd):
    nowhere = tmp_path / "none" / "file"
    rule = "must be a file's path in an existing folder. Received: "
    assert main(["data", "digits", "--sheet", str(nowhere)]) == 2
    printed = capfd.readouterr()
    assert f"`sheet` {rule}sheet={str(nowhere)!r}" in printed.err
    assert printed.out == ""
    with pytest.raises(ValueError, match=f"`json` {rule}json="):
        validate_command("digits", json=nowhere)


def test_the_flag_is_named_where_there_are_too_few_images(tmp_path, capfd):
    line = ["data", "digits", "--sheet", str(tmp_path / "sheet.png"), "--images", "0"]
    assert main(line) == 2
    assert "`images` must be at least 1. Received: images=0" in capfd.readouterr().err


def test_a_warning_is_a_line_of_the_command_s(folder, monkeypatch, capfd):
    def open_source(*arguments):
        warnings.warn("a class without a test image", stacklevel=1)
        raise ValueError("and an error")

    monkeypatch.setattr("training.data.sources.open_source", open_source)
    assert main(["data", "digits", "--data.source", f"folder:{folder}"]) == 2
    expected = "warning: a class without a test image\nerror: and an error\n"
    assert capfd.readouterr().err == expected
