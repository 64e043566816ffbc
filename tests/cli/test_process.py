"""The command in a process of its own: what reaches the terminal, and the exit status."""

import io
import os
import subprocess
import sys

import pytest

from keras_resnets.cli import main
from keras_resnets.cli.tables import plain_where_needed
from tests.subprocesses import ROOT


def test_an_error_is_the_only_line_that_reaches_the_terminal():
    """TensorFlow is imported and a model is built before, and neither says a word."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    result = subprocess.run(
        [sys.executable, "-m", "keras_resnets", "describe", "plainnet20", "--size", "64"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("keras-resnets: error: `--size` belongs to a model")


def test_a_reader_that_has_enough_is_no_error(monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["list"]) == 0
    assert capsys.readouterr().err == ""


def test_an_encoding_without_the_characters_shows_others_in_their_columns(monkeypatch):
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["list", "resnet20"]) == 0
    assert stdout.errors == "strict"
    assert written.getvalue().decode("ascii").splitlines() == [
        "model     parameters  multiply-adds  image",
        "resnet20     269,722     40.55 MMAC  32x32x3",
    ]
    assert main(["predict", "--help"]) == 0
    with plain_where_needed():
        print("½ … é", flush=True)
    assert written.getvalue().endswith(b"? ~ ?\n")


START = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("start", "keras_resnets/command_start.py")
start = importlib.util.module_from_spec(spec)
spec.loader.exec_module(start)
sys.argv, sys.orig_argv = {argv}, ["python", *{argv}]
try:
    with start.without_chatter():
        os.write(2, b"chatter")
        print("python's", file=sys.stderr)
        {then}
except RuntimeError:
    os.write(2, b" failed")
"""


@pytest.mark.parametrize(
    ("argv", "then", "expected"),
    [
        (["/somewhere/bin/keras-resnets", "list"], "pass", "python's\n"),
        (["keras-resnets.exe", "list"], "pass", "python's\n"),
        (["-m", "keras_resnets", "list"], "pass", "python's\n"),
        (["keras-resnets", "list"], "raise RuntimeError", "python's\nchatter failed"),
        (["/somewhere/keras_resnets/__main__.py", "list"], "pass", "python's\n"),
        (["-m", "pytest"], "pass", "chatterpython's\n"),
        (["train.py", "keras-resnets"], "pass", "chatterpython's\n"),
        ([], "pass", "chatterpython's\n"),
    ],
)
def test_only_the_command_holds_chatter_back(argv, then, expected):
    result = subprocess.run(
        [sys.executable, "-I", "-c", START.format(argv=argv, then=then)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == expected
