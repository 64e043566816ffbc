"""The demo, run as the README says."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tyro")
pytest.importorskip("sklearn")


def run_training(*arguments):
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-m", "training", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@pytest.fixture(scope="module")
def finished_demo(tmp_path_factory):
    output = tmp_path_factory.mktemp("demo") / "not" / "yet" / "there"
    return run_training("demo", "--output", output), output


@pytest.mark.slow
def test_the_residual_network_reads_digits(finished_demo):
    run, output = finished_demo
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout.splitlines()[-1])
    assert summary["model"] == "resnet14"
    assert summary["test_accuracy"] >= 0.97
    assert summary["plain_test_accuracy"] >= 0.90
    assert summary["parity_max_abs"] <= 1e-5
    assert summary["saved_model"] == str(output / "saved_model")
    assert summary["seconds"] > 0


@pytest.mark.slow
def test_the_terminal_shows_table_digits_and_files(finished_demo):
    run, output = finished_demo
    for words in ("Residual against plain", "██", "right", str(output / "plain14.keras")):
        assert words in run.stdout
    assert "Traceback" not in run.stderr
    assert "oneDNN" not in run.stderr


@pytest.mark.slow
def test_the_saved_model_classifies_on_its_own(finished_demo):
    import sklearn.datasets
    import tensorflow as tf

    _, output = finished_demo
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32")
    loaded = tf.saved_model.load(str(output / "saved_model"))
    scores = loaded.serve(images).numpy()
    assert np.mean(scores.argmax(axis=1) == labels) >= 0.98
    one = loaded.signatures["serving_default"](tf.constant(images[:1]))
    np.testing.assert_allclose(next(iter(one.values())).numpy(), scores[:1], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--epochs", "0"], "`epochs` must be at least 1. Received: epochs=0"),
        (["demo", "--epochs", "many"], "epochs"),
        (["demo", "--sed", "1"], "--seed"),
        (["demo", "--output", __file__], "`output` must be a folder"),
        (["dmo"], "demo"),
    ],
)
def test_a_wrong_argument_is_named_without_a_traceback(arguments, words, capfd):
    pytest.importorskip("tensorflow")
    from training.__main__ import main

    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert words in capfd.readouterr().err
