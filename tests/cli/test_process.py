"""What reaches the terminal: of a process of its own, through pipes, as tables and bars."""

import importlib.util
import io
import os
import subprocess
import sys

import keras
import pytest

from keras_resnets import ResNetSpec, build_model
from keras_resnets.cli import main
from keras_resnets.cli.tables import bar, format_table, plain_where_needed
from tests.subprocesses import ROOT


def test_only_an_error_reaches_stderr(tmp_path):
    """TensorFlow is imported, models are built and ONNX is written or refused, without a word.

    TensorFlow's logger, which is made while chatter is held back, is itself again afterwards.
    """
    has_onnx = keras.backend.backend() == "tensorflow" and importlib.util.find_spec("tf2onnx")
    spec = ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")
    build_model(spec, input_shape=(16, 16, 3), classes=3).save(tmp_path / "x.keras")
    script = f"""
import sys
sys.argv = ["keras-resnets"]
from keras_resnets.cli import main
assert main(["describe", "plainnet20", "--size", "64"]) == 2
source, folder = {str(tmp_path / "x.keras")!r}, {str(tmp_path)!r}
written = main(["export", source, folder, "--formats", "onnx"])
assert written == {0 if has_onnx else 2}
if {bool(has_onnx)}:
    import tensorflow as tf
    tf.get_logger().error("an error")
"""
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    line, *logged = result.stderr.splitlines()
    assert line.startswith("keras-resnets: error: `--size` belongs to a model")
    assert len(logged) == 1
    assert logged[0].startswith("ERROR:tensorflow:an" if has_onnx else "keras-resnets: error: ")
    assert (tmp_path / "1" / "model.onnx").is_file() == bool(has_onnx)


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
    assert main(["list", "resnet32"]) == 0
    assert stdout.errors == "strict"
    assert written.getvalue().decode("ascii").splitlines() == [
        "model     parameters  multiply-adds  image",
        "resnet32     464,154     68.86 MMAC  32x32x3",
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
    with start.without_chatter(ValueError):
        os.write(2, b"chatter")
        print("python's", file=sys.stderr)
        {then}
except (RuntimeError, ValueError):
    os.write(2, b" failed")
"""


@pytest.mark.parametrize(
    ("argv", "then", "expected"),
    [
        (["/somewhere/bin/keras-resnets", "list"], "pass", "python's\n"),
        (["keras-resnets.exe", "list"], "pass", "python's\n"),
        (["-m", "keras_resnets", "list"], "pass", "python's\n"),
        (["keras-resnets", "list"], "raise RuntimeError", "python's\nchatter failed"),
        (["keras-resnets", "list"], "raise ValueError", "python's\n failed"),
        ([f"{ROOT}/keras_resnets/__main__.py", "list"], "pass", "python's\n"),
        (["/somewhere/keras_resnets/__main__.py"], "pass", "chatterpython's\n"),
        (["keras-resnets.py"], "pass", "chatterpython's\n"),
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


def test_a_table_s_columns_are_as_wide_as_their_widest_cell():
    table = format_table([("a", "bb"), ("ccc", "d")], "<>")
    assert table == "a    bb\nccc   d"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, ""), (1.0, "████"), (0.5, "██"), (1 / 32, "▏"), (0.25 + 7 / 32, "█▉"), (0.01, "")],
)
def test_a_bar_is_exact_to_an_eighth(share, expected):
    assert bar(share, 4) == expected


def test_a_terminal_without_the_characters_gets_signs_that_it_has(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert bar(0.5, 4) == "##"


def test_the_parser_knows_the_formats_and_presets_that_its_commands_do():
    """It has them of its own, for it answers before the others' modules are imported."""
    from keras_resnets.cli.main import DATASETS, FORMATS, PRESETS
    from keras_resnets.export import formats
    from keras_resnets.weights import presets

    assert tuple(formats.FORMATS) == FORMATS
    assert set(PRESETS) == presets.PRESETS.keys()
    assert {preset.dataset for preset in presets.PRESETS.values()} == set(DATASETS)
