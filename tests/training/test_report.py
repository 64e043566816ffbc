"""What an evaluation says: scores and confusion matrix, on the terminal and in files."""

import csv
import io
import json

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from training import commands
from training.data.validate import DatasetReport, Finding
from training.loop.evaluate import Scores
from training.run import evaluate_model
from training.run.evaluate_model import Measurement
from training.run.folder import write_json
from training.run.reports import (
    confusion_table,
    draw_confusion,
    most_confused,
    score_table,
    shortened,
    write_confusion,
)

DIGITS = commands.EvaluationOptions(dataset="digits")
NAMES = ("cat", "[dog]", "fox")
# Of three cats one is taken for a fox; of two dogs, both; the fox is right.
SCORES = Scores(
    labels=np.array([0, 0, 0, 1, 1, 2]),
    predictions=np.array([0, 0, 2, 2, 2, 2]),
    confidences=np.array([0.9, 0.8, 0.5, 0.6, 0.4, 0.7]),
    in_top5=np.ones(6, bool),
    losses=np.ones(6),
    classes=3,
)
COUNTS = [[2, 0, 1], [0, 0, 2], [0, 0, 1]]


def printed(table, width=100):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def many(classes, times=1):
    labels = np.repeat(np.arange(classes), times)
    zeros = np.zeros(classes * times)
    return Scores(labels, (labels + 1) % classes, zeros, zeros.astype(bool), zeros, classes)


def test_the_table_on_the_terminal():
    lines = printed(confusion_table(SCORES, NAMES)).splitlines()
    assert lines[0].split() == ["true", "\\", "predicted", *NAMES]
    assert [line.split() for line in lines[1:]] == [
        [name, *map(str, counts)] for name, counts in zip(NAMES, COUNTS, strict=True)
    ]
    assert confusion_table(many(13), tuple(map(str, range(13)))) is None


def test_names_that_do_not_fit_are_marked_and_stay_distinct():
    names = ("cat", *(f"n0281583{number}_beaker" for number in range(3)))
    header = printed(confusion_table(many(4), names, width=60), width=60).splitlines()[0]
    assert header.split()[3:] == ["cat", "n02815830…", "n02815831…", "n02815832…"]
    assert shortened(["airplane", "bird", "automobile"], 6) == ["airpl…", "bird", "autom…"]
    wide = printed(confusion_table(SCORES, ("airplane", "automobile", "truck"), width=60))
    assert "…" not in wide


def test_a_table_whose_counts_or_names_do_not_fit_is_left_out():
    letters = tuple("abcdefghijkl")
    assert confusion_table(many(12), letters, width=80) is not None
    assert confusion_table(many(12, times=12_345), letters, width=80) is None
    wide = ("猫", "犬", "鳥", "馬", "鹿", "蛙", "船", "車")
    assert confusion_table(many(8), tuple(6 * name for name in wide), width=80) is None


def test_a_table_of_names_that_are_too_long_to_be_told_apart_is_left_out():
    names = tuple(f"n0281583{number}_beaker" for number in range(10))
    assert confusion_table(many(10), names, width=80) is None


def test_names_with_dollars_are_no_formulas(tmp_path):
    for classes in (2, 31):
        names = tuple(f"$\\foo$ {number}" for number in range(classes))
        draw_confusion(many(classes), names, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size


def test_the_table_in_a_file(tmp_path):
    write_confusion(SCORES, NAMES, tmp_path / "confusion.csv")
    with open(tmp_path / "confusion.csv", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["true class", *NAMES]
    assert rows == [[name, *map(str, row)] for name, row in zip(NAMES, COUNTS, strict=True)]


def test_the_most_frequent_mistakes():
    assert most_confused(SCORES, NAMES, most=9) == [("[dog]", "fox", 2), ("cat", "fox", 1)]
    assert most_confused(SCORES, NAMES, most=1) == [("[dog]", "fox", 2)]


@pytest.mark.parametrize("classes", [2, 31])
def test_the_picture_shows_each_classs_parts(tmp_path, classes):
    names = tuple(f"a rather long name of class {label}" for label in range(classes))
    draw_confusion(many(classes), names, tmp_path / "confusion.png")
    height, width, _ = imread(tmp_path / "confusion.png").shape
    assert height > 300
    assert width > 300


CONDITIONS = {"model": "a", "data": "folder:b", "split": "test"}
# Of three classes the second has no example.
PART = Scores(
    labels=np.array([0, 2]),
    predictions=np.array([0, 0]),
    confidences=np.array([0.9, 0.8]),
    in_top5=np.ones(2, bool),
    losses=np.ones(2),
    classes=3,
)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_values_and_scores():
    values = Measurement(SCORES, NAMES, CONDITIONS, "test").values()
    assert values["confusion"] == COUNTS
    assert values["classes"] == list(NAMES)
    assert values["accuracy_by_class"] == {"cat": pytest.approx(2 / 3), "[dog]": 0.0, "fox": 1.0}
    assert values.items() >= CONDITIONS.items()
    assert values["examples"] == 6
    text = printed(score_table(SCORES, NAMES))
    assert "[dog]" in text
    assert "most often taken for fox (2)" in text


def test_a_class_without_examples_has_no_accuracy(tmp_path, monkeypatch, capsys):
    measurement = Measurement(PART, NAMES, CONDITIONS, "test-5")
    monkeypatch.setattr(evaluate_model, "evaluate_model", lambda *arguments: measurement)
    assert commands.evaluate_command(tmp_path, DIGITS, output=tmp_path / "new") == 0
    text = (tmp_path / "new" / "evaluation-test-5.json").read_text()
    values = json.loads(text, parse_constant=refuse)
    assert values["accuracy_by_class"] == {"cat": 1.0, "[dog]": None, "fox": 0.0}
    shown = capsys.readouterr().out
    assert "nan" not in shown
    assert ["[dog]", "-"] in [line.split() for line in shown.splitlines()]


@pytest.mark.parametrize("text", ["[bold]x", "a[/b]", ":cat:"])
def test_paths_and_names_are_printed_as_they_are(tmp_path, monkeypatch, capsys, text):
    monkeypatch.setenv("COLUMNS", "500")
    folder = tmp_path / text
    folder.mkdir(parents=True)
    measurement = Measurement(SCORES, (text, "dog", "fox"), CONDITIONS, "test")
    monkeypatch.setattr(evaluate_model, "evaluate_model", lambda *arguments: measurement)
    monkeypatch.setattr("training.loop.strategy.make_strategy", lambda name: None)
    commands.evaluate_command(tmp_path, DIGITS, output=folder)
    shown = capsys.readouterr().out
    assert f"to {folder}\n" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert [text, "2", "0", "1"] in lines  # the confusion matrix
    assert [text, "66.7%", *["most", "often", "taken", "for", "fox", "(1)"]] in lines
    commands.recipes(page=folder / "page.md")
    assert f"Wrote {folder / 'page.md'}\n" in capsys.readouterr().out
    findings = (Finding("broken", text, text, text),)
    DatasetReport({text: {text: 1}}, findings).print(commands.Console())
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [text, f"{text}:", text] in lines


def test_files_are_written_before_anything_is_printed(tmp_path, monkeypatch):
    def broken_pipe(*arguments, **options):
        raise BrokenPipeError

    measurement = Measurement(SCORES, NAMES, CONDITIONS, "test")
    monkeypatch.setattr(evaluate_model, "evaluate_model", lambda *arguments: measurement)
    monkeypatch.setattr(commands.Console, "print", broken_pipe)
    with pytest.raises(BrokenPipeError):
        commands.evaluate_command(tmp_path, DIGITS)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"evaluation-test.json", "confusion-test.csv", "confusion-test.png"}


def test_what_json_has_no_number_for_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"accuracy": float("nan")})
    assert list(tmp_path.iterdir()) == []
