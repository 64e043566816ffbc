"""Files that the first version wrote are opened by every later one, with the same contents.

`tests/old_files` was written by version 0.1.0: networks with options that no array shows, and two
runs of the digits recipe on a network of two blocks, one finished and one stopped at its step 23.
"""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnets

FOLDER = Path(__file__).with_name("old_files")
SPECS = json.loads((FOLDER / "specs.json").read_text(encoding="utf-8"))
# What each network was built with beside its spec.
HEADS = {
    "padded": {"input_shape": (16, 16, 3), "classes": 5},
    "projected": {"input_shape": (32, 48, 1), "include_top": False, "pooling": "avg"},
}


def built(name, weights):
    spec = keras_resnets.ResNetSpec.from_json(json.dumps(SPECS[name]))
    return keras_resnets.build_model(spec, weights=weights, name=name, **HEADS[name])


def openings(name):
    yield keras.models.load_model(FOLDER / f"{name}.keras")
    if name in SPECS:
        yield built(name, FOLDER / f"{name}.keras")
        yield built(name, FOLDER / f"{name}.weights.h5")


@pytest.mark.parametrize("name", ["padded", "projected", "gated"])
def test_a_network_answers_as_it_did(name):
    with np.load(FOLDER / "outputs.npz") as saved:
        images, expected = saved[f"{name}_images"], saved[f"{name}_outputs"]
    weights = []
    for model in openings(name):
        # Another processor may sum the at most 9 * 12 products of a convolution in another order.
        np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5)
        weights.append([keras.ops.convert_to_numpy(weight) for weight in model.weights])
        if name in SPECS:
            spec = keras_resnets.ResNetSpec.from_json(json.dumps(SPECS[name]))
            assert keras_resnets.model_spec(model) == spec
    for others in weights[1:]:
        assert all(map(np.array_equal, others, weights[0]))
    noted = keras_resnets.model_preprocessing(next(openings(name)))
    assert noted == (keras_resnets.Preprocessing.imagenet(18, 16) if name == "padded" else None)


def test_a_finished_run_is_evaluated_as_it_was(tmp_path):
    commands = pytest.importorskip("training.commands")
    run = tmp_path / "run"
    shutil.copytree(FOLDER / "complete_run", run)
    assert commands.evaluate_command(run) == 0
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    [measured] = run.glob("evaluation-*.json")
    measured = json.loads(measured.read_text(encoding="utf-8"))
    # Another processor's rounding may change the answer to one of the 360 images.
    assert measured["accuracy"] == pytest.approx(result["test_accuracy"], abs=1.5 / 360)
    assert measured["loss"] == pytest.approx(result["test_loss"], rel=1e-4)


def test_a_stopped_run_goes_on_from_its_checkpoint(tmp_path):
    runs = pytest.importorskip("training.run.session")
    recipes = pytest.importorskip("training.recipe.files")
    folder = tmp_path / "run"
    shutil.copytree(FOLDER / "stopped_run", folder)
    recipe = recipes.load_recipe(str(folder / "recipe.toml"))
    assert runs.Session(recipe, folder).run() == 0
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    expected = json.loads((FOLDER / "complete_run" / "result.json").read_text(encoding="utf-8"))
    assert result["steps"] == expected["steps"] == 45
    assert result["examples"] == expected["examples"] == 45 * 64
    # Started anew, the 22 steps left would reach less than the 45 did.
    assert result["train_loss"] == pytest.approx(expected["train_loss"], rel=0.02)
