"""Each recipe of the trainer takes real steps, and hands on what it measured."""

import math

import pytest

pytest.importorskip("tyro")

from tests.subprocesses import run_module
from training.recipe.files import list_recipes

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    return run_module("tests.training.recipe_runs", str(tmp_path_factory.mktemp("runs")))


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_trains_every_kernel_to_its_end(outcomes, name):
    outcome = outcomes[name]
    assert outcome["status"] == 0
    assert [entry["step"] for entry in outcome["metrics"]] == [2, 4]
    for entry in outcome["metrics"]:
        for loss in ("train_loss", "test_loss"):
            assert math.isfinite(entry[loss])
            assert entry[loss] > 0
    # Stem, block and classifier. Those of ImageNet have a bottleneck, with a projection.
    kernels = dict.fromkeys(("digits", "cifar10_fast", "cifar10_paper"), 1 + 2 + 1) | {
        "cifar10_wrn": 1 + (2 + 1) + 1,
        "imagenet_bag_of_tricks": 3 + (3 + 1) + 1,
        "imagenet_resnet_rs": 4 + (3 + 1 + 2) + 1,  # with two of squeeze and excitation
    }
    assert outcome["kernels"] == kernels.get(name, 1 + (3 + 1) + 1)
    assert outcome["unmoved"] == []


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_s_model_scores_at_the_evaluation_s_size_as_was_measured(outcomes, name):
    outcome = outcomes[name]
    larger = name in ("imagenet_a3", "imagenet_torchvision_v2")
    assert outcome["image_size"] == (24 if larger else 8 if name == "digits" else 16)
    assert outcome["of_model"] == pytest.approx(outcome["test_accuracy"], abs=1e-9)
