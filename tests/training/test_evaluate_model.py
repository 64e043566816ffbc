"""Evaluations of a model in a file, held to what Keras and NumPy give for the same pictures."""

import re

import numpy as np
import pytest

pytest.importorskip("tyro")

from tests.subprocesses import ROOT, run_module
from training.run.evaluate_model import measurement_name

WAYS = {
    "one device": "whole",
    "folder, two devices": "whole",
    "SavedModel, two devices": "whole",
    "ten crops, two devices": "ten crops",
    "centre": "centre",
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    return run_module("tests.training.evaluating", str(tmp_path_factory.mktemp("evaluating")))


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_every_example_is_scored_once_and_rightly(printed, way):
    measured, labels = printed["evaluations"][way], np.array(printed["labels"])
    probabilities = np.array(printed["probabilities"][WAYS[way]])
    predictions, of_label = probabilities.argmax(axis=1), probabilities[np.arange(13), labels]
    assert measured["labels"] == labels.tolist()
    assert measured["predictions"] == predictions.tolist()
    np.testing.assert_allclose(measured["losses"], -np.log(of_label), rtol=1e-4)
    right = predictions == labels
    assert measured["accuracy"] == pytest.approx(right.mean())
    above = (probabilities > of_label[:, np.newaxis]).sum(axis=1)
    assert measured["top5_accuracy"] == pytest.approx((above < 5).mean())
    assert measured["loss"] == pytest.approx(-np.log(of_label).mean(), rel=1e-4)
    confusion = np.zeros((6, 6), int)
    np.add.at(confusion, (labels, predictions), 1)
    np.testing.assert_array_equal(measured["confusion"], confusion)
    by_class = {f"class{label}": right[labels == label].mean() for label in range(6)}
    assert measured["accuracy_by_class"] == pytest.approx(by_class)
    confidences = probabilities.max(axis=1)
    bins = (confidences * 15).astype(int)
    gaps = [abs((right - confidences)[bins == each].sum()) for each in range(15)]
    assert measured["calibration_error"] == pytest.approx(sum(gaps) / 13, rel=1e-3)
    assert measured["weights_sha256"] == printed["sha256"]
    assert measured["data"].endswith("/whole" if WAYS[way] == "whole" else "/large")
    assert (measured["split"], measured["image_size"]) == ("test", 16)
    assert measured["crops"] == (10 if WAYS[way] == "ten crops" else 1)
    assert measured["crop_ratio"] == (1 if WAYS[way] == "whole" else 0.5)


def test_each_measurement_has_a_name_of_its_own():
    usual = {"model": "runs/a", "data": "cifar10", "split": "test", "crops": 1, "crop_ratio": 0.875}
    others = {
        "test": {},
        "train": {"split": "train"},
        "train-to90%": {"split": "train[:90%]"},
        "train-90%-": {"split": "train[90%:]"},
        "train-10%-90%": {"split": "train[10%:90%]"},
        "test-ten-crop": {"crops": 10},
        "train-ten-crop": {"split": "train", "crops": 10, "test_share": 0.2},
        "test-crop-1": {"crop_ratio": 1.0},
        "folder-photos-of-cats-test": {"data": "folder:photos/of cats"},
        "other-test": {"model": "runs/a/other.keras"},
    }
    names = [
        measurement_name(usual | change, "cifar10", usual_crop_ratio=0.875)
        for change in others.values()
    ]
    assert names == list(others)


def test_a_saved_model_is_named_for_its_files_lie_beside_it(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "saved_model.pb").touch()
    model = {"model": str(tmp_path / "served"), "data": "digits", "split": "test", "crops": 1}
    assert measurement_name(model | {"crop_ratio": 1.0}, "", 1.0) == "served-digits-test"


def test_the_docs_say_which_file_has_which_measurement():
    usual = {"model": "runs/a", "data": "cifar10", "split": "test", "crops": 1, "crop_ratio": 0.875}
    of_folder = {"data": "folder:photos"}
    changes = [
        {},
        {"split": "train"},
        {"split": "train[:90%]"},
        {"crops": 10},
        {"crop_ratio": 1.0},
        of_folder,
        {**of_folder, "test_share": 0.2},
        {"model": "runs/a/other.keras"},
    ]
    names = [measurement_name(usual | change, "cifar10", 0.875) for change in changes]
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert re.findall(r"\| `evaluation-(.+)\.json` \|", page) == names


@pytest.mark.soak
@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("odd batch", "must be a multiple of the number of replicas, 2. Received: batch=5"),
        ("no data", "Received: data.source=''"),
        ("no model", "There must be a model at the path. Received: path="),
        ("other classes", "'digits' with 1 and 10"),
        ("cut file", "must be whole, as Keras or a run has written it. Received: "),
        ("damaged file", "damaged.keras', damaged: model.weights.h5"),
        ("other names", "whose first different one is 'class5', 'class0'"),
        ("other names, SavedModel", "whose first different one is 'class5', 'class0'"),
        ("ten crops of the whole", "no effect beside evaluation.crop_ratio=1.0"),
    ],
)
def test_a_wrong_call_is_named(printed, call, words):
    assert words in printed["errors"][call]
