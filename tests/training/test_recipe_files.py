"""Recipes in TOML, and those that come with the trainer."""

import dataclasses
import shlex
import tomllib

import pytest

from tests.training.command_line import parsed_recipe
from training import commands
from training.recipe.files import (
    FOLDER,
    differences,
    list_recipes,
    load_recipe,
    recipe_from_toml,
    recipe_header,
    recipe_page,
    recipe_to_toml,
)
from training.recipe.recipe import Data, Model, Optimizer, Recipe, Schedule

VARIED = Recipe(
    batch=96,
    seed=2**31 - 1,
    model=Model(name="resnet50", weights='a "quoted" \\ path.weights.h5'),
    data=Data(source="folder:Fotos/Übung", mean=(0.1, 1 / 3, 1e-17)),
    optimizer=Optimizer(learning_rate=0.1 + 0.2, weight_decay=1e-300, decay_norm_and_bias=False),
    schedule=Schedule(name="step", boundaries=("1 epochs", "5 epochs"), warmup="10 steps"),
)


@pytest.mark.parametrize("recipe", [Recipe(), VARIED])
def test_toml_gives_the_same_recipe_back(recipe):
    text = recipe_to_toml(recipe)
    assert recipe_from_toml(text) == recipe
    assert recipe_to_toml(recipe_from_toml(text)) == text
    written = tomllib.loads(text)
    assert {*written} == {field.name for field in dataclasses.fields(Recipe)}
    for name, values in written.items():
        if isinstance(values, dict):
            assert {*values} == {field.name for field in dataclasses.fields(getattr(recipe, name))}


def test_what_toml_leaves_out_has_its_default():
    recipe = recipe_from_toml('batch = 64\n[schedule]\nname = "constant"\n')
    assert recipe == Recipe(batch=64, schedule=Schedule(name="constant"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bach = 64", "no field `bach` in a recipe. Did you mean 'batch'"),
        ("[optimizer]\nlerning_rate = 1", "`optimizer.lerning_rate`.*Did you mean 'learning_rate'"),
        ("[optimiser]\nname = 'sgd'", "`optimiser`.*Did you mean 'optimizer'"),
        ("optimizer = 1", "`optimizer` must be a table. Received: optimizer=1"),
        ("batch = '64'", "`batch` must be a whole number. Received: batch='64'"),
        ("batch = 6.4", "`batch` must be a whole number"),
        ("batch = [", "must be TOML"),
        ("batch = 64\nbatch = 65", "must be TOML"),
    ],
)
def test_a_mistake_is_named(text, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        recipe_from_toml(text)


def test_a_file_is_read_and_named_in_its_errors(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("batch = 64", encoding="utf-8")
    assert load_recipe(path) == load_recipe(str(path)) == Recipe(batch=64)
    path.write_text("bach = 64", encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.toml: There is no field `bach`"):
        load_recipe(path)
    with pytest.raises(ValueError, match=r"must be a recipe at the path. Received: .*other\.toml"):
        load_recipe(tmp_path / "other.toml")


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(ValueError, match=r"Did you mean 'cifar10_fast'.*Received: 'cifar10_fats'"):
        load_recipe("cifar10_fats")


def test_differences_are_named_with_dots():
    new = Recipe(batch=96, optimizer=Optimizer(learning_rate=0.2))
    old, new = dataclasses.asdict(Recipe()), dataclasses.asdict(new)
    assert differences(old, old) == []
    assert differences(old, new) == [
        "optimizer.learning_rate: 0.1 before, 0.2 now",
        "batch: 128 before, 96 now",
    ]


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_of_the_trainer_is_valid_and_says_what_to_expect(name, monkeypatch):
    recipe = load_recipe(name)
    assert recipe_from_toml(recipe_to_toml(recipe)) == recipe
    header = recipe_header(name)
    assert all(header)
    command = shlex.split(header.command)
    assert command[:6] == ["python", "-m", "training", "train", name, "--run-dir"]
    # The flags of the command, if there are any, are fields of the recipe.
    assert isinstance(parsed_recipe(name, command[7:], monkeypatch), Recipe)
    # It states no default.
    stated = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    default = tomllib.loads(recipe_to_toml(Recipe()))
    for key, value in stated.items():
        if isinstance(value, dict):
            assert not {field for field in value if value[field] == default[key][field]}
        else:
            assert value != default[key]


@pytest.mark.parametrize("part", ["Source", "Command", "Cost", "Expected"])
def test_a_header_without_a_part_is_an_error(tmp_path, part):
    lines = ["# Title.", "#", "# Source: x", "# Command: x", "# Cost: x", "# Expected: x"]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(line for line in lines if part not in line), encoding="utf-8")
    with pytest.raises(ValueError, match=f"Received: .* without {part.lower()}"):
        recipe_header(path)


def test_one_s_own_recipe_is_shown_without_a_header_too(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text("batch = 64\n")
    assert commands.recipes(str(path)) == 0
    assert recipe_from_toml(capsys.readouterr().out) == Recipe(batch=64)
    path.write_text("bathc = 64\n")
    with pytest.raises(ValueError, match="Did you mean 'batch'"):
        commands.recipes(str(path))
    assert commands.recipes("digits") == 0
    assert "Command: python -m training train digits" in capsys.readouterr().out


def test_a_header_goes_over_several_lines(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "# A title\n# of two lines.\n#\n# Source: a\n#     b: c\n# Command: d\n# Cost: e\n"
        "# Expected: f\n\nbatch = 1  # not this\n# nor this\n",
        encoding="utf-8",
    )
    header = recipe_header(path)
    assert header == ("A title of two lines.", "a b: c", "d", "e", "f")
    assert str(header) == "A title of two lines.\nSource: a b: c\nCommand: d\nCost: e\nExpected: f"


def test_the_documentation_s_page_shows_the_recipes_as_they_are():
    page = (FOLDER.parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert page == recipe_page(), "run `python -m training recipes --page docs/recipes.md`"
