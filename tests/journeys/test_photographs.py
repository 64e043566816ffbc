"""From one's own photographs to a served model's answer, by the commands of the docs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.subprocesses import ROOT

SHARED = ROOT.parent / "shared" / "data"
PHOTOS, CHECKPOINT = SHARED / "photos", SHARED / "torch_cifar" / "resnet20-12fca82f.th"
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the shared photographs"),
    pytest.mark.skipif(not CHECKPOINT.is_file(), reason="needs the shared checkpoints"),
]
# The photographs of WordNet's n01 and n02 are of animals, but for a few plants.
ANIMALS = ("n01", "n02")
FORMATS = ("saved_model", "onnx", "litert", "openvino")


def command(*words, cwd):
    """Runs a command of the docs in a folder; returns what it prints."""
    result = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (
        f"{words} ended with {result.returncode}:\n{result.stderr[-2000:]}"
    )
    assert "Traceback" not in result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a flat folder of photographs: one folder for each class, and no splits."""
    home = tmp_path_factory.mktemp("home")
    for path in sorted(PHOTOS.glob("*.JPEG")):
        folder = home / "photos" / ("animal" if path.name.startswith(ANIMALS) else "thing")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.with_suffix(".jpg").name)
    return home


DATA = ("--data.source", "folder:photos", "--data.test-share", "0.2", "--data.image-size", "32")


@pytest.fixture(scope="module")
def run(home):
    """A run that was fine-tuned from a PyTorch checkpoint of other classes."""
    shown = command(
        *("training", "train", "finetune", "--run-dir", "runs/photos", *DATA),
        *("--model.name", "resnet20", "--model.weights", CHECKPOINT, "--batch", "16"),
        *("--length", "3 epochs", "--head-only", "1 epochs", "--schedule.warmup", "0.5 epochs"),
        cwd=home,
    )
    assert "the classifier of 2 classes begins anew" in shown
    assert "zero_pad is the file's, 'both'" in shown
    return home / "runs" / "photos"


def test_the_files_are_checked_and_looked_at(home):
    report = home / "report.json"
    command("training", "validate", "--dataset", "folder:photos", "--json", report, cwd=home)
    counts = json.loads(report.read_text())["class_counts"]
    assert set(counts) == {"train", "test"}
    images = sum(sum(classes.values()) for classes in counts.values())
    assert images == len([*PHOTOS.glob("*.JPEG")])
    command("training", "data", "finetune", *DATA, "--sheet", "sheet.png", cwd=home)
    with Image.open(home / "sheet.png") as sheet:
        assert min(sheet.size) > 100


def test_the_run_is_measured_as_its_result_says(run):
    result = json.loads((run / "result.json").read_text())
    assert result["classes"] == ["animal", "thing"]
    command("training", "evaluate", "runs/photos", cwd=run.parents[1])
    [measured] = run.glob("evaluation-*.json")
    measured = json.loads(measured.read_text())
    # Another process may round the scores of an image that is on the edge.
    images = measured["examples"]
    assert measured["accuracy"] == pytest.approx(result["test_accuracy"], abs=1.5 / images)


def test_every_format_answers_as_predict_does(run):
    """The names, the preprocessing and the scores need no argument."""
    for package in ("onnxruntime", "ai_edge_litert", "openvino", "tf2onnx"):
        pytest.importorskip(package)
    home = run.parents[1]
    photo = next((home / "photos" / "animal").iterdir())
    shown = command("keras_resnets", "predict", photo, "--model", run, "--json", cwd=home)
    [answer] = json.loads(shown)
    predicted = {each["name"]: each["score"] for each in answer["predictions"]}
    assert set(predicted) == {"animal", "thing"}

    command("keras_resnets", "export", run, "served", "--formats", *FORMATS, cwd=home)
    folder = home / "served" / "1"
    names = (folder / "labels.txt").read_text().split()
    expected = np.array([predicted[name] for name in names])
    answers = {"saved_model": _saved_model(folder, photo, names)}
    pixels = _prepared(folder, photo)
    answers |= {"onnx": _onnx(folder, pixels), "litert": _litert(folder, pixels)}
    answers["openvino"] = _openvino(folder, pixels)
    for name, scores in answers.items():
        np.testing.assert_allclose(scores, expected, atol=2e-3, err_msg=name)


def _saved_model(folder, photo, names):
    tf = pytest.importorskip("tensorflow")
    served = tf.saved_model.load(str(folder))
    answer = served.signatures["serving_default"](image_bytes=tf.constant([photo.read_bytes()]))
    found = [name.decode() for name in answer["top_names"][0].numpy()]
    scores = dict(zip(found, answer["top_scores"][0].numpy(), strict=True))
    return [scores[name] for name in names]


def _prepared(folder, photo):
    """Prepares an image as `preprocessing.json` says, with Pillow and NumPy alone."""
    way = json.loads((folder / "preprocessing.json").read_text())
    with Image.open(photo) as image:
        image = image.convert("RGB")
        scale = way["resize"] / min(image.size)
        size = [max(way["resize"], int(side * scale)) for side in image.size]
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = ((side - way["crop"]) // 2 for side in image.size)
        image = image.crop((left, top, left + way["crop"], top + way["crop"]))
    low, high = way["value_range"]
    pixels = np.asarray(image, "float32") / 255 * (high - low) + low
    return ((pixels - way["mean"]) / way["std"]).astype("float32")[None]


def _onnx(folder, pixels):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    return session.run(None, {session.get_inputs()[0].name: pixels})[0][0]


def _litert(folder, pixels):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(folder / "model.tflite")).get_signature_runner()
    [name] = runner.get_input_details()
    [scores] = runner(**{name: pixels}).values()
    return scores[0]


def _openvino(folder, pixels):
    import openvino

    return next(iter(openvino.compile_model(folder / "model.xml")(pixels).values()))[0]


def test_the_model_starts_another_run(run):
    """The normalization comes with it."""
    home = run.parents[1]
    command(
        *("training", "train", "finetune", "--run-dir", "runs/again", *DATA, "--model.name"),
        *("resnet20", "--model.weights", "runs/photos", "--batch", "16", "--length", "2 steps"),
        *("--head-only", "0 epochs", "--schedule.warmup", "1 steps", "--from-stage", "3"),
        cwd=home,
    )
    old, new = (
        Path(folder, "recipe.toml").read_text().partition("mean = ")[2][:80]
        for folder in (run, home / "runs" / "again")
    )
    assert old == new
