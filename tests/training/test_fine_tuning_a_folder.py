"""Fine-tuning, in a real run: weights of 1000 classes on a folder of three."""

import pytest

pytest.importorskip("tyro")

from tests.subprocesses import run_module


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    return run_module("tests.training.fine_tuning_run", str(tmp_path_factory.mktemp("tuning")))


@pytest.mark.slow
def test_that_the_classifier_begins_anew_is_said(printed):
    words = "the classifier of 3 classes begins anew, for the file has 1000"
    assert words in printed["printed"]


@pytest.mark.slow
def test_the_classifier_is_trained_first_and_then_all(printed):
    assert printed["given_is_kept_by_head_only"]
    assert not printed["given_is_kept_to_the_end"]


@pytest.mark.slow
def test_the_folders_classes_are_learned_and_stored(printed):
    assert printed["status"] == 0
    assert printed["classes"] == ["five", "seven", "six"]
    assert printed["outputs"] == 3
    assert printed["accuracy"] > 0.7  # of three classes: far above chance
