"""The confusion matrix in its forms, for few classes and for many."""

import csv
import io

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from training.loop.evaluate import Scores
from training.run.reports import (
    confusion_table,
    draw_confusion,
    most_confused,
    shortened,
    write_confusion,
)

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


def printed(table):
    console = Console(file=io.StringIO(), width=100)
    console.print(table)
    return console.file.getvalue()


def many(classes):
    labels = np.arange(classes)
    zeros = np.zeros(classes)
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
    header = printed(confusion_table(many(4), names, width=60)).splitlines()[0]
    assert header.split()[3:] == ["cat", "n02815830…", "n02815831…", "n02815832…"]
    assert shortened(["airplane", "bird", "automobile"], 6) == ["airpl…", "bird", "autom…"]
    wide = printed(confusion_table(SCORES, ("airplane", "automobile", "truck"), width=60))
    assert "…" not in wide


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
