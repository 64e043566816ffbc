"""The demo: what it prints and writes after an epoch on a tiny network, and the whole of it."""

import contextlib
import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

pytest.importorskip("tyro")
pytest.importorskip("sklearn")
tf = pytest.importorskip("tensorflow")

import keras_resnets  # noqa: E402
from tests.training.tiny_network import TINY  # noqa: E402
from training import demo  # noqa: E402
from training.__main__ import main  # noqa: E402


@pytest.fixture(scope="module")
def short_demo(tmp_path_factory):
    """What a demo of an epoch printed, and its folder."""
    output = tmp_path_factory.mktemp("demo") / "not" / "yet" / "there"

    def tiny_resnet():
        return keras_resnets.build_model(TINY, input_shape=(8, 8, 1), classes=10, name="resnet32")

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as shown:
        patch.setattr(demo, "deep_resnet", tiny_resnet)
        assert main(["demo", "--epochs", "1", "--output", str(output)]) == 0
    return shown.getvalue(), output


@pytest.mark.slow
def test_the_terminal_shows_what_lies_in_the_folder(short_demo):
    shown, output = short_demo
    for words in ("Residual against plain", "██", "Training error", str(output / "curves.png")):
        assert words in shown
    summary = json.loads(shown.splitlines()[-1])
    assert summary["model"] == "resnet32"
    assert 0 < summary["test_accuracy"] <= 1
    assert 0 < summary["plain_test_accuracy"] <= 1
    assert summary["parity_max_abs"] <= 1e-5
    assert summary["saved_model"] == str(output / "saved_model")
    assert summary["seconds"] > 0

    images = demo.digits("test").images.astype("float32")
    loaded = tf.saved_model.load(str(output / "saved_model"))  # its variables live as long
    served = loaded.serve(images).numpy()
    model = keras.models.load_model(output / "resnet32.keras")
    np.testing.assert_allclose(model.predict(images, verbose=0), served, atol=1e-5)


def test_the_curves_of_both_networks_differ_to_the_end():
    residual, plain = np.geomspace(0.9, 0.007, 12), np.geomspace(0.9, 0.22, 12)
    title, *lines = demo.bar_chart({"resnet32": residual, "plain32": plain}).splitlines()
    assert "logarithmic" in title
    bars = ["".join(char for char in line if char in demo.BARS) for line in lines]
    assert [line[0] for line in bars] == ["█", "█"]
    assert [line[-1] for line in bars] == ["▁", "▆"]  # ln(0.9 / 0.22) of ln(0.9 / 0.007) lower
    assert bars[0][24:] != bars[0][-1] * 24  # nor is the second half flat
    assert [line.split()[-1] for line in lines] == ["0.70%", "22.00%"]


@pytest.mark.parametrize("errors", [[0.9], [0.0], [0.9, 0.0], [0.5] * 300])
def test_any_curve_fits_80_columns(errors):
    text = demo.bar_chart({"resnet32": errors, "plain32": [1.0] * len(errors)})
    assert max(map(len, text.splitlines())) <= 80


def test_the_network_has_32_layers():
    assert keras_resnets.model_spec(demo.deep_resnet()).depth == 32


@pytest.mark.soak
def test_the_whole_demo_reads_digits(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "training", "demo", "--output", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert "oneDNN" not in run.stderr
    summary = json.loads(run.stdout.splitlines()[-1])
    assert summary["test_accuracy"] >= 0.97
    assert summary["plain_test_accuracy"] < summary["test_accuracy"]  # 95 % against 99 %
