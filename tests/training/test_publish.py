"""What is handed on of a run: a folder that is whole, a card that is true, and the index."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

import keras_resnets

tf = pytest.importorskip("tensorflow")

from tests.subprocesses import ROOT  # noqa: E402
from training.recipe.files import recipe_from_toml, recipe_to_toml  # noqa: E402
from training.recipe.recipe import Data, Model, Recipe, Schedule  # noqa: E402
from training.run.publish import model_card, publish, write_index  # noqa: E402

RECIPE = Recipe(
    model=Model(weights="/home/someone/begin.weights.h5"),
    data=Data(source="folder:/home/someone/pets", test_split="validation"),
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A complete run's folder, with figures that nothing computed."""
    folder = tmp_path_factory.mktemp("run")
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(2,), stem="cifar")
    model = keras_resnets.build_model(spec, input_shape=(4, 4, 3), classes=3)
    keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing(resize=4, crop=4))
    keras_resnets.set_class_names(model, ["cat", "dog", "newt"])
    model.save(folder / "model.keras")
    (folder / "curves.png").write_bytes(b"curves")
    (folder / "recipe.toml").write_text(recipe_to_toml(RECIPE))
    result = {
        **{"model": "resnet20", "data": RECIPE.data.source, "parameters": 147, "seed": 5},
        **{"test_accuracy": 0.8125, "test_top5_accuracy": 0.9375, "test_loss": 0.5},
        **{"steps": 12_000, "examples": 24_000, "seconds": 100.0, "images_per_second": 240.0},
        "calibration_error": 0.0625,
        "accuracy_by_class": {"cat": 0.75, "dog": 0.875, "newt": None},
        "weights_sha256": "ab" * 32,
        "environment_changes": ["step 7: cores: 2 before, 4 now"],
    }
    (folder / "result.json").write_text(json.dumps(result))
    environment = {
        "versions": {"tensorflow": "2.99", "keras": "3.99", "python": "3.11.1"},
        "devices": ["/device:CPU:0"],
        "replicas": 1,
        "cores": 4,
        "processor": "a processor",
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    entries = [
        {
            **{"step": epoch, "epoch": float(epoch), "learning_rate": 0.1, "seconds": 1.0},
            **{"train_loss": 2.0 / epoch, "train_accuracy": 0.5},
            **{"test_loss": 1.0 / epoch, "test_accuracy": 0.25},
        }
        for epoch in range(1, 101)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    return folder


@pytest.fixture(scope="module")
def folder(run_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "pets"
    publish(run_dir, folder, "Only three animals.")
    return folder


def test_a_published_model_is_whole_and_answers_as_the_run_s(run_dir, folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("saved_model", "model.keras", "recipe.toml", "result.json", "card.md", "curves.png")
    }
    assert [path.name for path in folder.parent.iterdir()] == ["pets"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype="uint8")
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    served = loaded.signatures["image"](images=tf.constant(pixels))
    model = keras.models.load_model(run_dir / "model.keras")
    found = keras_resnets.classify(model, pixels)
    for index, predictions in enumerate(found):
        np.testing.assert_allclose(
            served["top_scores"][index], [each.score for each in predictions], atol=1e-5
        )
        names = [name.decode() for name in served["top_names"][index].numpy()]
        assert names == [each.name for each in predictions]
    result = json.loads((folder / "result.json").read_text())
    assert result["saved_model_max_difference"] <= 1e-5


def test_the_card_says_what_the_files_say(folder):
    card = (folder / "card.md").read_text()
    for words in (
        "# pets\n",
        "**81.25%** of the test images are right",
        "Only three animals.",
        "`folder:pets`, 3 classes: trained on the split `train`",
        "measured on the split `validation`",
        "| cat | 75.0% |",
        "| dog | 87.5% |",
        "| newt | no image |",
        "The test images were measured every 1 epochs. Nothing was chosen by that.",
        "| 100.0 | 0.0200 | 50.00% | 0.0100 | 25.00% |",
        "cores (a processor). It was stopped and resumed with changes: step 7: cores: 2 before",
        'source = "folder:pets"',
    ):
        assert words in card
    assert card.count("| 50.00% |") == 20  # not a hundred rows


def test_no_path_of_this_machine_is_handed_on(run_dir, folder):
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for foreign in ("/home/someone", str(ROOT), str(run_dir), str(folder.parent)):
                assert foreign.encode() not in content, path.name
    published = recipe_from_toml((folder / "recipe.toml").read_text())
    assert published.model.weights == "begin.weights.h5"
    assert dataclasses.replace(published, model=RECIPE.model, data=RECIPE.data) == RECIPE


def test_a_plateau_is_admitted_to_have_seen_the_test_images(run_dir):
    recipe = dataclasses.replace(RECIPE, schedule=Schedule(name="plateau"), ema=0.5)
    result, environment = (
        json.loads((run_dir / name).read_text()) for name in ("result.json", "environment.json")
    )
    result["saved_model_max_difference"] = 0.0
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    card = model_card("pets", model, result, [], recipe, environment, "Only three animals.")
    assert "That lowered the learning rate" in card
    assert "the moving average of the weights at the end" in card


def test_the_index_is_made_of_the_folders_with_a_card(run_dir, tmp_path):
    for name in ("b", "a", "demo"):
        (tmp_path / name).mkdir()
        shutil.copy(run_dir / "result.json", tmp_path / name)
        if name != "demo":
            (tmp_path / name / "card.md").touch()
    index = write_index(tmp_path).read_text()
    rows = [line for line in index.splitlines() if line.startswith("| [")]
    assert rows == [
        f"| [{name}]({name}/card.md) | {RECIPE.data.source} | 81.25% | 12,000 | 147 |"
        for name in "ab"
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("curves.png", None, "must hold a complete run.*without curves.png"),
        ("result.json", "{", "result.json must be as a run has written it.*without model, "),
        ("result.json", "{}", "result.json must be as a run has written it.*without model, "),
        ("environment.json", "[]", "environment.json must be.*without versions, "),
        ("metrics.jsonl", '{"step": 1}\n', "Line 1 of metrics.jsonl must have a number `epoch`"),
    ],
)
def test_a_file_that_no_run_wrote_is_named_and_nothing_published(
    run_dir, tmp_path, name, content, words
):
    other, folder = tmp_path / "run", tmp_path / "models" / "pets"
    shutil.copytree(run_dir, other)
    (other / name).unlink()
    if content is not None:
        (other / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        publish(other, folder, "A note.")
    assert not folder.exists()


def test_an_index_names_the_result_that_it_cannot_read(run_dir, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "card.md").touch()
    (tmp_path / "a" / "result.json").write_text('{"data": "digits"}')
    with pytest.raises(ValueError, match=r"Received: .*result.json', without test_accuracy, steps"):
        write_index(tmp_path)


def test_only_a_published_model_is_replaced(run_dir, folder, tmp_path):
    precious, published = tmp_path / "precious", tmp_path / "published"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"must be new.* Received: folder='.*precious'"):
        publish(run_dir, precious, "A note.")
    assert (precious / "thesis.txt").read_text() == "years of work"
    shutil.copytree(folder, published)
    (published / "old.txt").write_text("of the one before")
    publish(run_dir, published, "Another note.")
    assert "Another note." in (published / "card.md").read_text()
    assert not (published / "old.txt").exists()
    with pytest.raises(ValueError, match=r"`note` must say .*Received: "):
        publish(run_dir, published, " ")


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "/up", "x y", "a]", "é"])
def test_a_name_leads_nowhere_else_and_needs_no_escapes_in_a_link(
    run_dir, tmp_path, monkeypatch, name
):
    commands = pytest.importorskip("training.commands", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"`name` must be the name of a folder: .* Received: "):
        commands.publish_command(run_dir, name, "A note.")
    assert [*tmp_path.iterdir()] == []


def test_an_index_needs_the_folder(tmp_path, monkeypatch):
    commands = pytest.importorskip("training.commands", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"must be a folder 'saved_models' .* Received: "):
        commands.index()
